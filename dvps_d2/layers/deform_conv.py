"""Deformable convolution with its own offset predictor."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformConv(nn.Module):
    """3x3 convolution whose nine taps move by offsets read from the input.

    Children are called ``conv_offset`` and ``conv``, as in released VPSNet weights. Offsets start
    at zero, so that an untrained layer is an ordinary convolution (the released code overwrites
    them with Xavier noise before training).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017, section 2.1 (no modulation).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_offset = nn.Conv2d(in_channels, 2 * 9, 3, padding=1)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        offsets = self.conv_offset(x)
        # The op has no autocast rule of its own.
        return deform_conv2d(x, offsets.to(x.dtype), self.conv.weight.to(x.dtype), padding=1)
