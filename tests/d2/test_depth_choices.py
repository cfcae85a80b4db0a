"""Every open choice of the depth branch as a config key, from the config to a trained step."""

import pytest
import torch
from detectron2.modeling import build_model

from dvps_d2.d2 import build_clip_train_loader, build_video_test_loader
from dvps_d2.tracker.depth_slots import DepthInFixedSlots

DEPTH = "MODEL.DVPS.DEPTH."


def trained_step(cfg):
    """Losses and model after one backward pass; every parameter must have been reached."""
    torch.manual_seed(0)
    model = build_model(cfg).train()
    losses = model(next(iter(build_clip_train_loader(cfg))))
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    unreached = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unreached == []
    return {name: value.item() for name, value in losses.items()}, model


def first_window(cfg, model):
    """Outputs of the first window of validation."""
    (item,) = next(iter(build_video_test_loader(cfg, "toy_street_val")))
    with torch.no_grad():
        (out,) = model.eval()([item])
    return list(out["frames"])


def test_without_global_query(tiny_cfg):
    cfg = tiny_cfg(DEPTH + "GLOBAL_QUERY", False)
    _, model = trained_step(cfg)
    keys = set(model.state_dict())
    assert set(build_model(tiny_cfg()).state_dict()) - keys == {
        f"sem_seg_head.depth_predictor.global_depth_{name}.weight" for name in ("feat", "embed")
    }
    for frame in first_window(cfg, model):
        assert (frame["depth"] > 0).all()


@pytest.mark.parametrize(("key", "value"), [("MATCHING", "own"), ("MASKED_ATTENTION", False)])
def test_a_choice_changes_the_depth_loss_alone(tiny_cfg, key, value):
    usual, model = trained_step(tiny_cfg())
    other, changed = trained_step(tiny_cfg(DEPTH + key, value))
    differs = {name for name in usual if usual[name] != other[name]}
    assert differs
    assert all(name.startswith("loss_depth") for name in differs)
    assert set(changed.state_dict()) == set(model.state_dict())


def test_depth_that_does_not_follow_its_mask(tiny_cfg):
    cfg = tiny_cfg(DEPTH + "FOLLOW_TRACKS", False)
    torch.manual_seed(0)
    model = build_model(cfg)
    assert isinstance(model.pipeline.tracker, DepthInFixedSlots)
    plain = build_model(tiny_cfg())
    assert set(model.state_dict()) == set(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    pairs = list(zip(first_window(cfg, model), first_window(cfg, plain), strict=True))
    for ours, theirs in pairs:
        assert torch.equal(ours["panoptic_seg"][0], theirs["panoptic_seg"][0])
    assert torch.equal(pairs[0][0]["depth"], pairs[0][1]["depth"])  # nothing has moved yet


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["MATCHING", "depth"], "DEPTH.MATCHING='depth' is not one of segmentation, own"),
        (["GLOBAL_QUERY", False, DEPTH + "GLOBAL_WEIGHT", 0.5], "GLOBAL_WEIGHT=0.5 weighs the"),
    ],
)
def test_mistakes_are_named(tiny_cfg, overrides, text):
    with pytest.raises(ValueError, match=text):
        build_model(tiny_cfg(DEPTH + overrides[0], *overrides[1:]))
