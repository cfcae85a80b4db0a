"""Semantic segmentation: one class per pixel."""

from __future__ import annotations

import math

from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.config import configurable
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling.backbone import Backbone, build_backbone
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.utils.registry import Registry

from ._images import ImageModel, _output_size
from .build import META_ARCH_REGISTRY

SEM_SEG_HEADS_REGISTRY = Registry("SEM_SEG_HEADS")
SEM_SEG_HEADS_REGISTRY.__doc__ = "Classes (cfg, input_shape) that turn features into class scores."


def build_sem_seg_head(cfg, input_shape: dict[str, ShapeSpec]) -> nn.Module:
    """Build ``cfg.MODEL.SEM_SEG_HEAD.NAME`` for these backbone outputs."""
    return SEM_SEG_HEADS_REGISTRY.get(cfg.MODEL.SEM_SEG_HEAD.NAME)(cfg, input_shape)


@META_ARCH_REGISTRY.register()
class SemanticSegmentor(ImageModel):
    """Backbone, then a head that scores the classes of each pixel."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        sem_seg_head: nn.Module,
        pixel_mean: list[float],
        pixel_std: list[float],
    ) -> None:
        """Assemble the model.

        Args:
            backbone: images to features.
            sem_seg_head: (features, targets) -> (scores, losses); has ``ignore_value``.
            pixel_mean: per channel, subtracted.
            pixel_std: per channel, divided by.
        """
        super().__init__(pixel_mean, pixel_std)
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Arguments from a config."""
        backbone = build_backbone(cfg)
        return {
            "backbone": backbone,
            "sem_seg_head": build_sem_seg_head(cfg, backbone.output_shape()),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Train or predict.

        Args:
            batched_inputs: image (C, H, W); in training sem_seg (H, W); optionally height and
                width of the output.

        Returns:
            In training losses by name, else per image {"sem_seg": (K, height, width) scores}.
        """
        images = self._batch_images(batched_inputs, self.backbone)
        targets = None
        if "sem_seg" in batched_inputs[0]:
            targets = self._batch_labels(
                batched_inputs, self.backbone, self.sem_seg_head.ignore_value
            )
        results, losses = self.sem_seg_head(self.backbone(images.tensor), targets)
        if self.training:
            return losses
        return [
            {"sem_seg": sem_seg_postprocess(result, size, *_output_size(item, size))}
            for result, item, size in zip(results, batched_inputs, images.image_sizes, strict=True)
        ]


@SEM_SEG_HEADS_REGISTRY.register()
class SemSegFPNHead(nn.Module):
    """Every pyramid level brought to one stride, summed, classified.

    Source: Kirillov et al., Panoptic Feature Pyramid Networks, 2019, section 3.1.
    """

    @configurable
    def __init__(
        self,
        input_shape: dict[str, ShapeSpec],
        *,
        num_classes: int,
        conv_dims: int,
        common_stride: int,
        loss_weight: float = 1.0,
        norm=None,
        ignore_value: int = -1,
    ) -> None:
        """Build the head.

        Args:
            input_shape: channels and stride of the levels to use.
            num_classes: channels of the output.
            conv_dims: channels inside.
            common_stride: the stride at which levels are summed.
            loss_weight: factor on the loss.
            norm: as in ``get_norm``.
            ignore_value: label of pixels without loss.
        """
        super().__init__()
        shapes = sorted(input_shape.items(), key=lambda pair: pair[1].stride)
        assert shapes, "SemSegFPNHead.input_shape is empty"
        self.in_features = [name for name, _ in shapes]
        self.ignore_value = ignore_value
        self.common_stride = common_stride
        self.loss_weight = loss_weight

        self.scale_heads = []  # registered by feature name
        for name, shape in shapes:
            steps, channels = [], shape.channels
            for _ in range(max(1, int(math.log2(shape.stride) - math.log2(common_stride)))):
                conv = Conv2d(
                    channels,
                    conv_dims,
                    kernel_size=3,
                    padding=1,
                    bias=not norm,
                    norm=get_norm(norm, conv_dims),
                    activation=F.relu,
                )
                c2_msra_fill(conv)
                steps.append(conv)
                if shape.stride != common_stride:
                    steps.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
                channels = conv_dims
            head = nn.Sequential(*steps)
            self.add_module(name, head)
            self.scale_heads.append(head)
        self.predictor = Conv2d(conv_dims, num_classes, kernel_size=1)
        c2_msra_fill(self.predictor)

    @classmethod
    def from_config(cls, cfg, input_shape: dict[str, ShapeSpec]) -> dict:
        """Arguments from a config."""
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            "input_shape": {k: v for k, v in input_shape.items() if k in head.IN_FEATURES},
            "num_classes": head.NUM_CLASSES,
            "conv_dims": head.CONVS_DIM,
            "common_stride": head.COMMON_STRIDE,
            "loss_weight": head.LOSS_WEIGHT,
            "norm": head.NORM,
            "ignore_value": head.IGNORE_VALUE,
        }

    def forward(
        self, features: dict[str, Tensor], targets: Tensor | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Score or learn.

        Args:
            features: pyramid levels (N, C, h, w).
            targets: (N, H, W) int64 classes; needed in training.

        Returns:
            In training (None, losses); else ((N, K, H, W) scores, {}).
        """
        scores = self.layers(features)
        if self.training:
            return None, self.losses(scores, targets)
        return self._to_image(scores), {}

    def layers(self, features: dict[str, Tensor]) -> Tensor:
        """(N, K, H / common_stride, W / common_stride) scores."""
        maps = [
            head(features[name])
            for name, head in zip(self.in_features, self.scale_heads, strict=True)
        ]
        return self.predictor(sum(maps[1:], start=maps[0]))

    def losses(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross entropy at full resolution, in float32, over the pixels that have a label."""
        loss = F.cross_entropy(
            self._to_image(predictions.float()), targets, ignore_index=self.ignore_value
        )
        return {"loss_sem_seg": loss * self.loss_weight}

    def _to_image(self, scores: Tensor) -> Tensor:
        return F.interpolate(
            scores, scale_factor=self.common_stride, mode="bilinear", align_corners=False
        )
