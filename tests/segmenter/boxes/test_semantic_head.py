import torch
import torch.nn.functional as F

from dvps_d2.layers.deform_conv import DeformConv
from dvps_d2.segmenter.boxes.semantic_head import SemanticHead


def test_a_fresh_deformable_convolution_is_an_ordinary_one():
    torch.manual_seed(0)
    layer, x = DeformConv(4, 6), torch.randn(2, 4, 5, 7)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.conv.weight, padding=1))


def test_offsets_are_pairs_of_dy_and_dx():
    """One tap in the middle, moved one pixel down and two to the right."""
    layer = DeformConv(1, 1)
    layer.conv.weight.data.zero_()[0, 0, 1, 1] = 1
    layer.conv_offset.bias.data[8:10] = torch.tensor([1.0, 2.0])  # tap 4 of 9
    x = torch.arange(20.0).view(1, 1, 4, 5)
    assert layer(x)[0, 0, 0].tolist() == [7, 8, 9, 0, 0]


def test_shapes_and_published_names():
    head = SemanticHead(64, 5, head_channels=32)
    levels = [torch.randn(2, 64, 16 >> i, 24 >> i) for i in range(4)]
    assert head(levels).shape == (2, 5, 16, 24)
    assert set(head.state_dict()) == {
        "conv_pred.conv.weight",
        "conv_pred.conv.bias",
        *(
            f"deform_convs.0.{layer}.{name}"
            for layer in (0, 3, 6)
            for name in ("conv.weight", "conv_offset.weight", "conv_offset.bias")
        ),
        *(f"deform_convs.0.{norm}.{name}" for norm in (1, 4, 7) for name in ("weight", "bias")),
    }
    head(levels).sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_ordinary_convolutions_start_as_fresh_deformable_ones_and_have_no_offsets():
    moving, fixed = (SemanticHead(32, 5, head_channels=32, deformable=d) for d in (True, False))
    assert not any("offset" in name for name in fixed.state_dict())
    stored = {k.replace(".conv.weight", ".weight"): v for k, v in moving.state_dict().items()}
    fixed.load_state_dict({name: stored.get(name, v) for name, v in fixed.state_dict().items()})
    fixed.conv_pred.load_state_dict(moving.conv_pred.state_dict())
    levels = [torch.randn(1, 32, 16 >> i, 24 >> i) for i in range(4)]
    torch.testing.assert_close(fixed(levels), moving(levels))
