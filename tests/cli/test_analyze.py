"""dvps analyze: costs that can be counted by hand."""

import json
import mmap

import numpy as np
import pytest
import torch
from torch import nn

from dvps_d2.cli import main
from dvps_d2.d2.analysis import analyze, find_parts, measure_peak, random_window


class Pipeline(nn.Module):
    def __init__(self):
        super().__init__()
        self.segmenter = nn.Module()
        self.segmenter.backbone = nn.Conv2d(3, 4, 1, bias=False)
        self.tracker = nn.Linear(4, 4, bias=False)
        self.refiner = None


class Toy(nn.Module):
    """A convolution on every frame, a product over all pixels, and one that is in no part."""

    def __init__(self):
        super().__init__()
        self.pipeline = Pipeline()
        self.pipeline.tracker.weight.requires_grad_(False)

    @property
    def device(self):
        return torch.device("cpu")

    def forward(self, items):
        images = torch.stack([frame["image"] for frame in items[0]["frames"]]).float()
        features = self.pipeline.segmenter.backbone(images)  # (T, 4, H, W)
        tracked = self.pipeline.tracker(features.flatten(2).mean(2))  # (T, 4)
        torch.mm(tracked, tracked.T)
        return [{"video_id": "random", "frames": iter([1])}]


def test_costs_of_a_toy_by_hand():
    cost = analyze(Toy(), (8, 16), frames=2, repeat=1)
    backbone, tracker = cost.parts["segmenter.backbone"], cost.parts["tracker"]
    assert (backbone.parameters, backbone.trained) == (12, 12)
    assert (tracker.parameters, tracker.trained) == (16, 0)
    assert backbone.flops == 2 * 2 * 8 * 16 * 3 * 4  # product and sum, frames, pixels, channels
    assert tracker.flops == 2 * 2 * 4 * 4
    assert cost.parts["rest"].flops == 2 * 2 * 2 * 4  # the product outside
    assert cost.total.flops == backbone.flops + tracker.flops + 32
    assert cost.weights_mb == 28 * 4 / 2**20
    assert 0 < backbone.seconds <= cost.total.seconds


def test_peak_memory_of_a_large_buffer():
    def touch():  # 64 MiB of fresh pages; a tensor might get memory that the process holds already
        buffer = mmap.mmap(-1, 64 * 2**20)
        np.frombuffer(buffer, np.uint8)[:] = 1

    peak = measure_peak(touch)
    if peak is None:
        pytest.skip("the system does not tell the peak memory of a process")
    assert 60 < peak < 140


def test_parts_and_window_are_those_of_the_pipeline():
    assert list(find_parts(Toy())) == ["segmenter.backbone", "tracker"]
    item = random_window((4, 6), 2, seed=0)
    assert [f["image"].shape for f in item["frames"]] == [(3, 4, 6)] * 2
    with pytest.raises(ValueError, match="at least 1"):
        analyze(Toy(), (0, 6))


def test_command_prints_a_table_and_writes_json(tmp_path, capsys):
    file = tmp_path / "cost.json"
    config = "configs/experiments/street/mindvps_compact.yaml"
    options = ["MODEL.DEVICE", "cpu", "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS", "1"]
    arguments = ["--size", "32", "64", "--repeat", "1", "--json", str(file)]
    assert main(["analyze", "--config-file", config, *arguments, *options]) == 0
    printed = capsys.readouterr().out
    assert "segmenter.depth_predictor" in printed
    assert "1 x 32 x 64 on cpu" in printed
    cost = json.loads(file.read_text())
    parts = cost["parts"].values()
    for key in ("parameters", "flops"):
        assert sum(part[key] for part in parts) == cost["total"][key]
    assert cost["parts"]["segmenter.pixel_decoder"]["flops"] > 0


def test_help_shows_an_example(capsys):
    assert main(["analyze", "--help"]) == 0
    assert "dvps analyze --config-file configs/experiments" in capsys.readouterr().out
