"""Denoising queries next to the ordinary ones: who may see whom, and where they look first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.layers import open_empty_rows
from dvps_d2.structures import DenoisingQueries


def self_attention_mask(num_queries: int, valid: Tensor) -> Tensor:
    """Which query may read which, ordinary ones first, then group after group.

    Ordinary queries read ordinary ones only, so that denoising cannot leak ground truth into them
    (and their results are the same without it). A denoising query reads the valid queries of its
    own group and itself, nothing else: not other groups, not ordinary queries.

    Args:
        num_queries: ordinary queries Q.
        valid: bool (N, G, M), False for padding.

    Returns:
        bool (N, Q + G * M, Q + G * M), True = may be read.

    Source: Li et al., 2022 (DN-DETR), section 4.4. Differs from it by: hidden in both directions.
    """
    frames, groups, size = valid.shape
    total = num_queries + groups * size
    group = torch.arange(groups, device=valid.device).repeat_interleave(size)
    allowed = torch.zeros(frames, total, total, dtype=torch.bool, device=valid.device)
    allowed[:, :num_queries, :num_queries] = True
    same_group = group[:, None] == group
    itself = torch.eye(groups * size, dtype=torch.bool, device=valid.device)
    allowed[:, num_queries:, num_queries:] = (same_group & valid.flatten(1)[:, None, :]) | itself
    return allowed


def first_attention_mask(noised: DenoisingQueries, size: tuple[int, ...]) -> Tensor:
    """The noised masks as the attention masks of the first layer.

    A cell is open if the mask touches it anywhere. Picking the nearest pixel instead would lose
    most small objects on a stride-32 grid, and a lost mask says nothing about the place.

    Args:
        noised: masks (N, G, M, h, w) on any grid.
        size: (height, width) of the level that the first layer reads.

    Returns:
        bool (N, G * M, height * width), rows without an open cell opened entirely.

    Source: Zhang et al., 2023 (MP-Former), section 3.2 (ground-truth masks as attention masks).
    """
    masks = noised.masks.flatten(1, 2).float()
    if masks.shape[-2] < size[0] or masks.shape[-1] < size[1]:
        touched = F.interpolate(masks, size=size, mode="nearest-exact")
    else:
        touched = F.adaptive_max_pool2d(masks, size)
    return open_empty_rows(touched.flatten(2) > 0)
