"""From scored boxes at all positions to a few proposals per image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detectron2.layers import batched_nms, cat
from detectron2.structures import Boxes, Instances

# Score of ground truth among proposals: the logit of a probability of almost 1.
_SURE_LOGIT = math.log((1.0 - 1e-10) / 1e-10)


def find_top_rpn_proposals(
    proposals: list[Tensor],
    pred_objectness_logits: list[Tensor],
    image_sizes: list[tuple[int, int]],
    nms_thresh: float,
    pre_nms_topk: int,
    post_nms_topk: int,
    min_box_size: float,
    training: bool,
) -> list[Instances]:
    """Keep the best boxes of every image.

    Args:
        proposals: per level (N, R_i, 4).
        pred_objectness_logits: per level (N, R_i).
        image_sizes: (height, width) before padding; boxes are clipped to it.
        nms_thresh: IoU above which the worse of two boxes of a level goes.
        pre_nms_topk: boxes per level and image that enter suppression.
        post_nms_topk: boxes per image that leave it, over all levels.
        min_box_size: both sides must be longer than this, in pixels.
        training: whether values that are not finite are an error.

    Returns:
        Per image proposal_boxes and objectness_logits, best first.

    Raises:
        FloatingPointError: not finite, in training.
    """
    best_boxes, best_scores, level_ids = [], [], []
    for level, (boxes, logits) in enumerate(zip(proposals, pred_objectness_logits, strict=True)):
        count = min(logits.shape[1], pre_nms_topk)
        scores, chosen = logits.topk(count, dim=1)
        best_scores.append(scores)
        best_boxes.append(boxes.gather(1, chosen[:, :, None].expand(-1, -1, 4)))
        level_ids.append(torch.full((count,), level, dtype=torch.int64, device=logits.device))
    all_boxes, all_scores = cat(best_boxes, dim=1), cat(best_scores, dim=1)
    all_levels = cat(level_ids)

    results = []
    for boxes, scores, size in zip(all_boxes, all_scores, image_sizes, strict=True):
        levels = all_levels
        finite = boxes.isfinite().all(dim=1) & scores.isfinite()
        if not finite.all():
            if training:
                raise FloatingPointError(
                    "Predicted boxes or scores contain Inf/NaN. Training has diverged."
                )
            boxes, scores, levels = boxes[finite], scores[finite], levels[finite]
        boxes = Boxes(boxes)
        boxes.clip(size)
        large = boxes.nonempty(threshold=min_box_size)
        if not large.all():
            boxes, scores, levels = boxes[large], scores[large], levels[large]
        keep = batched_nms(boxes.tensor, scores, levels, nms_thresh)[:post_nms_topk]
        results.append(Instances(size, proposal_boxes=boxes[keep], objectness_logits=scores[keep]))
    return results


def add_ground_truth_to_proposals(
    gt: list[Instances] | list[Boxes], proposals: list[Instances]
) -> list[Instances]:
    """Append the true boxes to the proposals of each image, with a very high score.

    Args:
        gt: per image, ``Instances`` with gt_boxes, or ``Boxes``.
        proposals: per image, with proposal_boxes and objectness_logits.
    """
    assert len(gt) == len(proposals), f"{len(gt)} images with truth, {len(proposals)} without"
    return [
        add_ground_truth_to_proposals_single_image(one, found)
        for one, found in zip(gt, proposals, strict=True)
    ]


def add_ground_truth_to_proposals_single_image(
    gt: Instances | Boxes, proposals: Instances
) -> Instances:
    """As ``add_ground_truth_to_proposals``, for one image."""
    boxes, others = gt, {}
    if isinstance(gt, Instances):
        boxes, others = gt.gt_boxes, gt.get_fields()
    device = proposals.objectness_logits.device
    sure = Instances(proposals.image_size, **others)
    sure.proposal_boxes = boxes
    sure.objectness_logits = torch.full((len(boxes),), _SURE_LOGIT, device=device)
    # Instances.cat keeps the fields of the first, so the second must have them all.
    for name in proposals.get_fields():
        assert sure.has(name), f"the ground truth has no attribute {name!r}"
    return Instances.cat([proposals, sure])
