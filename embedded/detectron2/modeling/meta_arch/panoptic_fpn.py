"""Panoptic FPN (Kirillov et al., Panoptic Feature Pyramid Networks, 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectron2._subset import outside_subset
from detectron2.config import configurable
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import Instances

from ._images import _output_size
from .build import META_ARCH_REGISTRY
from .rcnn import GeneralizedRCNN
from .semantic_seg import build_sem_seg_head

__all__ = ["PanopticFPN"]


@META_ARCH_REGISTRY.register()
class PanopticFPN(GeneralizedRCNN):
    """Mask R-CNN with a semantic branch on the same pyramid."""

    @configurable
    def __init__(
        self,
        *,
        sem_seg_head: nn.Module,
        combine_overlap_thresh: float = 0.5,
        combine_stuff_area_thresh: float = 4096,
        combine_instances_score_thresh: float = 0.5,
        **kwargs,
    ) -> None:
        """Assemble the model.

        Args:
            sem_seg_head: features to class scores; class 0 is "some thing".
            combine_overlap_thresh: a detection goes when a larger share of it is taken.
            combine_stuff_area_thresh: smallest area of stuff, in pixels.
            combine_instances_score_thresh: smallest score of a detection.
            **kwargs: for ``GeneralizedRCNN``.
        """
        super().__init__(**kwargs)
        self.sem_seg_head = sem_seg_head
        self.combine_overlap_thresh = combine_overlap_thresh
        self.combine_stuff_area_thresh = combine_stuff_area_thresh
        self.combine_instances_score_thresh = combine_instances_score_thresh

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Arguments from a config."""
        options = cfg.MODEL.PANOPTIC_FPN
        if options.INSTANCE_LOSS_WEIGHT != 1.0 or not options.COMBINE.ENABLED:
            outside_subset(
                "PANOPTIC_FPN.INSTANCE_LOSS_WEIGHT and COMBINE.ENABLED other than 1, True"
            )
        arguments = super().from_config(cfg)
        shape = arguments["backbone"].output_shape()
        return {
            **arguments,
            "sem_seg_head": build_sem_seg_head(cfg, shape),
            "combine_overlap_thresh": options.COMBINE.OVERLAP_THRESH,
            "combine_stuff_area_thresh": options.COMBINE.STUFF_AREA_LIMIT,
            "combine_instances_score_thresh": options.COMBINE.INSTANCES_CONFIDENCE_THRESH,
        }

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Train or predict.

        Args:
            batched_inputs: as in ``GeneralizedRCNN``; in training also sem_seg (H, W).

        Returns:
            In training losses by name, else per image {"sem_seg": (K, H, W) scores,
            "instances": Instances, "panoptic_seg": ((H, W) int32, segments_info)}.
        """
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        assert "sem_seg" in batched_inputs[0], "PanopticFPN needs sem_seg in training"
        labels = self._batch_labels(batched_inputs, self.backbone, self.sem_seg_head.ignore_value)
        _, sem_seg_losses = self.sem_seg_head(features, labels)
        truth = self._ground_truth(batched_inputs)
        proposals, proposal_losses = self.proposal_generator(images, features, truth)
        _, detector_losses = self.roi_heads(images, features, proposals, truth)
        return {**sem_seg_losses, **proposal_losses, **detector_losses}

    def inference(
        self, batched_inputs: list[dict], do_postprocess: bool = True
    ) -> list[dict] | tuple[list[Instances], Tensor]:
        """Predict.

        Args:
            batched_inputs: as in ``forward``.
            do_postprocess: scale to the size of the output and combine.

        Returns:
            As ``forward``; without ``do_postprocess`` detections and class scores of the batch.
        """
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        scores, _ = self.sem_seg_head(features, None)
        proposals, _ = self.proposal_generator(images, features, None)
        detections, _ = self.roi_heads(images, features, proposals, None)
        if not do_postprocess:
            return detections, scores

        results = []
        for score, detected, item, size in zip(
            scores, detections, batched_inputs, images.image_sizes, strict=True
        ):
            wished = _output_size(item, size)
            sem_seg = sem_seg_postprocess(score, size, *wished)
            instances = detector_postprocess(detected, *wished)
            panoptic = combine_semantic_and_instance_outputs(
                instances,
                sem_seg.argmax(dim=0),
                self.combine_overlap_thresh,
                self.combine_stuff_area_thresh,
                self.combine_instances_score_thresh,
            )
            results.append({"sem_seg": sem_seg, "instances": instances, "panoptic_seg": panoptic})
        return results


def combine_semantic_and_instance_outputs(
    instance_results: Instances,
    semantic_results: Tensor,
    overlap_threshold: float,
    stuff_area_thresh: float,
    instances_score_thresh: float,
) -> tuple[Tensor, list[dict]]:
    """Lay detections over one another, best first, and stuff around them.

    Args:
        instance_results: scores, pred_classes, pred_masks (N, H, W) bool.
        semantic_results: (H, W) int64; 0 is "some thing", stuff counts from 1.
        overlap_threshold: a detection goes when a larger share of it is taken.
        stuff_area_thresh: smallest area of stuff, in pixels.
        instances_score_thresh: smallest score of a detection.

    Returns:
        (H, W) int32 segment ids from 1, 0 where there is none; for each id a dict with id,
        isthing and category_id (within things, or within stuff), for things also score and
        instance_id, for stuff also area.

    Source: Kirillov et al., Panoptic Segmentation, 2019, section 7.
    """
    panoptic = torch.zeros_like(semantic_results, dtype=torch.int32)
    segments: list[dict] = []

    def paste(mask: Tensor, **info) -> None:
        panoptic[mask] = len(segments) + 1
        segments.append({"id": len(segments) + 1, **info})

    masks = instance_results.pred_masks.to(dtype=torch.bool, device=panoptic.device)
    for index in torch.argsort(-instance_results.scores).tolist():
        score = instance_results.scores[index].item()
        if score < instances_score_thresh:
            break
        mask = masks[index]
        area = mask.sum().item()
        if area == 0:
            continue
        free = mask & (panoptic == 0)
        if (area - free.sum().item()) / area > overlap_threshold:
            continue
        category = instance_results.pred_classes[index].item()
        paste(free, isthing=True, score=score, category_id=category, instance_id=index)

    for label in torch.unique(semantic_results).tolist():
        free = (semantic_results == label) & (panoptic == 0)
        area = free.sum().item()
        if label != 0 and area >= stuff_area_thresh:
            paste(free, isthing=False, category_id=label, area=area)
    return panoptic, segments
