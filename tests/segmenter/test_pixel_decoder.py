import pytest
import torch

from dvps_d2.segmenter import PixelDecoder

CHANNELS = {"stem": 8, "res2": 8, "res3": 16, "res4": 24, "res5": 32}
STRIDES = {"stem": 2, "res2": 4, "res3": 8, "res4": 16, "res5": 32}


def small(**changes):
    torch.manual_seed(0)
    sizes = {
        "hidden_dim": 16,
        "mask_dim": 8,
        "encoder_layers": 1,
        "num_heads": 2,
        "feedforward_dim": 16,
    }
    return PixelDecoder(CHANNELS, STRIDES, **{**sizes, **changes})


def features(dtype=torch.float32):
    return {
        name: torch.randn(1, channels, 64 // STRIDES[name], 96 // STRIDES[name], dtype=dtype)
        for name, channels in CHANNELS.items()
    }


@pytest.mark.parametrize(("fpn_levels", "stride"), [((), 8), (("res2",), 4), (("res2", "stem"), 2)])
def test_mask_features_have_the_stride_of_the_last_pyramid_step(fpn_levels, stride):
    decoder = small(fpn_levels=fpn_levels)
    mask_features, levels = decoder(features())
    assert decoder.mask_stride == stride
    assert mask_features.shape == (1, 8, 64 // stride, 96 // stride)
    assert [tuple(level.shape[1:]) for level in levels] == [(16, 2, 3), (16, 4, 6), (16, 8, 12)]


def test_first_pyramid_step_is_number_one_whatever_follows():
    one = set(small().state_dict())
    two = set(small(fpn_levels=("res2", "stem")).state_dict())
    assert one < two
    assert {name.split(".")[0] for name in two - one} == {"adapter_2", "layer_2"}


@pytest.mark.parametrize(
    ("full_precision", "dtype"), [(True, torch.float32), (False, torch.bfloat16)]
)
def test_full_precision_leaves_autocast(full_precision, dtype):
    decoder = small(full_precision=full_precision)
    with torch.autocast("cpu", torch.bfloat16):
        mask_features, _ = decoder(features(torch.bfloat16))
    assert mask_features.dtype == dtype


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"fpn_levels": ("res1",)}, r"in_channels lacks \['res1'\]", id="unknown"),
        pytest.param({"encoder_levels": ()}, "at least one backbone output", id="none"),
        pytest.param({"fpn_levels": ("stem", "res2")}, "coarse to fine", id="order"),
        pytest.param({"encoder_levels": ("res5", "res3")}, "fine to coarse", id="reversed"),
    ],
)
def test_impossible_levels_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)
