import pytest
import torch

from dvps_d2.layers import MLP, FeedForwardLayer


def test_mlp_has_relu_between_its_layers_and_none_at_the_end():
    mlp = MLP(1, 1, 1, num_layers=2)
    with torch.no_grad():
        for layer, weight in zip(mlp.layers, (1.0, -2.0), strict=True):
            layer.weight.fill_(weight)
            layer.bias.zero_()
    out = mlp(torch.tensor([[3.0], [-3.0]]))
    assert out.tolist() == [[-6.0], [0.0]]


def test_mlp_dimensions():
    mlp = MLP(2, 5, 3, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(5, 2), (5, 5), (3, 5)]
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        MLP(2, 5, 3, num_layers=0)


def test_feed_forward_layer_is_a_norm_of_the_residual_sum():
    layer = FeedForwardLayer(2, 4)
    with torch.no_grad():
        layer.linear2.weight.zero_()
        layer.linear2.bias.zero_()
    # Nothing is added, so the row (1, 3) is only normalised: mean 2, deviation 1.
    out = layer(torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(out, torch.tensor([[-1.0, 1.0]]), rtol=0, atol=1e-4)
