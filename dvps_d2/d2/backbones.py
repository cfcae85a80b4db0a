"""Backbones of this package, in Detectron2's registry."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone, ShapeSpec
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor

from dvps_d2.layers import CompactResNet


class CompactResNetBackbone(Backbone):
    """:class:`dvps_d2.layers.CompactResNet` as a Detectron2 backbone."""

    def __init__(self, width: int, blocks: list[int]) -> None:
        super().__init__()
        self.net = CompactResNet(width, blocks)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) -> stem (stride 2), res2 (4), ..., res5 (32)."""
        return self.net(images)

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every map."""
        return {
            name: ShapeSpec(channels=channels, stride=stride)
            for name, (channels, stride) in self.net.output_shapes().items()
        }

    @property
    def size_divisibility(self) -> int:
        """Inputs must be multiples of the coarsest stride."""
        return 32


@BACKBONE_REGISTRY.register()
def build_compact_resnet_backbone(cfg: Any, input_shape: ShapeSpec) -> CompactResNetBackbone:
    """The network of ``MODEL.COMPACT_RESNET``, for training from scratch in minutes."""
    return CompactResNetBackbone(cfg.MODEL.COMPACT_RESNET.WIDTH, cfg.MODEL.COMPACT_RESNET.BLOCKS)


@BACKBONE_REGISTRY.register()
def build_compact_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """The same below a feature pyramid p2 to p6, by ``MODEL.FPN``."""
    return FPN(
        bottom_up=build_compact_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
