"""Where a token is: the fixed two-dimensional sine code."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Keeps the division finite on empty grids; part of the published definition, so that the last
# coordinate is a hair below 2 pi.
_EPSILON = 1e-6


def sine_position(
    height: int,
    width: int,
    channels: int,
    *,
    temperature: float = 10000.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Two-dimensional sine code of every cell of a grid.

    Coordinates count from 1 and are scaled so that the last row and the last column are at 2 pi.
    The first half of the channels codes y, the second half x; within a half, sine and cosine of
    one frequency are neighbours.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        channels: length of the code; a multiple of 4.
        temperature: ratio of the longest to the shortest wavelength.
        device: where the result is made.
        dtype: of the result; computed in this type too.

    Returns:
        (height * width, channels), cells in row-major order.

    Raises:
        ValueError: ``channels`` is not a multiple of 4.

    Source: Carion et al., 2020 (DETR), appendix; Cheng et al., 2022 (Mask2Former).
    """
    if channels % 4:
        raise ValueError(
            f"channels must be a multiple of 4 (sin, cos of y and of x), got {channels}"
        )
    half = channels // 2
    exponents = torch.arange(0, half, 2, device=device, dtype=dtype) / half
    frequencies = temperature**-exponents

    def axis(size: int) -> Tensor:
        steps = torch.arange(1, size + 1, device=device, dtype=dtype)
        angles = (steps * (2 * math.pi / (size + _EPSILON)))[:, None] * frequencies
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (size, half)

    rows = axis(height)[:, None, :].expand(height, width, half)
    columns = axis(width)[None, :, :].expand(height, width, half)
    return torch.cat((rows, columns), dim=-1).flatten(0, 1)
