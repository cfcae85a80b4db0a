"""The second stage: what is in each proposed box?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectron2._subset import outside_subset
from detectron2.config import configurable
from detectron2.layers import ShapeSpec, nonzero_tuple
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import get_event_storage
from detectron2.utils.registry import Registry

from .box_head import build_box_head
from .fast_rcnn import FastRCNNOutputLayers
from .mask_head import build_mask_head

ROI_HEADS_REGISTRY = Registry("ROI_HEADS")
ROI_HEADS_REGISTRY.__doc__ = "Classes (cfg, input_shape): per-region computation of a detector."


def build_roi_heads(cfg, input_shape: dict[str, ShapeSpec]) -> nn.Module:
    """Build ``cfg.MODEL.ROI_HEADS.NAME`` for these feature maps."""
    return ROI_HEADS_REGISTRY.get(cfg.MODEL.ROI_HEADS.NAME)(cfg, input_shape)


def select_foreground_proposals(
    proposals: list[Instances], bg_label: int
) -> tuple[list[Instances], list[Tensor]]:
    """Only the proposals that hold an object.

    Args:
        proposals: per image, with gt_classes.
        bg_label: the class of background.

    Returns:
        Per image the proposals, and the (R,) bool mask that selects them.
    """
    masks = [(p.gt_classes != -1) & (p.gt_classes != bg_label) for p in proposals]
    return [p[nonzero_tuple(m)[0]] for p, m in zip(proposals, masks, strict=True)], masks


class ROIHeads(nn.Module):
    """Matching and sampling of proposals; subclasses do the rest."""

    @configurable
    def __init__(
        self,
        *,
        num_classes: int,
        batch_size_per_image: int,
        positive_fraction: float,
        proposal_matcher: Matcher,
        proposal_append_gt: bool = True,
    ) -> None:
        """Set the sampling.

        Args:
            num_classes: K, without background.
            batch_size_per_image: proposals per image that are trained.
            positive_fraction: largest share of foreground among them.
            proposal_matcher: labels proposals.
            proposal_append_gt: add the true boxes to the proposals.
        """
        super().__init__()
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.num_classes = num_classes
        self.proposal_matcher = proposal_matcher
        self.proposal_append_gt = proposal_append_gt

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Arguments from a config."""
        heads = cfg.MODEL.ROI_HEADS
        return {
            "batch_size_per_image": heads.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": heads.POSITIVE_FRACTION,
            "num_classes": heads.NUM_CLASSES,
            "proposal_append_gt": heads.PROPOSAL_APPEND_GT,
            "proposal_matcher": Matcher(
                heads.IOU_THRESHOLDS, heads.IOU_LABELS, allow_low_quality_matches=False
            ),
        }

    def _sample_proposals(
        self, matched_idxs: Tensor, matched_labels: Tensor, gt_classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Choose proposals of one image.

        Returns:
            Their indices, foreground first, and their classes.
        """
        if gt_classes.numel() > 0:
            classes = gt_classes[matched_idxs].clone()
            classes[matched_labels == 0] = self.num_classes
            classes[matched_labels == -1] = -1
        else:
            classes = torch.full_like(matched_idxs, self.num_classes)
        chosen = torch.cat(
            subsample_labels(
                classes, self.batch_size_per_image, self.positive_fraction, self.num_classes
            )
        )
        return chosen, classes[chosen]

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """Choose the proposals to train on, and tell each what it should be.

        Args:
            proposals: per image, with proposal_boxes and objectness_logits.
            targets: per image, with gt_boxes, gt_classes and other gt_* fields.

        Returns:
            Per image a sample with gt_classes, and (where there are objects) the other gt_*
            fields of the matched object.
        """
        if self.proposal_append_gt:
            proposals = add_ground_truth_to_proposals(targets, proposals)
        samples, foreground, background = [], [], []
        for found, truth in zip(proposals, targets, strict=True):
            quality = pairwise_iou(truth.gt_boxes, found.proposal_boxes)
            matches, labels = self.proposal_matcher(quality)
            chosen, classes = self._sample_proposals(matches, labels, truth.gt_classes)
            sample = found[chosen]
            sample.gt_classes = classes
            if len(truth) > 0:
                objects = matches[chosen]
                # All at once would be simpler, but a mask or polygon list is slow to index.
                for name, value in truth.get_fields().items():
                    if name.startswith("gt_") and not sample.has(name):
                        sample.set(name, value[objects])
            num_background = int((classes == self.num_classes).sum())
            background.append(num_background)
            foreground.append(classes.numel() - num_background)
            samples.append(sample)
        storage = get_event_storage()
        storage.put_scalar("roi_head/num_fg_samples", sum(foreground) / max(1, len(foreground)))
        storage.put_scalar("roi_head/num_bg_samples", sum(background) / max(1, len(background)))
        return samples

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Per image detections (in training, proposals), and losses by name."""
        raise NotImplementedError


@ROI_HEADS_REGISTRY.register()
class StandardROIHeads(ROIHeads):
    """Independent box and mask branches on pooled features; keypoints are outside the subset."""

    @configurable
    def __init__(
        self,
        *,
        box_in_features: list[str],
        box_pooler: ROIPooler,
        box_head: nn.Module,
        box_predictor: nn.Module,
        mask_in_features: list[str] | None = None,
        mask_pooler: ROIPooler | None = None,
        mask_head: nn.Module | None = None,
        keypoint_in_features: list[str] | None = None,
        keypoint_pooler: ROIPooler | None = None,
        keypoint_head: nn.Module | None = None,
        train_on_pred_boxes: bool = False,
        **kwargs,
    ) -> None:
        """Assemble the branches.

        Args:
            box_in_features: names of the feature maps of the box branch.
            box_pooler: cuts boxes out of them.
            box_head: makes a vector of each.
            box_predictor: classifies and moves it.
            mask_in_features: as for boxes; None for no masks.
            mask_pooler: likewise; None hands whole feature maps to the mask head.
            mask_head: likewise.
            keypoint_in_features: must be None, as the two that follow.
            keypoint_pooler: see there.
            keypoint_head: see there.
            train_on_pred_boxes: train masks on predicted boxes, not on proposals.
            **kwargs: for ``ROIHeads``.
        """
        super().__init__(**kwargs)
        if keypoint_in_features is not None:
            outside_subset("keypoints")
        self.in_features = self.box_in_features = box_in_features
        self.box_pooler = box_pooler
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.mask_on = mask_in_features is not None
        if self.mask_on:
            self.mask_in_features = mask_in_features
            self.mask_pooler = mask_pooler
            self.mask_head = mask_head
        self.keypoint_on = False
        self.train_on_pred_boxes = train_on_pred_boxes

    @classmethod
    def from_config(cls, cfg, input_shape: dict[str, ShapeSpec]) -> dict:
        """Arguments from a config; the branches come from ``_init_box_head`` and its like."""
        if cfg.MODEL.KEYPOINT_ON:
            outside_subset("keypoints (MODEL.KEYPOINT_ON)")
        return {
            **super().from_config(cfg),
            "train_on_pred_boxes": cfg.MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES,
            **cls._init_box_head(cfg, input_shape),
            **cls._init_mask_head(cfg, input_shape),
        }

    @staticmethod
    def _pooler(
        head_cfg, names: list[str], input_shape: dict[str, ShapeSpec]
    ) -> tuple[ROIPooler, ShapeSpec]:
        """The pooler that a head's config asks for, and the shape of what it gives."""
        channels = {input_shape[name].channels for name in names}
        assert len(channels) == 1, f"{names} must have as many channels, got {channels}"
        resolution = head_cfg.POOLER_RESOLUTION
        pooler = ROIPooler(
            output_size=resolution,
            scales=[1.0 / input_shape[name].stride for name in names],
            sampling_ratio=head_cfg.POOLER_SAMPLING_RATIO,
            pooler_type=head_cfg.POOLER_TYPE,
        )
        return pooler, ShapeSpec(channels=channels.pop(), height=resolution, width=resolution)

    @classmethod
    def _init_box_head(cls, cfg, input_shape: dict[str, ShapeSpec]) -> dict:
        names = cfg.MODEL.ROI_HEADS.IN_FEATURES
        pooler, shape = cls._pooler(cfg.MODEL.ROI_BOX_HEAD, names, input_shape)
        box_head = build_box_head(cfg, shape)
        return {
            "box_in_features": names,
            "box_pooler": pooler,
            "box_head": box_head,
            "box_predictor": FastRCNNOutputLayers(cfg, box_head.output_shape),
        }

    @classmethod
    def _init_mask_head(cls, cfg, input_shape: dict[str, ShapeSpec]) -> dict:
        if not cfg.MODEL.MASK_ON:
            return {}
        names = cfg.MODEL.ROI_HEADS.IN_FEATURES
        pooler, shape = cls._pooler(cfg.MODEL.ROI_MASK_HEAD, names, input_shape)
        return {
            "mask_in_features": names,
            "mask_pooler": pooler,
            "mask_head": build_mask_head(cfg, shape),
        }

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Train on a sample of the proposals, or detect.

        Args:
            images: not used.
            features: by name, (N, C, H, W).
            proposals: per image.
            targets: per image; needed in training.

        Returns:
            In training the sample and the losses, else detections and {}.
        """
        if not self.training:
            instances = self._forward_box(features, proposals)
            return self.forward_with_given_boxes(features, instances), {}
        assert targets is not None, "'targets' argument is required during training"
        proposals = self.label_and_sample_proposals(proposals, targets)
        losses = self._forward_box(features, proposals)
        # On proposals (or predicted boxes), so that the branches learn at the same time.
        losses.update(self._forward_mask(features, proposals))
        return proposals, losses

    def forward_with_given_boxes(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> list[Instances]:
        """Add masks to detections.

        Args:
            features: by name.
            instances: per image, with pred_boxes and pred_classes.

        Returns:
            The same, with pred_masks.
        """
        assert not self.training, "forward_with_given_boxes is for evaluation"
        assert instances[0].has("pred_boxes") and instances[0].has("pred_classes"), (
            "instances need pred_boxes and pred_classes"
        )
        return self._forward_mask(features, instances)

    def _forward_box(
        self, features: dict[str, Tensor], proposals: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Losses in training, else detections."""
        maps = [features[name] for name in self.box_in_features]
        vectors = self.box_head(self.box_pooler(maps, [p.proposal_boxes for p in proposals]))
        predictions = self.box_predictor(vectors)
        if not self.training:
            return self.box_predictor.inference(predictions, proposals)[0]
        losses = self.box_predictor.losses(predictions, proposals)
        if self.train_on_pred_boxes:  # in place, for the branches that follow
            with torch.no_grad():
                moved = self.box_predictor.predict_boxes_for_gt_classes(predictions, proposals)
                for proposal, boxes in zip(proposals, moved, strict=True):
                    proposal.proposal_boxes = Boxes(boxes)
        return losses

    def _forward_mask(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Loss on the foreground in training, else detections with masks."""
        if not self.mask_on:
            return {} if self.training else instances
        if self.training:
            instances, _ = select_foreground_proposals(instances, self.num_classes)
        if self.mask_pooler is None:
            return self.mask_head(
                {name: features[name] for name in self.mask_in_features}, instances
            )
        maps = [features[name] for name in self.mask_in_features]
        boxes = [x.proposal_boxes if self.training else x.pred_boxes for x in instances]
        return self.mask_head(self.mask_pooler(maps, boxes), instances)
