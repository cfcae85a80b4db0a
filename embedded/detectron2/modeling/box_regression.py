"""Boxes as offsets from other boxes, and the loss on such offsets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from fvcore.nn import giou_loss, smooth_l1_loss
from torch import Tensor

from detectron2.layers import cat, ciou_loss, diou_loss
from detectron2.structures import Boxes

# Boxes grow by at most this factor (as a logarithm): 16 pixels to 1000.
_DEFAULT_SCALE_CLAMP = math.log(1000.0 / 16)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 4) XYXY -> centres (..., 2) and sizes (..., 2), both as (x, y)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    size = high - low
    return low + 0.5 * size, size


class Box2BoxTransform:
    """Offsets (dx, dy, dw, dh): shift in units of the box, and logarithm of the growth.

    Source: Girshick et al., R-CNN, 2014, appendix C.
    """

    def __init__(
        self,
        weights: tuple[float, float, float, float],
        scale_clamp: float = _DEFAULT_SCALE_CLAMP,
    ) -> None:
        """Set the scaling.

        Args:
            weights: factors on (dx, dy, dw, dh), which make them of unit variance.
            scale_clamp: largest dw and dh that ``apply_deltas`` lets through.
        """
        self.weights = weights
        self.scale_clamp = scale_clamp

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """Offsets that turn (N, 4) ``src_boxes`` into (N, 4) ``target_boxes``."""
        source, source_size = _centre_and_size(src_boxes)
        target, target_size = _centre_and_size(target_boxes)
        assert (source_size[:, 0] > 0).all(), "get_deltas needs source boxes with a width"
        deltas = torch.cat(
            [(target - source) / source_size, (target_size / source_size).log()], dim=1
        )
        return deltas * deltas.new_tensor(self.weights)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Move boxes by offsets, in float32.

        Args:
            deltas: (N, 4 * k), k predictions for each box.
            boxes: (N, 4).

        Returns:
            (N, 4 * k) boxes.
        """
        shape, deltas = deltas.shape, deltas.float()
        deltas = deltas.unflatten(1, (-1, 4)) / deltas.new_tensor(self.weights)
        centre, size = _centre_and_size(boxes.to(deltas.dtype)[:, None])
        centre = deltas[..., :2] * size + centre
        half = deltas[..., 2:].clamp(max=self.scale_clamp).exp() * size * 0.5
        return torch.cat([centre - half, centre + half], dim=-1).reshape(shape)


class Box2BoxTransformLinear:
    """Offsets (left, top, right, bottom): distances of the sides from the centre of a box.

    Source: Tian et al., FCOS, 2019, equation 1.
    """

    def __init__(self, normalize_by_size: bool = True) -> None:
        """Measure in units of the source box, or in pixels."""
        self.normalize_by_size = normalize_by_size

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """Distances from the centres of (N, 4) ``src_boxes`` to the sides of the targets."""
        centre, size = _centre_and_size(src_boxes)
        deltas = torch.cat([centre - target_boxes[:, :2], target_boxes[:, 2:] - centre], dim=1)
        return deltas / size.repeat(1, 2) if self.normalize_by_size else deltas

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4 * k) distances (negative ones count as 0) from (N, 4) boxes -> (N, 4 * k)."""
        shape = deltas.shape
        deltas = deltas.view(len(boxes), -1, 4).relu()
        centre, size = _centre_and_size(boxes.to(deltas.dtype)[:, None])
        if self.normalize_by_size:
            deltas = deltas * size.repeat(1, 1, 2)
        return torch.cat([centre - deltas[..., :2], centre + deltas[..., 2:]], -1).reshape(shape)


def _dense_box_regression_loss(
    anchors: Sequence[Boxes | Tensor],
    box2box_transform: Box2BoxTransform | Box2BoxTransformLinear,
    pred_anchor_deltas: Sequence[Tensor],
    gt_boxes: Sequence[Tensor],
    fg_mask: Tensor,
    box_reg_loss_type: str = "smooth_l1",
    smooth_l1_beta: float = 0.0,
) -> Tensor:
    """Sum of the regression loss over the foreground of a dense detector.

    Args:
        anchors: per level, shared by all images; R in all.
        box2box_transform: what the offsets mean.
        pred_anchor_deltas: per level (N, R_i, 4).
        gt_boxes: per image (R, 4), the box that each anchor should become.
        fg_mask: (N, R) bool.
        box_reg_loss_type: smooth_l1 on offsets; or giou, diou, ciou on boxes.
        smooth_l1_beta: where smooth L1 turns from square to linear; 0 is L1.

    Raises:
        ValueError: unknown type.
    """
    boxes = cat([one if isinstance(one, Tensor) else one.tensor for one in anchors])
    deltas = cat(list(pred_anchor_deltas), dim=1)[fg_mask]
    targets = torch.stack(list(gt_boxes))[fg_mask]
    sources = boxes.expand(len(gt_boxes), -1, -1)[fg_mask]
    return _box_regression_loss(
        box2box_transform, sources, deltas, targets, box_reg_loss_type, smooth_l1_beta
    )


def _box_regression_loss(
    box2box_transform: Box2BoxTransform | Box2BoxTransformLinear,
    sources: Tensor,
    deltas: Tensor,
    targets: Tensor,
    box_reg_loss_type: str,
    smooth_l1_beta: float,
) -> Tensor:
    """Sum of the loss over F pairs.

    Args:
        box2box_transform: what the offsets mean.
        sources: (F, 4) anchors or proposals.
        deltas: (F, 4) predicted offsets from them.
        targets: (F, 4) true boxes.
        box_reg_loss_type: smooth_l1, giou, diou or ciou.
        smooth_l1_beta: of smooth L1.

    Raises:
        ValueError: unknown type.
    """
    if box_reg_loss_type == "smooth_l1":
        wished = box2box_transform.get_deltas(sources, targets)
        return smooth_l1_loss(deltas, wished, beta=smooth_l1_beta, reduction="sum")
    losses = {"giou": giou_loss, "diou": diou_loss, "ciou": ciou_loss}
    if box_reg_loss_type not in losses:
        raise ValueError(f"Invalid dense box regression loss type '{box_reg_loss_type}'")
    boxes = box2box_transform.apply_deltas(deltas, sources)
    return losses[box_reg_loss_type](boxes, targets, reduction="sum")
