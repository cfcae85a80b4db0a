"""The region proposal network (Ren et al., Faster R-CNN, 2015, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.config import configurable
from detectron2.layers import Conv2d, ShapeSpec, cat
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import get_event_storage
from detectron2.utils.memory import retry_if_cuda_oom
from detectron2.utils.registry import Registry

from .build import PROPOSAL_GENERATOR_REGISTRY
from .proposal_utils import find_top_rpn_proposals

RPN_HEAD_REGISTRY = Registry("RPN_HEAD")
RPN_HEAD_REGISTRY.__doc__ = "Classes (cfg, list of ShapeSpec) that score and move anchors."


def build_rpn_head(cfg, input_shape: list[ShapeSpec]) -> nn.Module:
    """Build ``cfg.MODEL.RPN.HEAD_NAME`` for these feature maps."""
    return RPN_HEAD_REGISTRY.get(cfg.MODEL.RPN.HEAD_NAME)(cfg, input_shape)


@RPN_HEAD_REGISTRY.register()
class StandardRPNHead(nn.Module):
    """3x3 convolutions, then one 1x1 convolution for scores and one for offsets."""

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        num_anchors: int,
        box_dim: int = 4,
        conv_dims: Sequence[int] = (-1,),
    ) -> None:
        """Build the head, which all levels share.

        Args:
            in_channels: of every level.
            num_anchors: per position.
            box_dim: numbers per anchor.
            conv_dims: channels after each 3x3 convolution; -1 keeps their number.
        """
        super().__init__()
        convs, channels = [], in_channels
        for wished in conv_dims:
            out_channels = channels if wished == -1 else wished
            assert out_channels > 0, f"conv_dims must be positive or -1, got {list(conv_dims)}"
            convs.append(
                Conv2d(channels, out_channels, kernel_size=3, padding=1, activation=nn.ReLU())
            )
            channels = out_channels
        if len(convs) == 1:
            self.conv = convs[0]
        else:
            self.conv = nn.Sequential()
            for index, conv in enumerate(convs):
                self.conv.add_module(f"conv{index}", conv)
        self.objectness_logits = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.anchor_deltas = nn.Conv2d(channels, num_anchors * box_dim, kernel_size=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    @classmethod
    def from_config(cls, cfg, input_shape: list[ShapeSpec]) -> dict:
        """Arguments from a config."""
        channels = {shape.channels for shape in input_shape}
        assert len(channels) == 1, f"all levels must have as many channels, got {channels}"
        generator = build_anchor_generator(cfg, input_shape)
        num_anchors = set(generator.num_anchors)
        assert len(num_anchors) == 1, f"all levels must have as many anchors, got {num_anchors}"
        return {
            "in_channels": channels.pop(),
            "num_anchors": num_anchors.pop(),
            "box_dim": generator.box_dim,
            "conv_dims": cfg.MODEL.RPN.CONV_DIMS,
        }

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Per level (N, A, H, W) scores and (N, A * 4, H, W) offsets."""
        hidden = [self.conv(feature) for feature in features]
        return [self.objectness_logits(t) for t in hidden], [self.anchor_deltas(t) for t in hidden]


