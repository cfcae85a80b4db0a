import pytest
import torch
from detectron2.modeling import build_model

BEFORE = {"dvis_online": "sem_seg_head.predictor", "dvis_offline": "tracker"}
STAGE = {"dvis_online": "tracker", "dvis_offline": "refiner"}


def weights(model, left_out=()):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for value in state.values():
        if value.is_floating_point():
            value += torch.arange(value.numel()).view(value.shape).to(value) * 1e-4
    return {key: value for key, value in state.items() if not key.startswith(tuple(left_out))}


@pytest.mark.parametrize("name", STAGE)
def test_heads_start_as_copies_of_the_stage_before(dvis_cfg, name):
    model = build_model(dvis_cfg(name, "MODEL.TRACKER.COPY_HEADS", True))
    layers = model.state_dict()[f"{STAGE[name]}.transformer_ffn_layers.0.linear1.weight"].clone()
    given = weights(model, left_out=[f"{STAGE[name]}."])
    report = model.load_state_dict(given, strict=False)
    state = model.state_dict()
    for head in ("decoder_norm.weight", "class_embed.bias", "mask_embed.layers.2.weight"):
        assert state[f"{STAGE[name]}.{head}"].equal(given[f"{BEFORE[name]}.{head}"])
        assert f"{STAGE[name]}.{head}" in report.missing_keys
    assert state[f"{STAGE[name]}.transformer_ffn_layers.0.linear1.weight"].equal(layers)


@pytest.mark.parametrize("name", STAGE)
def test_heads_of_a_file_that_has_them_are_kept(dvis_cfg, name):
    model = build_model(dvis_cfg(name, "MODEL.TRACKER.COPY_HEADS", True))
    given = weights(model)
    model.load_state_dict(given)
    stage = {k: v for k, v in model.state_dict().items() if k.startswith(STAGE[name])}
    assert len(stage) > 10
    assert [key for key, value in stage.items() if not value.equal(given[key])] == []


@pytest.mark.parametrize("name", STAGE)
def test_heads_stay_as_they_are_without_the_switch(dvis_cfg, name):
    model = build_model(dvis_cfg(name, "MODEL.TRACKER.COPY_HEADS", False))
    key = f"{STAGE[name]}.class_embed.weight"
    first = model.state_dict()[key].clone()
    model.load_state_dict(weights(model, left_out=[f"{STAGE[name]}."]), strict=False)
    assert model.state_dict()[key].equal(first)
