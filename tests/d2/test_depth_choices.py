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


def test_depth_of_the_last_layer_alone(tiny_cfg):
    losses, _ = trained_step(tiny_cfg(DEPTH + "DEEP_SUPERVISION", False))
    assert [name for name in losses if "depth" in name] == ["loss_depth"]


def test_layers_of_head_and_features(tiny_cfg):
    cfg = tiny_cfg(DEPTH + "HEAD_LAYERS", 1, DEPTH + "FEATURE_LAYERS", 2)
    _, model = trained_step(cfg)
    keys, usual = set(model.state_dict()), set(build_model(tiny_cfg()).state_dict())
    prefix = "sem_seg_head.depth_predictor."
    layers = {f"{n}.{kind}" for n in (0, 1) for kind in ("weight", "bias")}
    assert keys - usual == {f"{prefix}feature_embed.layers.{layer}" for layer in layers}
    assert {key.rsplit(".", 2)[0] for key in usual - keys} == {f"{prefix}depth_embed.layers"}
    assert (first_window(cfg, model)[0]["depth"] > 0).all()


@pytest.mark.parametrize("upsampling", ["logits", "nearest"])
def test_upsampling_changes_depth_alone(tiny_cfg, upsampling):
    def frames(*overrides):
        cfg = tiny_cfg(*overrides)
        torch.manual_seed(0)
        return first_window(cfg, build_model(cfg))

    for usual, other in zip(frames(), frames(DEPTH + "UPSAMPLING", upsampling), strict=True):
        assert torch.equal(usual["panoptic_seg"][0], other["panoptic_seg"][0])
        assert not torch.equal(usual["depth"], other["depth"])


@pytest.mark.parametrize("copied", [True, False])
def test_segmenter_weights_start_the_depth_decoder(tiny_cfg, copied, caplog):
    torch.manual_seed(1)
    segmenter = build_model(
        tiny_cfg("MODEL.META_ARCHITECTURE", "MinVIS", DEPTH + "ENABLED", False)
    ).state_dict()
    model = build_model(tiny_cfg(DEPTH + "COPY_DECODER", copied))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level("INFO", logger="dvps_d2"):
        report = model.load_state_dict(segmenter, strict=False)
    key = "sem_seg_head.{}predictor.query_feat.weight"
    wanted = segmenter[key.format("")] if copied else before[key.format("depth_")]
    assert torch.equal(model.state_dict()[key.format("depth_")], wanted)
    head = "sem_seg_head.depth_predictor.depth_embed.layers.0.weight"
    assert torch.equal(model.state_dict()[head], before[head])
    assert key.format("depth_") in report.missing_keys  # the file did not have it
    assert ("starts as a copy" in caplog.text) == copied


def test_weights_with_a_depth_decoder_are_not_overwritten(tiny_cfg):
    torch.manual_seed(1)
    trained = build_model(tiny_cfg()).state_dict()
    model = build_model(tiny_cfg())
    assert not model.load_state_dict(trained).missing_keys
    key = "sem_seg_head.depth_predictor.query_feat.weight"
    assert torch.equal(model.state_dict()[key], trained[key])


def test_keys_of_the_decoder_are_refused_without_one(dvis_cfg):
    cfg = dvis_cfg("dvis_online", DEPTH + "ENABLED", True, DEPTH + "GLOBAL_QUERY", False)
    with pytest.raises(ValueError, match="GLOBAL_QUERY=False is about the depth decoder, which"):
        build_model(cfg)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["MATCHING", "depth"], "DEPTH.MATCHING='depth' is not one of segmentation, own"),
        (["SI_FORM", "silog"], "DEPTH.SI_FORM='silog' is not one of eigen, polyphonic"),
        (["SQ_FORM", "square"], "DEPTH.SQ_FORM='square' is not one of root, kitti, eigen"),
        (["BEYOND_MAX", "drop"], "DEPTH.BEYOND_MAX='drop' is not one of ignore, clip"),
        (["LOSS_RESOLUTION", "half"], "DEPTH.LOSS_RESOLUTION='half' is not one of mask, full"),
        (["UPSAMPLING", "cubic"], "DEPTH.UPSAMPLING='cubic' is not one of metres, logits, nearest"),
        (["GLOBAL_QUERY", False, DEPTH + "GLOBAL_WEIGHT", 0.5], "GLOBAL_WEIGHT=0.5 weighs the"),
    ],
)
def test_mistakes_are_named(tiny_cfg, overrides, text):
    with pytest.raises(ValueError, match=text):
        build_model(tiny_cfg(DEPTH + overrides[0], *overrides[1:]))