@PROPOSAL_GENERATOR_REGISTRY.register()
class RPN(nn.Module):
    """Propose boxes that may hold an object, of whatever class."""

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        head: nn.Module,
        anchor_generator: nn.Module,
        anchor_matcher: Matcher,
        box2box_transform: Box2BoxTransform,
        batch_size_per_image: int,
        positive_fraction: float,
        pre_nms_topk: tuple[int, int],
        post_nms_topk: tuple[int, int],
        nms_thresh: float = 0.7,
        min_box_size: float = 0.0,
        anchor_boundary_thresh: float = -1.0,
        loss_weight: float | dict[str, float] = 1.0,
        box_reg_loss_type: str = "smooth_l1",
        smooth_l1_beta: float = 0.0,
    ) -> None:
        """Assemble the network.

        Args:
            in_features: names of the feature maps.
            head: scores and moves anchors.
            anchor_generator: makes anchors.
            anchor_matcher: labels them.
            box2box_transform: what the offsets mean.
            batch_size_per_image: anchors that enter the loss.
            positive_fraction: largest share of positives among them.
            pre_nms_topk: boxes per level before suppression, in training and testing.
            post_nms_topk: boxes per image after it, in training and testing.
            nms_thresh: IoU for suppression.
            min_box_size: shortest side, in pixels.
            anchor_boundary_thresh: anchors further outside the image than this are not trained;
                negative trains all.
            loss_weight: factor, or one for each of loss_rpn_cls and loss_rpn_loc.
            box_reg_loss_type: smooth_l1, giou, diou or ciou.
            smooth_l1_beta: of smooth L1.
        """
        super().__init__()
        self.in_features = in_features
        self.rpn_head = head
        self.anchor_generator = anchor_generator
        self.anchor_matcher = anchor_matcher
        self.box2box_transform = box2box_transform
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        # By ``self.training``.
        self.pre_nms_topk = {True: pre_nms_topk[0], False: pre_nms_topk[1]}
        self.post_nms_topk = {True: post_nms_topk[0], False: post_nms_topk[1]}
        self.nms_thresh = nms_thresh
        self.min_box_size = float(min_box_size)
        self.anchor_boundary_thresh = anchor_boundary_thresh
        if not isinstance(loss_weight, dict):
            loss_weight = {"loss_rpn_cls": loss_weight, "loss_rpn_loc": loss_weight}
        self.loss_weight = loss_weight
        self.box_reg_loss_type = box_reg_loss_type
        self.smooth_l1_beta = smooth_l1_beta

    @classmethod
    def from_config(cls, cfg, input_shape: dict[str, ShapeSpec]) -> dict:
        """Arguments from a config."""
        rpn = cfg.MODEL.RPN
        shapes = [input_shape[name] for name in rpn.IN_FEATURES]
        return {
            "in_features": rpn.IN_FEATURES,
            "head": build_rpn_head(cfg, shapes),
            "anchor_generator": build_anchor_generator(cfg, shapes),
            "anchor_matcher": Matcher(
                rpn.IOU_THRESHOLDS, rpn.IOU_LABELS, allow_low_quality_matches=True
            ),
            "box2box_transform": Box2BoxTransform(weights=rpn.BBOX_REG_WEIGHTS),
            "batch_size_per_image": rpn.BATCH_SIZE_PER_IMAGE,
            "positive_fraction": rpn.POSITIVE_FRACTION,
            "pre_nms_topk": (rpn.PRE_NMS_TOPK_TRAIN, rpn.PRE_NMS_TOPK_TEST),
            "post_nms_topk": (rpn.POST_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TEST),
            "nms_thresh": rpn.NMS_THRESH,
            "min_box_size": cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE,
            "anchor_boundary_thresh": rpn.BOUNDARY_THRESH,
            "loss_weight": {
                "loss_rpn_cls": rpn.LOSS_WEIGHT,
                "loss_rpn_loc": rpn.BBOX_REG_LOSS_WEIGHT * rpn.LOSS_WEIGHT,
            },
            "box_reg_loss_type": rpn.BBOX_REG_LOSS_TYPE,
            "smooth_l1_beta": rpn.SMOOTH_L1_BETA,
        }

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Propose, and in training also learn.

        Args:
            images: their sizes count.
            features: by name, (N, C, H, W).
            gt_instances: per image, with gt_boxes; needed in training.

        Returns:
            Per image proposal_boxes and objectness_logits, best first; losses by name.
        """
        maps = [features[name] for name in self.in_features]
        anchors = self.anchor_generator(maps)
        logits, deltas = self.rpn_head(maps)
        # (N, A, H, W) -> (N, H * W * A), the order of the anchors.
        logits = [level.permute(0, 2, 3, 1).flatten(1) for level in logits]
        # (N, A * B, H, W) -> (N, H * W * A, B).
        box_dim = self.anchor_generator.box_dim
        deltas = [
            level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, box_dim) for level in deltas
        ]
        losses = {}
        if self.training:
            assert gt_instances is not None, "RPN needs ground truth in training"
            labels, boxes = self.label_and_sample_anchors(anchors, gt_instances)
            losses = self.losses(anchors, logits, labels, deltas, boxes)
        return self.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What each anchor should learn.

        Args:
            anchors: per level; R in all.
            gt_instances: per image, with gt_boxes.

        Returns:
            Per image (R,) int8 labels (1, 0, or -1 for no part in the loss) and (R, 4) boxes.
        """
        all_anchors = Boxes.cat(anchors)
        labels, boxes = [], []
        for truth in gt_instances:
            gt_boxes = truth.gt_boxes
            quality = retry_if_cuda_oom(pairwise_iou)(gt_boxes, all_anchors)
            matches, label = retry_if_cuda_oom(self.anchor_matcher)(quality)
            label = label.to(gt_boxes.device)
            if self.anchor_boundary_thresh >= 0:
                inside = all_anchors.inside_box(truth.image_size, self.anchor_boundary_thresh)
                label[~inside] = -1
            labels.append(self._subsample_labels(label))
            if len(gt_boxes) == 0:
                boxes.append(torch.zeros_like(all_anchors.tensor))
            else:
                boxes.append(gt_boxes.tensor[matches.to(gt_boxes.device)])
        return labels, boxes

    def _subsample_labels(self, label: Tensor) -> Tensor:
        """Set all but a sample to -1, in place; subclasses override the choice."""
        positive, negative = subsample_labels(
            label, self.batch_size_per_image, self.positive_fraction, 0
        )
        label.fill_(-1)
        label[positive] = 1
        label[negative] = 0
        return label

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Classification and regression, both per nominal sample.

        The sums are divided by ``batch_size_per_image`` times the number of images, also when
        fewer anchors were sampled.
        """
        labels = torch.stack(gt_labels)
        num_images = len(labels)
        positive = labels == 1
        storage = get_event_storage()
        for name, chosen in (("pos", positive), ("neg", labels == 0)):
            storage.put_scalar(f"rpn/num_{name}_anchors", chosen.sum().item() / num_images)

        localization = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            positive,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        sampled = labels >= 0
        objectness = F.binary_cross_entropy_with_logits(
            cat(pred_objectness_logits, dim=1)[sampled],
            labels[sampled].to(torch.float32),
            reduction="sum",
        )
        nominal = self.batch_size_per_image * num_images
        losses = {"loss_rpn_cls": objectness / nominal, "loss_rpn_loc": localization / nominal}
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Decode and select. Proposals carry no gradient: they are inputs of the second stage."""
        return find_top_rpn_proposals(
            self._decode_proposals(anchors, pred_anchor_deltas),
            pred_objectness_logits,
            image_sizes,
            self.nms_thresh,
            self.pre_nms_topk[self.training],
            self.post_nms_topk[self.training],
            self.min_box_size,
            self.training,
        )

    def _decode_proposals(
        self, anchors: list[Boxes], pred_anchor_deltas: list[Tensor]
    ) -> list[Tensor]:
        """Per level (N, R_i, 4) boxes."""
        proposals = []
        for level, deltas in zip(anchors, pred_anchor_deltas, strict=True):
            images, count, box_dim = deltas.shape
            sources = level.tensor.expand(images, -1, -1).reshape(-1, box_dim)
            boxes = self.box2box_transform.apply_deltas(deltas.reshape(-1, box_dim), sources)
            proposals.append(boxes.view(images, count, box_dim))
        return proposals
