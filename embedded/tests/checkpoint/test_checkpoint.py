"""Saving, loading, file kinds and matching of names."""

import logging
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from detectron2.checkpoint import DetectionCheckpointer, PeriodicCheckpointer
from detectron2.checkpoint.c2_model_loading import (
    align_and_update_state_dicts,
    convert_basic_c2_names,
    convert_c2_detectron_names,
)


def small_net():
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 1), fc=nn.Linear(2, 1)))


def arrays(model, seed=0):
    """Random weights of the model's shapes, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.random(tuple(value.shape), dtype=np.float32)
        for name, value in model.state_dict().items()
    }


def write_pickle(path, data):
    with open(path, "wb") as file:
        pickle.dump(data, file)
    return str(path)


def assert_loaded(model, weights):
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name], err_msg=name)


class Counter:
    """Something with a state."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_save_and_resume(tmp_path):
    first = DetectionCheckpointer(small_net(), str(tmp_path), counter=Counter(7))
    assert not first.has_checkpoint()
    first.save("model_0000003", iteration=3)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"
    counter = Counter()
    second = DetectionCheckpointer(small_net(), str(tmp_path), counter=counter)
    rest = second.resume_or_load("", resume=True)
    assert rest["iteration"] == 3
    assert counter.value == 7
    assert_loaded(second.model, {k: v.numpy() for k, v in first.model.state_dict().items()})
    assert second.get_checkpoint_file() == str(tmp_path / "model_0000003.pth")
    assert second.get_all_checkpoint_files() == [str(tmp_path / "model_0000003.pth")]
    counter.value = 0
    second.resume_or_load(str(tmp_path / "model_0000003.pth"), resume=False)
    assert counter.value == 0  # only weights


def test_every_save_rewrites_last_checkpoint(tmp_path):
    checkpointer = DetectionCheckpointer(small_net(), str(tmp_path))
    periodic = PeriodicCheckpointer(checkpointer, period=2, max_iter=4)
    for iteration in range(4):
        periodic.step(iteration)
    names = {"model_0000001.pth", "model_0000003.pth", "model_final.pth", "last_checkpoint"}
    assert set(os.listdir(tmp_path)) == names
    checkpointer.save("model_best")
    assert checkpointer.get_checkpoint_file().endswith("model_best.pth")


def test_no_path_and_no_file():
    checkpointer = DetectionCheckpointer(small_net())
    assert checkpointer.load("") == {}
    with pytest.raises(AssertionError, match="Checkpoint /nope/x.pth not found!"):
        checkpointer.load("/nope/x.pth")


def test_only_the_main_process_writes_unless_told_otherwise(tmp_path):
    DetectionCheckpointer(small_net(), str(tmp_path), save_to_disk=False).save("x")
    assert not os.listdir(tmp_path)


def test_a_bare_state_dict_in_a_pth_file(tmp_path):
    source, target = small_net(), small_net()
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    DetectionCheckpointer(target).load(str(path))
    assert_loaded(target, {k: v.numpy() for k, v in source.state_dict().items()})


def test_the_prefix_of_parallel_models_is_cut(tmp_path):
    model = small_net()
    weights = arrays(model)
    data = {"model": {f"module.{k}": torch.from_numpy(v) for k, v in weights.items()}}
    torch.save(data, tmp_path / "x.pth")
    DetectionCheckpointer(model).load(str(tmp_path / "x.pth"))
    assert_loaded(model, weights)


class Messages(logging.Handler):
    """Collects warnings; the package's loggers do not propagate."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record):
        self.text += record.getMessage() + "\n"


@pytest.fixture
def warnings_of_load():
    handler = Messages()
    logger = logging.getLogger("fvcore.common.checkpoint")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_other_shapes_missing_and_unexpected_keys_are_warnings(tmp_path, warnings_of_load):
    model = small_net()
    weights = arrays(model)
    weights["conv.weight"] = np.zeros((5, 5), np.float32)
    del weights["conv.bias"]
    weights["stranger"] = np.zeros(1, np.float32)
    path = write_pickle(tmp_path / "x.pkl", {"model": weights, "__author__": "me"})
    fc = weights["fc.weight"]
    DetectionCheckpointer(model).load(path)
    np.testing.assert_array_equal(model.fc.weight.detach().numpy(), fc)
    text = warnings_of_load.text
    assert "Skip loading parameter 'conv.weight' to the model due to incompatible shapes" in text
    assert "not found in the checkpoint" in text
    assert "conv.{bias, weight}" in text
    assert "not used by the model" in text
    assert "stranger" in text


def test_colours_and_anchors_are_nobodys_business(tmp_path, warnings_of_load):
    model = small_net()
    model.register_buffer("pixel_mean", torch.zeros(3, 1, 1))
    weights = arrays(small_net())
    weights["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    path = write_pickle(tmp_path / "x.pkl", {"model": weights, "__author__": "me"})
    DetectionCheckpointer(model).load(path)
    assert warnings_of_load.text == ""


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_both_ages(tmp_path, protocol):
    model = small_net()
    weights = arrays(model)
    with open(tmp_path / "x.pkl", "wb") as file:
        pickle.dump({"model": weights, "__author__": "me", "epoch": np.int64(3)}, file, protocol)
    rest = DetectionCheckpointer(model).load(str(tmp_path / "x.pkl"))
    assert_loaded(model, weights)
    assert rest["epoch"] == 3


def resnet_like():
    """Two layers below a prefix, named like a ResNet's."""
    conv1 = nn.Conv2d(3, 2, 1)
    stem = nn.Sequential(OrderedDict(conv1=conv1))
    return nn.Sequential(OrderedDict(backbone=nn.Sequential(OrderedDict(stem=stem))))


