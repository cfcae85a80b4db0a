"""What is done to a depth map before it is saved or shown; 0 means "no estimate" throughout."""

from __future__ import annotations

import torch
from torch import Tensor


def clip_depth(depth: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """Bring every estimate into a range of metres, and leave "no estimate" (0) alone.

    Args:
        depth: any shape, metres.
        min_depth: metres, > 0 for an estimate to stay distinguishable from none.
        max_depth: metres.

    Returns:
        The same shape; NaN becomes 0, because it is no estimate either.
    """
    known = depth > 0
    return torch.where(known, depth.clamp(min_depth, max_depth), torch.zeros_like(depth))


def fill_gaps(depth: Tensor, fallback: Tensor) -> Tensor:
    """Use ``fallback`` (metres, same shape) where ``depth`` has no finite positive estimate."""
    known = (depth > 0) & torch.isfinite(depth)
    return torch.where(known, depth, fallback.to(depth.dtype))


def sky_to_max(depth: Tensor, is_sky: Tensor, max_depth: float) -> Tensor:
    """Put the sky at the far end, where stereo and lidar measure nothing.

    Args:
        depth: (..., H, W) metres.
        is_sky: (..., H, W) bool, pixels whose predicted class is sky.
        max_depth: metres.

    Returns:
        (..., H, W) metres.

    Source: Kim et al., MinDVPS, 2023, caption of figure 3 (done there for pictures). Scores hardly
    see it: ground truth has no depth in the sky, and pixels without depth are not tested.
    """
    return torch.where(is_sky, torch.full_like(depth, max_depth), depth)
