"""Box regression losses that take distance and shape into account."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss


def diou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """One minus IoU, plus the squared distance of centres over that of the enclosing diagonal.

    Args:
        boxes1: (N, 4) XYXY.
        boxes2: (N, 4) XYXY.
        reduction: "none", "mean" or "sum".
        eps: keeps denominators from zero.

    Source: Zheng et al., Distance-IoU Loss, 2020, equation 7.
    """
    return distance_box_iou_loss(boxes1, boxes2, reduction=reduction, eps=eps)


def ciou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """``diou_loss`` plus a term for unequal aspect ratios; same arguments.

    Source: Zheng et al., Distance-IoU Loss, 2020, equation 10.
    """
    return complete_box_iou_loss(boxes1, boxes2, reduction=reduction, eps=eps)
