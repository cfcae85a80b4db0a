import pytest
import torch
from torchvision.ops import deform_conv2d

from dvps_d2.layers import deform_conv
from dvps_d2.layers.deform_conv import DeformConv, sampled_convolution


def test_without_offsets_it_is_a_convolution():
    layer = DeformConv(4, 3).double()
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    assert torch.allclose(layer(x), layer.conv(x))


@pytest.mark.parametrize("size", [(5, 7), (2, 3)], ids=["5 x 7", "2 x 3"])
def test_sampling_gives_the_numbers_and_gradients_of_torchvision(size):
    torch.manual_seed(0)
    inputs = [
        torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True),
        (3 * torch.randn(2, 18, *size, dtype=torch.float64)).requires_grad_(),
        torch.randn(3, 4, 3, 3, dtype=torch.float64, requires_grad=True),
    ]
    ours = sampled_convolution(*inputs)
    theirs = deform_conv2d(*inputs, padding=1)
    assert torch.allclose(ours, theirs, atol=1e-10)
    towards = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, towards),
        torch.autograd.grad(theirs, inputs, towards),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-8)


@torch.no_grad()
def test_bands_of_rows_give_what_the_whole_gives(monkeypatch):
    x, offsets, weight = torch.randn(1, 4, 9, 6), torch.randn(1, 18, 9, 6), torch.randn(3, 4, 3, 3)
    whole = sampled_convolution(x, offsets, weight)
    monkeypatch.setattr(deform_conv, "SAMPLES_AT_ONCE", 2 * 4 * 9 * 6)  # two rows
    assert torch.allclose(sampled_convolution(x, offsets, weight), whole, atol=1e-6)


def test_it_trains_under_bfloat16_autocast():
    layer = DeformConv(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(torch.randn(1, 4, 6, 6).bfloat16())
    found.float().sum().backward()
    assert found.dtype == torch.bfloat16
    assert layer.conv.weight.grad.abs().sum() > 0
