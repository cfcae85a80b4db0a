"""The published Mask2Former, reproduced: its numbers, and its parameter names and shapes."""

import json
from pathlib import Path

import pytest
import torch

from dvps_d2.segmenter import MaskedAttentionDecoder, PixelDecoder

DATA = Path(__file__).parents[1] / "data"
RECORDS = json.loads((DATA / "mask2former_small.json").read_text())
KEYS = json.loads((DATA / "minvis_r50_vipseg_keys.json").read_text())

STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}


def wave(shape, phase=0.0, scale=1.0):
    count = torch.Size(shape).numel()
    k = torch.arange(count, dtype=torch.float64)
    return (scale * torch.sin(0.37 * k**1.1 + phase)).reshape(shape).float()


def fill_with_waves(module):
    """Parameters sorted by name; number i gets 0.1 sin(0.7 k + i), norm weights 1 more."""
    for number, (name, parameter) in enumerate(sorted(module.named_parameters())):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        values = 0.1 * torch.sin(0.7 * k + number)
        if "norm" in name and name.endswith("weight"):
            values += 1.0
        parameter.data.copy_(values.reshape(parameter.shape))
    return module.eval()


def assert_recorded(tensor, record):
    assert list(tensor.shape) == record["shape"]
    values = tensor.detach().double()
    # The records have six decimals; sums collect float32 rounding.
    torch.testing.assert_close(
        values.flatten()[: len(record["first"])],
        torch.tensor(record["first"], dtype=torch.float64),
        rtol=0,
        atol=2e-5,
    )
    assert values.abs().sum().item() == pytest.approx(record["abs"], rel=1e-5)
    assert values.sum().item() == pytest.approx(record["sum"], abs=1e-5 * record["abs"])


@pytest.fixture(scope="module")
def pixels():
    decoder = PixelDecoder(
        {"res2": 8, "res3": 16, "res4": 24, "res5": 32},
        STRIDES,
        hidden_dim=32,
        mask_dim=16,
        encoder_layers=2,
        num_heads=4,
        feedforward_dim=48,
    )
    features = {
        "res2": wave((1, 8, 16, 24)),
        "res3": wave((1, 16, 8, 12), 1),
        "res4": wave((1, 24, 4, 6), 2),
        "res5": wave((1, 32, 2, 3), 3),
    }
    with torch.no_grad():
        return fill_with_waves(decoder)(features)


def test_pixel_decoder_gives_the_recorded_numbers(pixels):
    mask_features, levels = pixels
    records = RECORDS["pixel_decoder"]
    assert_recorded(mask_features, records["mask_features"])
    for number, level in enumerate(levels):
        assert_recorded(level, records[f"ms{number}"])


def test_decoder_gives_the_recorded_numbers(pixels):
    mask_features, levels = pixels
    decoder = MaskedAttentionDecoder(
        hidden_dim=32,
        num_queries=7,
        num_classes=5,
        num_layers=3,
        num_heads=4,
        feedforward_dim=64,
        mask_dim=16,
    )
    with torch.no_grad():
        output = fill_with_waves(decoder)(mask_features, levels)
    first, last = output.layers[0], output.layers[-1]

    def masks(prediction):
        return torch.einsum("nqc,nchw->nqhw", prediction.mask_embeds, prediction.mask_features)

    assert len(output.layers) == 4
    assert_recorded(last.class_logits, RECORDS["decoder"]["pred_logits"])
    assert_recorded(masks(last), RECORDS["decoder"]["pred_masks"])
    assert_recorded(masks(first), RECORDS["decoder"]["aux0_masks"])


def published(prefix):
    return {
        name.removeprefix(prefix): tuple(shape)
        for name, shape in KEYS.items()
        if name.startswith(prefix)
    }


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def test_pixel_decoder_has_the_published_names_and_shapes():
    decoder = PixelDecoder({"res2": 256, "res3": 512, "res4": 1024, "res5": 2048}, STRIDES)
    assert shapes_of(decoder) == published("sem_seg_head.pixel_decoder.")


def test_decoder_has_the_published_names_and_shapes():
    decoder = MaskedAttentionDecoder(num_classes=124)
    assert shapes_of(decoder) == published("sem_seg_head.predictor.")
