"""Optical flow between two frames: what an estimator is, and how to warp along it.

Flow is (N, 2, H, W) in pixels as (dx, dy), from key frame to reference frame: the point at (x, y)
of the key frame is at (x + dx, y + dy) of the reference frame. Warping brings the reference frame
onto the key frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class FramePair(NamedTuple):
    """Which frames a flow lies between; for estimators that look flows up instead of pixels."""

    video_id: str
    key_frame: int
    reference_frame: int


class FlowEstimator(Protocol):
    """Find the flow of pairs of frames."""

    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """Estimate.

        Args:
            key: (N, 3, H, W) float RGB in 0..255, padded right and bottom.
            reference: (N, 3, H, W), the same for the reference frames.
            pairs: names of the N pairs, where they are known.

        Returns:
            (N, 2, H, W) float pixels from key to reference, without gradient.
        """
        ...


def warp(values: Tensor, flow: Tensor, *, legacy: bool = False, outside: str = "zeros") -> Tensor:
    """Bring maps of the reference frame onto the key frame.

    Args:
        values: (N, C, H, W) of the reference frame.
        flow: (N, 2, H, W) pixels of this grid, key to reference.
        legacy: sample as released VPSNet weights were trained: the grid counts from the centres of
            the corner pixels, the sampling from their outer edges, so that even a flow of zero
            shrinks the map by half a pixel at its borders.
        outside: what is seen where the flow leaves the map, "zeros" or the nearest "border".

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: the two grids differ.
    """
    height, width = values.shape[-2:]
    if flow.shape != (values.shape[0], 2, height, width):
        raise ValueError(
            f"flow must be (N, 2, H, W) on the grid of values {tuple(values.shape)}, got "
            f"{tuple(flow.shape)}; use resize_flow first"
        )
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).unsqueeze(-1) + flow[:, 1]
    # -1 and 1 are the centres of the first and the last pixel.
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(
        values,
        grid.to(values.dtype),
        mode="bilinear",
        padding_mode=outside,
        align_corners=not legacy,
    )


def resize_flow(flow: Tensor, size: Sequence[int]) -> Tensor:
    """Flow on another grid, in pixels of that grid.

    Args:
        flow: (N, 2, H, W).
        size: (h, w) of the new grid.
    """
    height, width = flow.shape[-2:]
    scale = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return F.interpolate(flow, size=tuple(size), mode="bilinear", align_corners=False) * scale


def local_correlation(key: Tensor, reference: Tensor, radius: int, step: int = 1) -> Tensor:
    """How well each place of the key frame fits the places around it in the reference frame.

    Args:
        key: (N, C, H, W).
        reference: (N, C, H, W); 0 outside.
        radius: largest displacement r along each axis.
        step: between displacements; divides ``radius``.

    Returns:
        (N, (2r/step + 1)^2, H, W): mean over channels of the product; displacements row by row, dy
        outside and dx inside, from -r to r.
    """
    height, width = key.shape[-2:]
    padded = F.pad(reference, (radius,) * 4)
    offsets = range(0, 2 * radius + 1, step)
    return torch.stack(
        [
            (key * padded[..., dy : dy + height, dx : dx + width]).mean(dim=1)
            for dy in offsets
            for dx in offsets
        ],
        dim=1,
    )
