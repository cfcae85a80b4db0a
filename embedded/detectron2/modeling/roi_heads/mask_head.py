"""A small mask per detected object (He et al., Mask R-CNN, 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2._subset import outside_subset
from detectron2.config import configurable
from detectron2.layers import Conv2d, ConvTranspose2d, ShapeSpec, cat, get_norm
from detectron2.structures import Instances
from detectron2.utils.events import get_event_storage
from detectron2.utils.registry import Registry

__all__ = [
    "ROI_MASK_HEAD_REGISTRY",
    "BaseMaskRCNNHead",
    "MaskRCNNConvUpsampleHead",
    "build_mask_head",
    "mask_rcnn_inference",
    "mask_rcnn_loss",
]

ROI_MASK_HEAD_REGISTRY = Registry("ROI_MASK_HEAD")
ROI_MASK_HEAD_REGISTRY.__doc__ = "Classes (cfg, ShapeSpec) that predict masks within boxes."


def mask_rcnn_loss(
    pred_mask_logits: Tensor, instances: list[Instances], vis_period: int = 0
) -> Tensor:
    """Mean binary cross entropy of the true class's masks.

    Args:
        pred_mask_logits: (B, K, S, S), or (B, 1, S, S) when classes share a mask.
        instances: per image foreground proposals, with proposal_boxes, gt_classes and gt_masks;
            B in all.
        vis_period: 0; pictures of masks are outside the subset.

    Returns:
        A scalar; 0 when B is 0.
    """
    if vis_period > 0:
        outside_subset("drawing masks during training (VIS_PERIOD)")
    total, channels, side = pred_mask_logits.shape[:3]
    assert side == pred_mask_logits.shape[3], f"not square: {tuple(pred_mask_logits.shape)}"
    present = [one for one in instances if len(one) > 0]
    if not present:
        return pred_mask_logits.sum() * 0
    targets = cat(
        [
            one.gt_masks.crop_and_resize(one.proposal_boxes.tensor, side).to(
                device=pred_mask_logits.device
            )
            for one in present
        ]
    ).bool()
    if channels == 1:
        logits = pred_mask_logits[:, 0]
    else:
        classes = cat([one.gt_classes.to(torch.int64) for one in present])
        logits = pred_mask_logits[torch.arange(total), classes]
    _log_mask_stats(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets.to(torch.float32))


def _log_mask_stats(logits: Tensor, targets: Tensor) -> None:
    """Log accuracy and the two kinds of error over the pixels of all masks."""
    wrong = (logits > 0.0) != targets
    positives, pixels = int(targets.sum()), targets.numel()
    storage = get_event_storage()
    storage.put_scalar("mask_rcnn/accuracy", 1 - int(wrong.sum()) / max(pixels, 1.0))
    storage.put_scalar(
        "mask_rcnn/false_positive", int((wrong & ~targets).sum()) / max(pixels - positives, 1.0)
    )
    storage.put_scalar(
        "mask_rcnn/false_negative", int((wrong & targets).sum()) / max(positives, 1.0)
    )


def mask_rcnn_inference(pred_mask_logits: Tensor, pred_instances: list[Instances]) -> None:
    """Give every detection the mask of its class.

    Args:
        pred_mask_logits: (B, K, S, S), or (B, 1, S, S).
        pred_instances: per image, with pred_classes; get pred_masks (N, 1, S, S), probabilities.
    """
    if pred_mask_logits.shape[1] > 1:
        classes = cat([one.pred_classes for one in pred_instances])
        rows = torch.arange(len(classes), device=classes.device)
        pred_mask_logits = pred_mask_logits[rows, classes][:, None]
    masks = pred_mask_logits.sigmoid().split([len(one) for one in pred_instances])
    for one, mask in zip(pred_instances, masks, strict=True):
        one.pred_masks = mask


class BaseMaskRCNNHead(nn.Module):
    """Loss and inference of mask heads; subclasses write ``layers``."""

    @configurable
    def __init__(self, *, loss_weight: float = 1.0, vis_period: int = 0) -> None:
        """Set the factor on the loss; ``vis_period`` must be 0."""
        super().__init__()
        self.vis_period = vis_period
        self.loss_weight = loss_weight

    @classmethod
    def from_config(cls, cfg, input_shape: ShapeSpec) -> dict:
        """Arguments from a config."""
        return {"vis_period": cfg.VIS_PERIOD}

    def forward(self, x: Tensor, instances: list[Instances]) -> dict[str, Tensor] | list[Instances]:
        """Learn or predict.

        Args:
            x: (B, C, H, W) pooled features.
            instances: per image: proposals with ground truth in training, else detections.

        Returns:
            {"loss_mask"} in training, else ``instances`` with pred_masks.
        """
        x = self.layers(x)
        if self.training:
            return {"loss_mask": mask_rcnn_loss(x, instances, self.vis_period) * self.loss_weight}
        mask_rcnn_inference(x, instances)
        return instances

    def layers(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, S, S) logits."""
        raise NotImplementedError


@ROI_MASK_HEAD_REGISTRY.register()
class MaskRCNNConvUpsampleHead(BaseMaskRCNNHead, nn.Sequential):
    """3x3 convolutions ``mask_fcn1``, ..., a 2x2 deconvolution and a 1x1 predictor."""

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        num_classes: int,
        conv_dims: Sequence[int],
        conv_norm="",
        **kwargs,
    ) -> None:
        """Build the head.

        Args:
            input_shape: channels of the pooled features.
            num_classes: K masks per object; 1 when classes share one.
            conv_dims: channels after each convolution and, last, after the deconvolution.
            conv_norm: as in ``get_norm``.
            **kwargs: for ``BaseMaskRCNNHead``.
        """
        super().__init__(**kwargs)
        assert len(conv_dims) >= 1, "conv_dims needs at least the deconvolution's channels"
        channels, filled = input_shape.channels, []
        for index, out_channels in enumerate(conv_dims[:-1], start=1):
            conv = Conv2d(
                channels,
                out_channels,
                kernel_size=3,
                padding=1,
                bias=not conv_norm,
                norm=get_norm(conv_norm, out_channels),
                activation=nn.ReLU(),
            )
            self.add_module(f"mask_fcn{index}", conv)
            filled.append(conv)
            channels = out_channels
        deconv = ConvTranspose2d(channels, conv_dims[-1], kernel_size=2, stride=2)
        self.add_module("deconv", deconv)
        self.add_module("deconv_relu", nn.ReLU())
        self.add_module("predictor", Conv2d(conv_dims[-1], num_classes, kernel_size=1))
        for layer in (*filled, deconv):
            c2_msra_fill(layer)
        nn.init.normal_(self.predictor.weight, std=0.001)
        nn.init.zeros_(self.predictor.bias)

    @classmethod
    def from_config(cls, cfg, input_shape: ShapeSpec) -> dict:
        """Arguments from a config."""
        head = cfg.MODEL.ROI_MASK_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "input_shape": input_shape,
            "num_classes": 1 if head.CLS_AGNOSTIC_MASK else cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "conv_dims": [head.CONV_DIM] * (head.NUM_CONV + 1),
            "conv_norm": head.NORM,
        }

    def layers(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, 2 H, 2 W) logits."""
        for layer in self.children():
            x = layer(x)
        return x


def build_mask_head(cfg, input_shape: ShapeSpec) -> nn.Module:
    """Build ``cfg.MODEL.ROI_MASK_HEAD.NAME``."""
    return ROI_MASK_HEAD_REGISTRY.get(cfg.MODEL.ROI_MASK_HEAD.NAME)(cfg, input_shape)
