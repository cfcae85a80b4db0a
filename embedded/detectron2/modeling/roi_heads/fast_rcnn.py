"""Class scores and box offsets per proposal (Girshick, Fast R-CNN, 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2._subset import outside_subset
from detectron2.config import configurable
from detectron2.layers import ShapeSpec, batched_nms, cat, cross_entropy, nonzero_tuple
from detectron2.modeling.box_regression import Box2BoxTransform, _box_regression_loss
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import get_event_storage

__all__ = ["FastRCNNOutputLayers", "fast_rcnn_inference"]


def fast_rcnn_inference(
    boxes: list[Tensor],
    scores: list[Tensor],
    image_shapes: list[tuple[int, int]],
    score_thresh: float,
    nms_thresh: float,
    topk_per_image: int,
) -> tuple[list[Instances], list[Tensor]]:
    """Turn scored boxes of every class into detections.

    Args:
        boxes: per image (R, K * 4), or (R, 4) when classes share a box.
        scores: per image (R, K + 1) probabilities, background last.
        image_shapes: (height, width) of each image.
        score_thresh: detections score more than this.
        nms_thresh: IoU for suppression within a class.
        topk_per_image: how many to keep; negative keeps all.

    Returns:
        Per image pred_boxes, scores and pred_classes, best first; and the proposal of each,
        counted among those that are finite.
    """
    results = [
        fast_rcnn_inference_single_image(*one, score_thresh, nms_thresh, topk_per_image)
        for one in zip(boxes, scores, image_shapes, strict=True)
    ]
    return [result for result, _ in results], [kept for _, kept in results]


def fast_rcnn_inference_single_image(
    boxes: Tensor,
    scores: Tensor,
    image_shape: tuple[int, int],
    score_thresh: float,
    nms_thresh: float,
    topk_per_image: int,
) -> tuple[Instances, Tensor]:
    """As ``fast_rcnn_inference``, for one image."""
    finite = boxes.isfinite().all(dim=1) & scores.isfinite().all(dim=1)
    boxes, scores = boxes[finite], scores[finite, :-1]
    clipped = Boxes(boxes.reshape(-1, 4))
    clipped.clip(image_shape)
    boxes = clipped.tensor.view(len(scores), -1, 4)  # (R, K or 1, 4)

    rows, classes = nonzero_tuple(scores > score_thresh)
    boxes = boxes[rows, classes if boxes.shape[1] > 1 else 0]
    scores = scores[rows, classes]
    keep = batched_nms(boxes, scores, classes, nms_thresh)
    if topk_per_image >= 0:
        keep = keep[:topk_per_image]
    result = Instances(
        image_shape, pred_boxes=Boxes(boxes[keep]), scores=scores[keep], pred_classes=classes[keep]
    )
    return result, rows[keep]


def _log_accuracy(pred_logits: Tensor, gt_classes: Tensor, prefix: str = "fast_rcnn") -> None:
    """Log how many proposals, and how many of the foreground, are classified correctly."""
    if gt_classes.numel() == 0:
        return
    predicted = pred_logits.argmax(dim=1)
    background = pred_logits.shape[1] - 1
    foreground = (gt_classes >= 0) & (gt_classes < background)
    correct = predicted == gt_classes
    storage = get_event_storage()
    storage.put_scalar(f"{prefix}/cls_accuracy", correct.float().mean().item())
    num_foreground = int(foreground.sum())
    if num_foreground > 0:
        right = int((correct & foreground).sum())
        missed = int(((predicted == background) & foreground).sum())
        storage.put_scalar(f"{prefix}/fg_cls_accuracy", right / num_foreground)
        storage.put_scalar(f"{prefix}/false_negative", missed / num_foreground)


class FastRCNNOutputLayers(nn.Module):
    """A linear layer for class scores (background last) and one for box offsets."""

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        box2box_transform: Box2BoxTransform,
        num_classes: int,
        test_score_thresh: float = 0.0,
        test_nms_thresh: float = 0.5,
        test_topk_per_image: int = 100,
        cls_agnostic_bbox_reg: bool = False,
        smooth_l1_beta: float = 0.0,
        box_reg_loss_type: str = "smooth_l1",
        loss_weight: float | dict[str, float] = 1.0,
        use_fed_loss: bool = False,
        use_sigmoid_ce: bool = False,
        get_fed_loss_cls_weights=None,
        fed_loss_num_classes: int = 50,
    ) -> None:
        """Build the layers.

        Args:
            input_shape: of the box head's output.
            box2box_transform: what the offsets mean.
            num_classes: K, without background.
            test_score_thresh: detections score more than this.
            test_nms_thresh: IoU for suppression within a class.
            test_topk_per_image: detections per image.
            cls_agnostic_bbox_reg: one box for all classes.
            smooth_l1_beta: of smooth L1.
            box_reg_loss_type: smooth_l1, giou, diou or ciou.
            loss_weight: factor, or one for each of loss_cls and loss_box_reg.
            use_fed_loss: outside the subset, as are the two arguments about it.
            use_sigmoid_ce: a binary loss per class in place of a softmax.
            get_fed_loss_cls_weights: see ``use_fed_loss``.
            fed_loss_num_classes: see ``use_fed_loss``.
        """
        super().__init__()
        if use_fed_loss:
            outside_subset("federated loss (ROI_BOX_HEAD.USE_FED_LOSS)")
        shape = input_shape if isinstance(input_shape, ShapeSpec) else ShapeSpec(input_shape)
        width = shape.channels * (shape.width or 1) * (shape.height or 1)
        box_dim = len(box2box_transform.weights)
        self.num_classes = num_classes
        self.cls_score = nn.Linear(width, num_classes + 1)
        self.bbox_pred = nn.Linear(width, box_dim * (1 if cls_agnostic_bbox_reg else num_classes))
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
        self.box2box_transform = box2box_transform
        self.smooth_l1_beta = smooth_l1_beta
        self.test_score_thresh = test_score_thresh
        self.test_nms_thresh = test_nms_thresh
        self.test_topk_per_image = test_topk_per_image
        self.box_reg_loss_type = box_reg_loss_type
        if not isinstance(loss_weight, dict):
            loss_weight = {"loss_cls": loss_weight, "loss_box_reg": loss_weight}
        self.loss_weight = loss_weight
        self.use_sigmoid_ce = use_sigmoid_ce

    @classmethod
    def from_config(cls, cfg, input_shape: ShapeSpec) -> dict:
        """Arguments from a config."""
        head, heads = cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_HEADS
        return {
            "input_shape": input_shape,
            "box2box_transform": Box2BoxTransform(weights=head.BBOX_REG_WEIGHTS),
            "num_classes": heads.NUM_CLASSES,
            "cls_agnostic_bbox_reg": head.CLS_AGNOSTIC_BBOX_REG,
            "smooth_l1_beta": head.SMOOTH_L1_BETA,
            "test_score_thresh": heads.SCORE_THRESH_TEST,
            "test_nms_thresh": heads.NMS_THRESH_TEST,
            "test_topk_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "box_reg_loss_type": head.BBOX_REG_LOSS_TYPE,
            "loss_weight": {"loss_box_reg": head.BBOX_REG_LOSS_WEIGHT},
            "use_fed_loss": head.USE_FED_LOSS,
            "use_sigmoid_ce": head.USE_SIGMOID_CE,
            "fed_loss_num_classes": head.FED_LOSS_NUM_CLASSES,
        }

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(R, D), or (R, C, H, W) -> (R, K + 1) scores and (R, K * 4 or 4) offsets."""
        x = x.flatten(1) if x.dim() > 2 else x
        return self.cls_score(x), self.bbox_pred(x)

    def losses(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor]:
        """Classification and regression.

        Args:
            predictions: of ``forward``, for the proposals of all images in order.
            proposals: per image, with proposal_boxes, gt_classes and (where there are objects)
                gt_boxes.

        Returns:
            loss_cls, a mean over proposals; loss_box_reg, a sum over the foreground divided by
            the number of all proposals.
        """
        scores, deltas = predictions
        gt_classes = (
            cat([p.gt_classes for p in proposals]) if proposals else scores.new_empty(0).long()
        )
        _log_accuracy(scores, gt_classes)
        if proposals:
            boxes = cat([p.proposal_boxes.tensor for p in proposals])
            assert not boxes.requires_grad, "proposals should not carry a gradient"
            # An image without objects has no gt_boxes; all its proposals are background.
            gt_boxes = cat(
                [(p.gt_boxes if p.has("gt_boxes") else p.proposal_boxes).tensor for p in proposals]
            )
        else:
            boxes = gt_boxes = deltas.new_empty((0, 4))
        classify = self.sigmoid_cross_entropy_loss if self.use_sigmoid_ce else cross_entropy
        losses = {
            "loss_cls": classify(scores, gt_classes),
            "loss_box_reg": self.box_reg_loss(boxes, gt_boxes, deltas, gt_classes),
        }
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def sigmoid_cross_entropy_loss(self, pred_class_logits: Tensor, gt_classes: Tensor) -> Tensor:
        """Sum over classes (without background) and mean over proposals of a binary loss."""
        count, columns = pred_class_logits.shape
        if count == 0:
            return pred_class_logits.sum() * 0.0
        target = F.one_hot(gt_classes, columns)[:, :-1].to(pred_class_logits.dtype)
        return (
            F.binary_cross_entropy_with_logits(pred_class_logits[:, :-1], target, reduction="sum")
            / count
        )

    def box_reg_loss(
        self,
        proposal_boxes: Tensor,
        gt_boxes: Tensor,
        pred_deltas: Tensor,
        gt_classes: Tensor,
    ) -> Tensor:
        """Regression over the foreground, divided by the number of all R proposals.

        So every foreground proposal weighs the same, however many there are in an image.

        Args:
            proposal_boxes: (R, 4).
            gt_boxes: (R, 4).
            pred_deltas: (R, 4), or (R, 4 * K), of which that of the true class counts.
            gt_classes: (R,); K is background.
        """
        foreground = nonzero_tuple((gt_classes >= 0) & (gt_classes < self.num_classes))[0]
        box_dim = proposal_boxes.shape[1]
        deltas = pred_deltas[foreground]
        if pred_deltas.shape[1] != box_dim:
            deltas = deltas.view(-1, self.num_classes, box_dim)
            deltas = deltas[torch.arange(len(foreground)), gt_classes[foreground]]
        loss = _box_regression_loss(
            self.box2box_transform,
            proposal_boxes[foreground],
            deltas,
            gt_boxes[foreground],
            self.box_reg_loss_type,
            self.smooth_l1_beta,
        )
        return loss / max(gt_classes.numel(), 1.0)

    def inference(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Detections per image, and the proposal of each; see ``fast_rcnn_inference``."""
        return fast_rcnn_inference(
            self.predict_boxes(predictions, proposals),
            self.predict_probs(predictions, proposals),
            [p.image_size for p in proposals],
            self.test_score_thresh,
            self.test_nms_thresh,
            self.test_topk_per_image,
        )

    def predict_boxes_for_gt_classes(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> list[Tensor]:
        """Per image (R, 4): the box of the true class (of any, for background)."""
        if not proposals:
            return []
        boxes = cat(self.predict_boxes(predictions, proposals))
        box_dim = cat([p.proposal_boxes.tensor for p in proposals]).shape[1]
        classes = boxes.shape[1] // box_dim
        if classes > 1:
            gt_classes = cat([p.gt_classes for p in proposals]).clamp(0, classes - 1)
            boxes = boxes.view(-1, classes, box_dim)
            boxes = boxes[torch.arange(len(boxes), device=boxes.device), gt_classes]
        return list(boxes.split([len(p) for p in proposals]))

    def predict_boxes(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> list[Tensor]:
        """Per image (R, K * 4) boxes, or (R, 4) when classes share a box."""
        if not proposals:
            return []
        boxes = cat([p.proposal_boxes.tensor for p in proposals])
        moved = self.box2box_transform.apply_deltas(predictions[1], boxes)
        return list(moved.split([len(p) for p in proposals]))

    def predict_probs(
        self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> list[Tensor]:
        """Per image (R, K + 1) probabilities."""
        scores = predictions[0]
        probs = scores.sigmoid() if self.use_sigmoid_ce else F.softmax(scores, dim=-1)
        return list(probs.split([len(p) for p in proposals]))
