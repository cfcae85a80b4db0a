import pytest
import torch
import torch.nn.functional as F

from dvps_d2.layers import GroupNorm, group_norm

F64 = torch.float64


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (32, 32), (48, 16), (8, 8), (6, 2)])
def test_group_norm_has_as_many_of_32_groups_as_divide_the_channels(channels, groups):
    assert group_norm(channels).num_groups == groups


def setup(memory_format, dtype=F64):
    torch.manual_seed(0)
    norm = GroupNorm(2, 6).to(dtype)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (torch.randn(2, 6, 3, 4) + 1.0).to(dtype).contiguous(memory_format=memory_format)
    return norm, x.requires_grad_()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_pytorch_in_either_memory_format(memory_format):
    norm, x = setup(memory_format)
    upstream = torch.randn(x.shape, dtype=F64)
    inputs = (x, norm.weight, norm.bias)
    ours = norm(x)
    theirs = F.group_norm(x.contiguous(), 2, norm.weight, norm.bias)
    torch.testing.assert_close(ours, theirs)
    for got, expected in zip(
        torch.autograd.grad(ours, inputs, upstream),
        torch.autograd.grad(theirs, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(got, expected)


def test_channels_last_gradients_are_those_of_finite_differences():
    norm, x = setup(torch.channels_last)
    assert torch.autograd.gradcheck(norm, (x,))


def test_bfloat16_gradients_stay_close():
    norm, x = setup(torch.channels_last, torch.float32)
    upstream = torch.randn(x.shape)
    expected = torch.autograd.grad(norm(x), (x, norm.weight), upstream)
    half = x.detach().bfloat16().requires_grad_()
    got = torch.autograd.grad(norm(half), (half, norm.weight), upstream.bfloat16())
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.05, atol=0.05)
