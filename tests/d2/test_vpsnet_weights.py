"""Released VPSNet files: every key has its place, and class orders are turned round."""

import json
from pathlib import Path

import pytest
import torch

from dvps_d2.d2.vpsnet_weights import (
    background_last,
    boxes_without_background,
    without_background,
)
from dvps_d2.d2.weights import convert_keys, find_family, fit_to_model, outline_of_model

ROOT = Path(__file__).parents[2]
FUSETRACK = json.loads((ROOT / "tests" / "data" / "vpsnet_fusetrack_keys.json").read_text())
CONFIGS = ROOT / "configs" / "experiments" / "cityscapes_vps"


def released(*without):
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in FUSETRACK.items()
        if not key.startswith(without)
    }


TABLES = {
    "base": released("flownet2", "extra_neck", "track_head"),
    "fuse": released("track_head"),
    "track": released("flownet2", "extra_neck"),
    "fusetrack": released(),
}


@pytest.mark.parametrize("name", TABLES)
def test_nothing_is_missing_and_nothing_left_over(name):
    conversion = convert_keys(TABLES[name])
    fit = fit_to_model(
        conversion.weights, outline_of_model(str(CONFIGS / f"vpsnet_{name}_R50.yaml"))
    )
    assert conversion.family == "VPSNet"
    assert fit.dropped == {}
    assert fit.leftover == ()
    assert fit.new == ()
    assert all(key.startswith("flownet2.") for key in conversion.left_out)


def test_siamtrack_starts_from_track():
    model = outline_of_model(str(CONFIGS / "vpsnet_siamtrack_R50.yaml"))
    fit = fit_to_model(convert_keys(TABLES["track"]).weights, model)
    assert fit.leftover == ()
    assert {key.split(".projection")[0] for key in fit.new} == {"criterion.siamese"}


def test_our_own_files_are_no_released_ones():
    own = outline_of_model(str(CONFIGS / "vpsnet_track_R50.yaml"))
    assert find_family(own) is None
    assert not any(key.startswith("pipeline") for key in own)


def test_background_moves_or_goes():
    rows = torch.tensor([[0.0], [1], [2]])  # background, then two classes
    assert background_last(rows).flatten().tolist() == [1, 2, 0]
    assert without_background(rows).flatten().tolist() == [1, 2]
    boxes = torch.arange(12.0)
    assert boxes_without_background(boxes).tolist() == [4, 5, 6, 7, 8, 9, 10, 11]


def test_tensors_are_changed_with_their_keys():
    file = {
        "bbox_head.fc_cls.weight": torch.tensor([[0.0], [1], [2]]),
        "bbox_head.fc_reg.bias": torch.arange(12.0),
        "mask_head.conv_logits.bias": torch.arange(3.0),
        "backbone.layer2.0.downsample.1.weight": torch.ones(1),
    }
    converted = convert_keys(file).weights
    assert set(converted) == {
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.box_predictor.bbox_pred.bias",
        "roi_heads.mask_head.predictor.bias",
        "backbone.bottom_up.res3.0.shortcut.norm.weight",
    }
    assert converted["roi_heads.box_predictor.cls_score.weight"].flatten().tolist() == [1, 2, 0]
    assert converted["roi_heads.mask_head.predictor.bias"].tolist() == [1, 2]
