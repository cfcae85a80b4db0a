"""Points instead of pixels: where to look at masks, and what is there.

Points are (x, y) in 0..1 of the frame, so the same points address grids of any resolution; pixel
centres of an H x W grid are at ((j + 0.5) / W, (i + 0.5) / H).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform_points(
    count: int, num_points: int, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """(count, num_points, 2) points, independent and uniform over the frame."""
    return torch.rand(count, num_points, 2, device=device, generator=generator)


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of float maps; 0 outside, as beyond the padding of a frame.

    Args:
        maps: (M, C, h, w) float.
        points: (M, P, 2), shared by the C channels of a map.

    Returns:
        (M, C, P), differentiable in ``maps``.
    """
    # grid_sample wants -1..1 where align_corners=False makes -1 and 1 the outer pixel edges.
    grid = (2 * points - 1).unsqueeze(1).to(maps.dtype)
    return F.grid_sample(maps, grid, align_corners=False).squeeze(2)


def sample_masks(masks: Tensor, rows: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of some boolean masks, without a float copy of the masks.

    Args:
        masks: (R, H, W) bool.
        rows: (M,) int64, which mask each row of points looks at.
        points: (M, P, 2).

    Returns:
        (M, P) float32 in 0..1; 0 outside.
    """
    height, width = masks.shape[-2:]
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    start = (rows * (height * width)).unsqueeze(-1)
    value = torch.zeros_like(x, dtype=torch.float32)
    for column, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            hit = masks.take(start + index.long()) & inside
            value += hit * (weight_x * weight_y)
    return value


@torch.no_grad()
def uncertain_points(
    logits: Tensor,
    num_points: int,
    *,
    oversample: float = 3.0,
    importance: float = 0.75,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Points where a mask is least sure of itself, and some uniform ones.

    Args:
        logits: (M, h, w) mask logits.
        num_points: P points per mask.
        oversample: candidates drawn per point wanted, >= 1.
        importance: share of the points taken from the most uncertain candidates, 0..1.
        generator: source of randomness on the device of ``logits``.

    Returns:
        (M, P, 2).

    Source: Kirillov et al., PointRend, 2020, section 3.1 (training); 3.0 and 0.75 as in
    Mask2Former.
    """
    count = logits.shape[0]
    candidates = uniform_points(count, int(num_points * oversample), logits.device, generator)
    certainty = sample_maps(logits.unsqueeze(1), candidates).squeeze(1).abs()  # (M, candidates)
    num_uncertain = int(num_points * importance)
    chosen = certainty.topk(num_uncertain, dim=1, largest=False, sorted=False).indices
    uncertain = candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
    anywhere = uniform_points(count, num_points - num_uncertain, logits.device, generator)
    return torch.cat([uncertain, anywhere], dim=1)
