import torch

from dvps_d2.layers import ConvNorm, group_norm


def test_conv_norm_keeps_the_size_and_ends_with_its_activation():
    conv = ConvNorm(1, 2, 3, norm=group_norm(2), relu=True)
    assert set(conv.state_dict()) == {"weight", "norm.weight", "norm.bias"}
    out = conv(torch.randn(1, 1, 5, 7))
    assert out.shape == (1, 2, 5, 7)
    assert out.min() == 0
    assert out.max() > 0


def test_conv_norm_without_norm_has_a_bias_and_no_activation():
    conv = ConvNorm(1, 1)
    with torch.no_grad():
        conv.weight.fill_(2.0)
        conv.bias.fill_(-1.0)
    assert conv(torch.tensor([[[[0.0, 3.0]]]])).flatten().tolist() == [-1.0, 5.0]
