"""dvps view-data: the picture shows what the mapper gives."""

import numpy as np
import torch
from detectron2.data import MetadataCatalog

from dvps_d2.cli import main
from dvps_d2.d2.data import build_clip_train_loader
from dvps_d2.d2.data.segments import SegmentMaps
from dvps_d2.d2.viewing import clip_frames, training_sheet
from dvps_d2.formats.png import read_png
from dvps_d2.visualize import Palette

CONFIG = "configs/experiments/street/mindvps_compact.yaml"
CAR = 13


def test_rows_are_the_frames_of_the_clip():
    image = torch.arange(3 * 2 * 2, dtype=torch.uint8).reshape(3, 2, 2)
    numbers = torch.tensor([[[0, 1], [2, 2]], [[1, 1], [1, 2]]], dtype=torch.uint8)
    clip = {
        "video_id": "v",
        "key_frame": 1,
        "frames": [{"image": image, "frame_id": 4}, {"image": image, "frame_id": 6}],
        "targets": SegmentMaps(
            torch.tensor([0, CAR]), torch.tensor([0, 5]), numbers, torch.ones(2, 2, 2)
        ),
    }
    first, second = clip_frames(clip, "BGR")
    assert first.image[0, 0].tolist() == [8, 4, 0]
    assert first.truth.class_ids[first.truth.index].tolist() == [[255, 0], [CAR, CAR]]
    assert first.truth.track_ids[first.truth.index].tolist() == [[0, 0], [5, 5]]
    assert "key frame" not in first.caption
    assert "frame 6  (key frame)" in second.caption
    assert (second.true_depth == 1).all()


def test_the_clips_are_those_of_the_run(tiny_cfg, monkeypatch):
    cfg = tiny_cfg("INPUT.COLOR_JITTER", 0.2)
    shown = []
    monkeypatch.setattr(
        "dvps_d2.d2.viewing.result_sheet", lambda rows, *_, **__: shown.extend(rows)
    )
    training_sheet(cfg, 2, first=2)
    batches = iter(build_clip_train_loader(cfg))
    next(batches)
    expected = [item["frames"][0]["image"].numpy() for item in next(batches)]  # clips 2 and 3
    for row, image in zip(shown, expected, strict=True):
        assert np.array_equal(row.image, image.transpose(1, 2, 0))


def test_command_writes_a_sheet_with_the_colours_of_its_classes(toy_street, tmp_path, capsys):
    file = tmp_path / "clips.png"
    options = ["DATASETS.TRAIN", "('toy_street_train',)", "INPUT.SAMPLING_FRAME_NUM", "2"]
    arguments = ["--out", str(file), "--clips", "1", "--cell-width", "128", *options]
    assert main(["view-data", "--config-file", CONFIG, *arguments]) == 0
    assert f"written: {file}" in capsys.readouterr().out
    sheet = read_png(file)
    metadata = MetadataCatalog.get("toy_street_train")
    road = Palette(metadata.thing_colors, metadata.thing_ids).color(0, 0)
    assert (sheet == road).all(-1).sum() > 50  # in the legend, unmixed
    assert sheet.shape[1] > 3 * 128  # image, truth, depth


def test_bad_arguments_are_told(tmp_path, capsys):
    assert main(["view-data", "--config-file", CONFIG, "--out", str(tmp_path / "clips.jpg")]) == 1
    assert "--out must end in .png" in capsys.readouterr().err
    assert main(["view-data", "--help"]) == 0
    assert "dvps view-data --config-file configs/experiments" in capsys.readouterr().out
