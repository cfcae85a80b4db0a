"""Points instead of pixels: where to look at masks, and what is there.

Points are (x, y) in 0..1 of the frame, so the same points address grids of any resolution; pixel
centres of an H x W grid are at ((j + 0.5) / W, (i + 0.5) / H).
"""

from __future__ import annotations

from collections.abc import Iterator

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


def sample_masks(masks: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of boolean masks at shared points, without a float copy of the masks.

    Args:
        masks: (F, N, H, W) bool.
        points: (F, P, 2), shared by the N masks of a frame.

    Returns:
        (F, N, P) float32 in 0..1; 0 outside.
    """
    frames, count, height, width = masks.shape
    pixels = masks.flatten(2)
    value = torch.zeros(frames, count, points.shape[1], device=masks.device)
    for index, weight in _corners(points, height, width):
        hit = pixels.gather(2, index.unsqueeze(1).expand(-1, count, -1))
        value += hit * weight.unsqueeze(1)
    return value


def sample_chosen_masks(masks: Tensor, frame: Tensor, row: Tensor, points: Tensor) -> Tensor:
    """As :func:`sample_masks`, for masks ``masks[frame[m], row[m]]`` with points of their own.

    Args:
        masks: (F, N, H, W) bool.
        frame, row: (M,) int64.
        points: (M, P, 2).

    Returns:
        (M, P) float32 in 0..1; 0 outside.
    """
    height, width = masks.shape[-2:]
    start = ((frame * masks.shape[1] + row) * (height * width)).unsqueeze(-1)
    value = torch.zeros(points.shape[:2], device=masks.device)
    for index, weight in _corners(points, height, width):
        value += masks.take(start + index) * weight
    return value


def _corners(points: Tensor, height: int, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The four pixels around each point: flat index and bilinear weight, 0 beyond the edges."""
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    for row, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
        weight_y = weight_y * ((row >= 0) & (row < height))
        for column, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
            weight_x = weight_x * ((column >= 0) & (column < width))
            # Integers before the product: float32 cannot count the pixels of a large frame.
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            yield index, (weight_x * weight_y).float()


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
