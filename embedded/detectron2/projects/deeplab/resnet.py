"""ResNet with a stem of three small convolutions and dilated last stages."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from detectron2.layers import CNNBlockBase, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.resnet import (
    BasicStem,
    ResNet,
    _initialize,
    _norm_conv,
    _stages_from_config,
)


class DeepLabStem(CNNBlockBase):
    """Three 3x3 convolutions and max pooling, stride 4, in place of one 7x7 convolution."""

    def __init__(self, in_channels: int = 3, out_channels: int = 128, norm="BN") -> None:
        """Build the stem; the first two convolutions have half of ``out_channels``."""
        super().__init__(in_channels, out_channels, stride=4)
        half = out_channels // 2
        self.conv1 = _norm_conv(in_channels, half, 3, norm, stride=2, padding=1)
        self.conv2 = _norm_conv(half, half, 3, norm, stride=1, padding=1)
        self.conv3 = _norm_conv(half, out_channels, 3, norm, stride=1, padding=1)
        _initialize(self.conv1, self.conv2, self.conv3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / 4, W / 4)."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(conv(x))
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)


@BACKBONE_REGISTRY.register()
def build_resnet_deeplab_backbone(cfg, input_shape: ShapeSpec) -> ResNet:
    """A ResNet from ``cfg.MODEL.RESNETS`` with the keys of ``add_deeplab_config``.

    Raises:
        ValueError: unknown STEM_TYPE.
    """
    r = cfg.MODEL.RESNETS
    stems = {"basic": BasicStem, "deeplab": DeepLabStem}
    if r.STEM_TYPE not in stems:
        raise ValueError(f"Unknown stem type: {r.STEM_TYPE}")
    assert r.RES4_DILATION in (1, 2), f"RES4_DILATION must be 1 or 2, got {r.RES4_DILATION}"
    assert r.RES5_DILATION in (1, 2, 4), f"RES5_DILATION must be 1, 2 or 4, got {r.RES5_DILATION}"
    assert r.RES4_DILATION == 1 or r.RES5_DILATION == 4, (
        f"RES4_DILATION 2 needs RES5_DILATION 4, got {r.RES5_DILATION}"
    )
    stem = stems[r.STEM_TYPE](
        in_channels=input_shape.channels, out_channels=r.STEM_OUT_CHANNELS, norm=r.NORM
    )
    stages = _stages_from_config(
        cfg, res4_dilation=r.RES4_DILATION, res5_multi_grid=r.RES5_MULTI_GRID
    )
    return ResNet(stem, stages, out_features=r.OUT_FEATURES, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)
