"""Denoising queries: noised ground truth that the decoder must restore.

Matching is unstable early in training. Queries that start from a ground-truth segment need none:
they know whom they answer for, and teach the decoder to refine masks from the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dvps_d2.structures import ClipTargets, DenoisingQueries

from .pairs import Pairs
from .targets import FrameTargets, Size

# A cell belongs to a segment that covers this share of it.
HALF = 0.5


@dataclass(frozen=True, eq=False)
class DenoisingPlan:
    """Which segment each denoising query must restore.

    Attributes:
        pairs: F = B * T frames, R = G * N pairs; denoising query ``g * N + n`` and row n.
        groups: G.
    """

    pairs: Pairs
    groups: int


@torch.no_grad()
def make_denoising(
    targets: FrameTargets | Sequence[ClipTargets],
    num_classes: int,
    groups: int,
    grid: Size,
    *,
    label_noise: float = 0.2,
    mask_flip: float = 0.1,
    shift: float = 0.1,
    min_cells: float = 0.3,
    generator: torch.Generator | None = None,
) -> tuple[DenoisingQueries, DenoisingPlan]:
    """Noise the ground truth, a number of times independently.

    Args:
        targets: B clips of T frames; every frame gets queries of its own. Clips that are already
            stacked as :class:`FrameTargets` save the criterion from stacking them again.
        num_classes: K, wrong labels are drawn from the other K - 1.
        groups: G copies with different noise, >= 1.
        grid: (h, w) of the noised masks.
        label_noise: share of labels replaced by a wrong one.
        mask_flip: number of flipped cells, anywhere in the frame, as a share of the segment's
            area; proportional, so that small segments do not drown.
        shift: masks are moved by up to this share of their bounding box, in each direction.
        min_cells: segments covering fewer cells of ``grid`` are left out.
        generator: source of randomness on the device of the targets.

    Returns:
        The queries, with F = B * T as first axis (the frames of a clip follow each other) and
        N >= 1, and the plan.

    Raises:
        ValueError: ``groups`` < 1 or a share outside 0..1.

    Source: Li et al., DN-DETR, 2022 (groups, label noise); Zhang et al., MP-Former, 2023 (noised
    masks as first attention masks). The shift is ours.
    """
    if groups < 1:
        raise ValueError(f"groups must be >= 1, got {groups}; pass no queries to do without")
    for name, share in (("label_noise", label_noise), ("mask_flip", mask_flip), ("shift", shift)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be in 0..1, got {share}")
    frames = FrameTargets.of(targets)
    valid = frames.visible(grid, min_cells)
    classes, masks = frames.class_ids, covered_cells(frames.soft_masks(grid))
    if valid.shape[1] == 0:
        # One padding slot keeps the decoder's denoising parameters in the graph of every step.
        valid = valid.new_zeros(len(valid), 1)
        classes, masks = classes.new_zeros(valid.shape), masks.new_zeros(*valid.shape, *grid)
    classes, masks, valid = (
        x.unsqueeze(1).expand(-1, groups, *x.shape[1:]) for x in (classes, masks, valid)
    )
    queries = DenoisingQueries(
        class_ids=wrong_labels(classes, num_classes, label_noise, generator),
        masks=flip_cells(shift_masks(masks, shift, generator), mask_flip, generator),
        valid=valid.contiguous(),
    )
    rows = torch.arange(valid.shape[2], device=valid.device).repeat(len(valid), groups)
    query = torch.arange(rows.shape[1], device=valid.device).expand_as(rows)
    return queries, DenoisingPlan(Pairs(query, rows, valid.flatten(1)), groups)


def covered_cells(soft: Tensor) -> Tensor:
    """Cells that a segment covers by half, or, if it is too thin for that, those it covers most.

    Args:
        soft: (..., h, w) covered share of every cell.

    Returns:
        (..., h, w) bool; empty only where ``soft`` is 0 everywhere.
    """
    most = soft.flatten(-2).amax(-1)[..., None, None]
    return (soft > 0) & (soft >= most.clamp(max=HALF))


def wrong_labels(
    class_ids: Tensor, num_classes: int, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """Replace a share of the class ids by a different one, uniformly."""
    if num_classes < 2:
        return class_ids.clone()
    device = class_ids.device
    chosen = torch.rand(class_ids.shape, device=device, generator=generator) < share
    step = torch.randint(1, num_classes, class_ids.shape, device=device, generator=generator)
    return torch.where(chosen, (class_ids + step) % num_classes, class_ids)


def shift_masks(masks: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Move every mask by up to ``share`` of its bounding box, in whole cells; nothing wraps round.

    Args:
        masks: (..., h, w) bool.
        share: 0..1.
        generator: source of randomness.
    """
    flat = masks.flatten(0, -3)
    rows = _moved_indices(flat.any(-1), share, generator)
    columns = _moved_indices(flat.any(-2), share, generator)
    # One empty row and column take every index that falls outside.
    padded = torch.nn.functional.pad(flat, (0, 1, 0, 1))
    moved = padded.gather(1, rows.unsqueeze(-1).expand(-1, -1, padded.shape[2]))
    moved = moved.gather(2, columns.unsqueeze(1).expand(-1, moved.shape[1], -1))
    return moved.view(masks.shape)


def flip_cells(masks: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Flip cells anywhere, on average ``share`` * area of the mask of them."""
    probability = share * masks.flatten(-2).float().mean(-1)[..., None, None]
    noise = torch.rand(masks.shape, device=masks.device, generator=generator)
    return masks ^ (noise < probability)


def _moved_indices(occupied: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """(M, n) source index of every row (or column) after a random move; n where it is outside."""
    count, size = occupied.shape
    extent = occupied.sum(-1)
    draw = 2 * torch.rand(count, device=occupied.device, generator=generator) - 1
    move = (draw * share * extent).round().long()
    source = torch.arange(size, device=occupied.device) - move.unsqueeze(-1)
    return torch.where((source >= 0) & (source < size), source, size)
