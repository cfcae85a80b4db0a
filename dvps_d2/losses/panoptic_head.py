"""Losses of semantic and panoptic logits of the box family.

Source: Xiong et al., UPSNet, CVPR 2019, section 3.2; Kim et al., "Video Panoptic Segmentation",
CVPR 2020, section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.structures import BoxTargets
from dvps_d2.structures.box_targets import VOID

SEMANTIC_LOSSES = ("full", "grid")


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the places that are not void; 0 where all are.

    Args:
        logits: (N, K, H, W).
        labels: (N, H, W) int64, 255 for void.
    """
    total = F.cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="sum")
    return total / (labels != VOID).sum().clamp(min=1)


def semantic_loss(logits: Tensor, semantic: Tensor, where: str = "full") -> Tensor:
    """Cross entropy of semantic logits.

    Args:
        logits: (N, K, h, w).
        semantic: (N, H, W) int64, 255 for void; H and W are multiples of h and w.
        where: at "full" resolution, the logits being upsampled, or on the "grid" of the logits,
            looking at every n-th pixel of the labels.

    Raises:
        ValueError: unknown ``where``.
    """
    if where not in SEMANTIC_LOSSES:
        raise ValueError(f"where must be one of {', '.join(SEMANTIC_LOSSES)}, got {where!r}")
    if where == "grid":
        down, right = (semantic.shape[1 + i] // logits.shape[2 + i] for i in range(2))
        return cross_entropy(logits, semantic[:, ::down, ::right])
    full = F.interpolate(logits, size=semantic.shape[1:], mode="bilinear", align_corners=False)
    return cross_entropy(full, semantic)


def panoptic_labels(targets: BoxTargets, stuff_ids: Sequence[int], stride: int = 4) -> Tensor:
    """Channel of the panoptic logits that each cell belongs to.

    Args:
        targets: of one frame.
        stuff_ids: the S stuff classes in the order of their channels.
        stride: every ``stride``-th pixel is looked at, along both axes.

    Returns:
        (H / stride, W / stride) int64: 0..S-1 for stuff, S + g for thing g, 255 for void. With
        more than 255 - S things in one frame the last ones are void.
    """
    semantic = targets.semantic[::stride, ::stride]
    labels = torch.full_like(semantic, VOID)
    for channel, class_id in enumerate(stuff_ids):
        labels[semantic == class_id] = channel
    for index, mask in enumerate(targets.masks[: VOID - len(stuff_ids), ::stride, ::stride]):
        labels[mask] = len(stuff_ids) + index
    return labels


def panoptic_loss(logits: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
    """Mean over frames of the cross entropy of panoptic logits over ground-truth boxes.

    Args:
        logits: per frame (S + G, h, w).
        labels: per frame (h, w) int64, see :func:`panoptic_labels`.
    """
    frames = [
        cross_entropy(a.unsqueeze(0), b.unsqueeze(0)) for a, b in zip(logits, labels, strict=True)
    ]
    return torch.stack(frames).mean()
