"""Depth queries and segments, paired by depth alone: what it is worth that indices are shared."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dvps_d2.structures import FrameQueries

from .depth import DepthLoss
from .pairs import Pairs
from .precision import dot_products
from .targets import FrameTargets


@torch.no_grad()
def match_by_depth(layer: FrameQueries, frames: FrameTargets, loss: DepthLoss) -> Pairs:
    """Cheapest one-to-one assignment of segments to depth queries, frame by frame.

    The cost of a pair is the mean absolute relative error of the query's depth inside the segment.
    Segments without a valid pixel of depth on the mask grid are not matched; they have nothing to
    teach.

    Args:
        layer: predictions (B, T, Q, ...) with depth.
        frames: the F = B * T frames, with depth.
        loss: tells logits in metres, and which ground truth counts.

    Raises:
        FloatingPointError: a cost is NaN or infinite.

    Source: an ablation of Kim et al., MinDVPS, 2023, section 3.2, where depth query i answers for
    the segment of segmentation query i instead.
    """
    size = tuple(layer.mask_features.shape[-2:])
    features = layer.features_of_depth.flatten(0, 1).flatten(2)
    logits = dot_products(layer.depth_embeds.flatten(0, 1), features)
    target, valid = loss.ground_truth(frames.depth_at(size))
    owner = torch.where(valid, frames.owner(size), -1)
    errors, pixels = segment_errors(
        loss.activation(logits), target.flatten(1), owner.flatten(1), frames.class_ids.shape[1]
    )
    counted = (pixels > 0) & frames.present
    costs = zip(errors.cpu().numpy(), counted.cpu().numpy(), strict=True)
    return Pairs.from_lists([_assign(cost, shown) for cost, shown in costs], logits.device)


def segment_errors(
    depth: Tensor, target: Tensor, owner: Tensor, num_rows: int
) -> tuple[Tensor, Tensor]:
    """Mean |d - d*| / d* of every query in every segment.

    Args:
        depth: (F, Q, P) metres.
        target: (F, P) metres, > 0 where a pixel has an owner.
        owner: (F, P) int64 in 0..N-1, -1 for pixels that do not count.
        num_rows: N.

    Returns:
        (F, Q, N) errors, 0 for segments without pixels; (F, N) pixels of each segment.
    """
    counts = owner >= 0
    truth = torch.where(counts, target, 1.0).unsqueeze(1)
    relative = (depth - truth).abs() / truth
    inside = F.one_hot(owner + 1, num_rows + 1)[..., 1:].to(depth.dtype)  # (F, P, N)
    pixels = inside.sum(1)
    return relative @ inside / pixels.clamp(min=1).unsqueeze(1), pixels


def _assign(cost: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(queries, rows) of one frame from (Q, N) costs and the (N,) rows that take part."""
    rows = shown.nonzero()[0]
    table = cost[:, rows]
    if not np.isfinite(table).all():
        raise FloatingPointError(
            "costs of matching depth are NaN or infinite because of depth_embeds or mask_features; "
            "lower the learning rate, or look for a division by zero in the layers before"
        )
    chosen, columns = linear_sum_assignment(table)
    return chosen, rows[columns]