def test_caffe2_names_are_translated_and_matched_by_suffix(tmp_path):
    model = resnet_like()
    weight, bias = np.ones((2, 3, 1, 1), np.float32), np.full(2, 5.0, np.float32)
    blobs = {"conv1_w": weight, "conv1_b": bias, "conv1_w_momentum": weight * 0}
    path = write_pickle(tmp_path / "R.pkl", {"blobs": blobs})
    DetectionCheckpointer(model).load(path)
    names = ("backbone.stem.conv1.weight", "backbone.stem.conv1.bias")
    assert_loaded(model, dict(zip(names, (weight, bias), strict=True)))


def test_matching_heuristics_in_the_file_and_in_the_address(tmp_path):
    weights = {
        "stem.conv1.weight": np.ones((2, 3, 1, 1), np.float32),
        "stem.conv1.bias": np.ones(2, np.float32),
    }
    expected = {f"backbone.{k}": v for k, v in weights.items()}
    plain = write_pickle(tmp_path / "x.pkl", {"model": dict(weights), "__author__": "me"})
    marked = write_pickle(
        tmp_path / "y.pkl",
        {"model": dict(weights), "__author__": "me", "matching_heuristics": True},
    )
    torch.save({k: torch.from_numpy(v) for k, v in weights.items()}, tmp_path / "z.pth")
    for path in (marked, str(tmp_path / "z.pth?matching_heuristics=True")):
        model = resnet_like()
        DetectionCheckpointer(model).load(path)
        assert_loaded(model, expected)
    model = resnet_like()
    before = model.backbone.stem.conv1.bias.detach().clone()
    DetectionCheckpointer(model).load(plain + "?matching_heuristics=True")  # not for .pkl files
    torch.testing.assert_close(model.backbone.stem.conv1.bias.detach(), before)
    with pytest.raises(ValueError, match="other"):
        DetectionCheckpointer(model).load(str(tmp_path / "z.pth?other=True"))


def test_caffe2_names_equal_the_recorded_ones(read_records):
    record = read_records("b_checkpoint")["c2_names"]
    weights = {name: torch.zeros(12, 2) for name in record["map"]}
    converted, origin = convert_c2_detectron_names(weights)
    assert {old: new for new, old in origin.items()} == record["map"]
    assert set(converted) == set(record["map"].values())
    basic = {k: v for k, v in record["map"].items() if k.startswith(("res", "conv1"))}
    assert convert_basic_c2_names(list(basic)) == list(basic.values())


def test_background_moves_to_the_end(read_records):
    record = read_records("b_checkpoint")["c2_names"]
    shapes = record["shape_changes"]
    weights = {name: torch.zeros(before) for name, (before, _) in shapes.items()}
    weights["cls_score_w"] = torch.arange(8.0).reshape(4, 2)
    converted, _ = convert_c2_detectron_names(weights)
    for name, (_, after) in shapes.items():
        assert list(converted[record["map"][name]].shape) == after
    rows = record["cls_score_rows (background first -> last)"]
    assert converted["cls_score.weight"].tolist() == rows


def test_matching_equals_the_recorded_one(read_records):
    record = read_records("b_checkpoint")["matching_heuristics"]
    conv = {"weight": (3, 2), "bias": (3,)}
    shapes = {
        "backbone.stem.conv1": conv,
        "backbone.res2": {"weight": (5, 4), "bias": (5,)},
        "head.conv1": {"weight": (7, 2), "bias": (7,)},
    }
    model = {f"{k}.{n}": torch.zeros(s) for k, v in shapes.items() for n, s in v.items()}
    assert list(model) == record["model_keys"]
    file = {name: torch.ones(shape) for name, shape in record["checkpoint"].items()}
    result = align_and_update_state_dicts(model, file, c2_conversion=False)
    assert sorted(result) == record["result_keys"]


def test_matching_nothing_and_matching_twice():
    model = {"a.x": torch.zeros(1), "b.x": torch.zeros(1)}
    file = {"y": torch.zeros(1)}
    assert set(align_and_update_state_dicts(model, file, c2_conversion=False)) == {"y"}
    with pytest.raises(ValueError, match="Cannot match one checkpoint key to multiple keys"):
        align_and_update_state_dicts(model, {"x": torch.zeros(1)}, c2_conversion=False)


def test_the_longest_suffix_wins():
    model = {"backbone.stem.conv1.weight": torch.zeros(1)}
    file = {"conv1.weight": torch.zeros(1), "stem.conv1.weight": torch.ones(1)}
    result = align_and_update_state_dicts(model, file, c2_conversion=False)
    assert result["backbone.stem.conv1.weight"].item() == 1
    assert "conv1.weight" in result
