"""Detectron2's region proposal network and RoI heads behind the ``Detector`` protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_proposal_generator, build_roi_heads
from detectron2.structures import BitMasks, Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage, has_event_storage
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, nms

from .legacy_boxes import LegacyBoxTransform

BACKGROUND = -1


@dataclass(frozen=True)
class Selection:
    """Which boxes become detections.

    Attributes:
        score_threshold: a (box, class) pair needs a larger probability.
        overlap_threshold: of non-maximum suppression.
        limit: detections per image.
        class_agnostic: suppress over all classes together, as VPSNet does; otherwise within each.
    """

    score_threshold: float = 0.6
    overlap_threshold: float = 0.5
    limit: int = 100
    class_agnostic: bool = True


def select_detections(
    boxes: Tensor, probs: Tensor, image_size: tuple[int, int], rules: Selection
) -> tuple[Tensor, Tensor, Tensor]:
    """Threshold and suppress.

    Args:
        boxes: (R, K, 4) one box per class, or (R, 1, 4) for all classes.
        probs: (R, K+1); the last column is background.
        image_size: (height, width) that boxes are cut to.
        rules: see :class:`Selection`.

    Returns:
        boxes (N, 4), scores (N,) in descending order, classes (N,) in 0..K-1.
    """
    probs = probs[:, :-1]
    boxes = boxes.expand(-1, probs.shape[1], -1)
    sure = probs > rules.score_threshold
    scores, classes = probs[sure], torch.nonzero(sure)[:, 1]
    chosen = clip_boxes_to_image(boxes[sure], image_size)
    if rules.class_agnostic:
        kept = nms(chosen, scores.to(chosen.dtype), rules.overlap_threshold)
    else:
        kept = batched_nms(chosen, scores.to(chosen.dtype), classes, rules.overlap_threshold)
    kept = kept[: rules.limit]
    return chosen[kept], scores[kept], classes[kept]


class BoxDetector(nn.Module):
    """RPN, box head and mask head of Detectron2, with plain tensors at its borders.

    Class ids outside are those of the dataset; inside, classes are places in ``thing_ids``.

    Args:
        proposal_generator: Detectron2's RPN.
        roi_heads: Detectron2's StandardROIHeads with masks.
        thing_ids: class id of every class of the heads, in order.
        selection: which boxes become detections.
    """

    proposal_generator: Any
    roi_heads: Any
    thing_ids: Tensor

    def __init__(
        self,
        proposal_generator: nn.Module,
        roi_heads: nn.Module,
        thing_ids: Sequence[int],
        selection: Selection,
    ) -> None:
        super().__init__()
        self.proposal_generator = proposal_generator
        self.roi_heads = roi_heads
        self.selection = selection
        self.register_buffer("thing_ids", torch.tensor(list(thing_ids)), persistent=False)

    def forward(
        self,
        pyramid: Mapping[str, Tensor],
        image_sizes: Sequence[tuple[int, int]],
        targets: Sequence[Mapping[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """See :class:`dvps_d2.structures.Detector`."""
        # Only the sizes are looked at; an ImageList wants a tensor, and any of N images will do.
        images = ImageList(next(iter(pyramid.values())), [tuple(size) for size in image_sizes])
        if targets is None:
            proposals, _ = self.proposal_generator(images, dict(pyramid), None)
            return self._detect(dict(pyramid), proposals), {}
        wanted = [
            self._instances(target, size) for target, size in zip(targets, image_sizes, strict=True)
        ]
        with _event_storage():
            proposals, losses = self.proposal_generator(images, dict(pyramid), wanted)
            samples, head_losses = self.roi_heads(images, dict(pyramid), proposals, wanted)
        return [self._describe(sample) for sample in samples], {**losses, **head_losses}

    def draw(
        self, pyramid: Mapping[str, Tensor], boxes: Sequence[Tensor], class_ids: Sequence[Tensor]
    ) -> list[Tensor]:
        """See :class:`dvps_d2.structures.Detector`."""
        counts = [len(box) for box in boxes]
        heads = self.roi_heads
        maps = [pyramid[name] for name in heads.mask_in_features]
        if sum(counts) == 0:  # nothing to convolve, and some layers refuse an empty batch
            return [maps[0].new_zeros(0, 1, 1) for _ in boxes]
        logits = heads.mask_head.layers(heads.mask_pooler(maps, [Boxes(box) for box in boxes]))
        if logits.shape[1] == 1:  # one mask for all classes
            return list(logits[:, 0].split(counts))
        classes = self._to_places(torch.cat(list(class_ids)))
        return list(logits[torch.arange(len(classes)), classes].split(counts))

    def _detect(self, pyramid: dict[str, Tensor], proposals: list[Instances]) -> list[dict]:
        heads = self.roi_heads
        maps = [pyramid[name] for name in heads.box_in_features]
        vectors = heads.box_head(heads.box_pooler(maps, [p.proposal_boxes for p in proposals]))
        predictor = heads.box_predictor
        predictions = predictor(vectors)
        boxes = predictor.predict_boxes(predictions, proposals)
        probs = predictor.predict_probs(predictions, proposals)
        found = [
            select_detections(b.unflatten(1, (-1, 4)), p, proposal.image_size, self.selection)
            for b, p, proposal in zip(boxes, probs, proposals, strict=True)
        ]
        class_ids = [self.thing_ids[classes] for _, _, classes in found]
        masks = self.draw(pyramid, [box for box, _, _ in found], class_ids)
        return [
            {"boxes": box, "scores": scores, "class_ids": ids, "mask_logits": logits}
            for (box, scores, _), ids, logits in zip(found, class_ids, masks, strict=True)
        ]

    def _instances(self, target: Mapping[str, Tensor], size: tuple[int, int]) -> Instances:
        instances = Instances(tuple(size))
        instances.gt_boxes = Boxes(target["boxes"])
        instances.gt_classes = self._to_places(target["class_ids"])
        instances.gt_masks = BitMasks(target["masks"])
        # Detectron2 hands every gt_* field on to the samples that show the object.
        instances.gt_place = torch.arange(len(target["boxes"]), device=target["boxes"].device)
        return instances

    def _describe(self, sample: Instances) -> dict[str, Tensor]:
        boxes = sample.proposal_boxes.tensor
        matched = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        if sample.has("gt_place"):  # not in images without any object
            is_object = sample.gt_classes < len(self.thing_ids)
            matched = torch.where(is_object, sample.gt_place, matched)
        return {"boxes": boxes, "matched": matched}

    def _to_places(self, class_ids: Tensor) -> Tensor:
        """Class ids -> places in ``thing_ids``."""
        return class_ids.unsqueeze(-1).eq(self.thing_ids).long().argmax(dim=-1)


def build_detector(
    cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], thing_ids: Sequence[int]
) -> BoxDetector:
    """The detector of ``MODEL.RPN``, ``MODEL.ROI_*`` and ``MODEL.VPSNET``.

    Raises:
        ValueError: the number of classes differs from the things of the dataset, or masks are off.
    """
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES != len(thing_ids):
        raise ValueError(
            f"MODEL.ROI_HEADS.NUM_CLASSES={cfg.MODEL.ROI_HEADS.NUM_CLASSES}, but the dataset has "
            f"{len(thing_ids)} classes of things"
        )
    if not cfg.MODEL.MASK_ON:
        raise ValueError("MODEL.MASK_ON is False, but panoptic segmentation needs masks")
    proposal_generator = build_proposal_generator(cfg, dict(input_shape))
    roi_heads = build_roi_heads(cfg, dict(input_shape))
    if cfg.MODEL.VPSNET.LEGACY_BOXES:
        proposal_generator.box2box_transform = LegacyBoxTransform(cfg.MODEL.RPN.BBOX_REG_WEIGHTS)
        roi_heads.box_predictor.box2box_transform = LegacyBoxTransform(
            cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS
        )
    selection = Selection(
        score_threshold=cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST,
        overlap_threshold=cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST,
        limit=cfg.TEST.DETECTIONS_PER_IMAGE,
        class_agnostic=cfg.MODEL.VPSNET.CLASS_AGNOSTIC_NMS,
    )
    return BoxDetector(proposal_generator, roi_heads, thing_ids, selection)


def _event_storage() -> AbstractContextManager:
    """Detectron2's heads log numbers while training and fail where nobody listens."""
    return nullcontext() if has_event_storage() else EventStorage()
