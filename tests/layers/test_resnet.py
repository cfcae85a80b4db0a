import pytest
import torch

from dvps_d2.layers import CompactResNet


def test_outputs_have_the_promised_channels_and_strides():
    net = CompactResNet(16, (1, 1, 1, 1)).eval()
    with torch.no_grad():
        outputs = net(torch.randn(1, 3, 64, 96))
    assert list(outputs) == ["stem", "res2", "res3", "res4", "res5"]
    for name, (channels, stride) in net.output_shapes().items():
        assert outputs[name].shape == (1, channels, 64 // stride, 96 // stride)
    assert net.output_shapes()["stem"] == (16, 2)
    assert net.output_shapes()["res5"] == (128, 32)


def test_odd_sizes_are_rounded_up():
    net = CompactResNet(16, (1, 1, 1, 1)).eval()
    with torch.no_grad():
        outputs = net(torch.randn(1, 3, 33, 35))
    assert outputs["stem"].shape[-2:] == (17, 18)
    assert outputs["res5"].shape[-2:] == (2, 2)


def test_channels_last_memory_changes_nothing_and_trains():
    torch.manual_seed(0)
    net = CompactResNet(16, (1, 1, 1, 1))
    images = torch.randn(2, 3, 64, 64)
    expected = net(images)["res5"]
    net = net.to(memory_format=torch.channels_last)
    out = net(images.contiguous(memory_format=torch.channels_last))["res5"]
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"width": 8}, "width must be at least 16.*got 8", id="crashes torch"),
        pytest.param({"blocks": (2, 2, 2)}, "four positive numbers", id="three stages"),
        pytest.param({"blocks": (2, 2, 0, 2)}, "four positive numbers", id="empty stage"),
    ],
)
def test_impossible_layouts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompactResNet(**arguments)
