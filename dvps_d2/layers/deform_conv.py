"""Deformable convolution with its own offset predictor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

TAPS = 9  # of a 3x3 kernel
SAMPLES_AT_ONCE = 1 << 24  # what a CPU reads before it multiplies, outside training


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
        self.conv_offset = nn.Conv2d(in_channels, 2 * TAPS, 3, padding=1)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        offsets = self.conv_offset(x)
        # Neither path has an autocast rule, and torchvision's has no kernel for bfloat16.
        half = x.is_cuda and x.dtype == torch.float16
        dtype = x.dtype if half or x.dtype == torch.float64 else torch.float32
        weight = self.conv.weight.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            if x.is_cuda:
                moved = deform_conv2d(x.to(dtype), offsets.to(dtype), weight, padding=1)
            else:
                moved = sampled_convolution(x.to(dtype), offsets.to(dtype), weight)
        return moved.to(x.dtype)


def sampled_convolution(x: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    """Deformable convolution as bilinear sampling and a matrix product.

    The same numbers as torchvision's operator, whose gradient takes several times as long on CPUs.

    Args:
        x: (N, C, H, W); 0 outside.
        offsets: (N, 18, H, W) pixels, (dy, dx) for each tap, taps row by row.
        weight: (C', C, 3, 3).

    Returns:
        (N, C', H, W).
    """
    count, channels, height, width = x.shape
    places = _places(offsets)
    rows = height
    if not torch.is_grad_enabled():  # a gradient needs all samples anyway
        rows = max(1, SAMPLES_AT_ONCE // (count * channels * TAPS * width))
    matrix = weight.flatten(1)
    parts = []
    for band in places.split(rows, dim=2):
        taken = F.grid_sample(x, band.flatten(1, 2), align_corners=True)  # (N, C, 9 r, W)
        taken = taken.view(count, channels * TAPS, -1)
        parts.append((matrix @ taken).view(count, len(weight), -1, width))
    return torch.cat(parts, dim=2)


def _places(offsets: Tensor) -> Tensor:
    """(N, 18, H, W) -> (N, 9, H, W, 2) where each tap reads, as ``grid_sample`` counts (x, y)."""
    height, width = offsets.shape[-2:]
    dy, dx = offsets.unflatten(1, (TAPS, 2)).unbind(dim=2)
    steps = torch.arange(-1, 2, device=offsets.device, dtype=offsets.dtype)
    rows = torch.arange(height, device=offsets.device, dtype=offsets.dtype).unsqueeze(-1)
    columns = torch.arange(width, device=offsets.device, dtype=offsets.dtype)
    y = rows + steps.repeat_interleave(3).view(TAPS, 1, 1) + dy
    x = columns + steps.repeat(3).view(TAPS, 1, 1) + dx
    # -1 and 1 are the centres of the first and the last pixel; a side of one pixel has one centre,
    # and what lies beside it is outside.
    x, y = (
        2 * at / (side - 1) - 1 if side > 1 else at * 2 for at, side in ((x, width), (y, height))
    )
    return torch.stack([x, y], dim=-1)
