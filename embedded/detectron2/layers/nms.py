"""Non-maximum suppression of axis-aligned boxes."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms as nms


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Suppress boxes within each group; groups do not see one another.

    Args:
        boxes: (N, 4) XYXY; compared in float32, since half precision moves IoUs.
        scores: (N,).
        idxs: (N,) the group of each box: its class, or its pyramid level.
        iou_threshold: a box goes when its IoU with a kept one is above this.

    Returns:
        (M,) int64 indices of the kept boxes, by descending score.
    """
    assert boxes.shape[-1] == 4, f"boxes must be (N, 4), got {tuple(boxes.shape)}"
    return box_ops.batched_nms(boxes.float(), scores, idxs, iou_threshold)
