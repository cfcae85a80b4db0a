"""Feature pyramid networks (Lin et al., Feature Pyramid Networks, 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from fvcore.nn.weight_init import c2_xavier_fill
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.layers import Conv2d, ShapeSpec, get_norm

from .backbone import Backbone
from .build import BACKBONE_REGISTRY
from .resnet import build_resnet_backbone


class LastLevelMaxPool(nn.Module):
    """One more level, p6: every second pixel of p5."""

    def __init__(self) -> None:
        super().__init__()
        self.num_levels = 1
        self.in_feature = "p5"

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> [(N, C, H / 2, W / 2)]."""
        return [F.max_pool2d(x, kernel_size=1, stride=2)]


class LastLevelP6P7(nn.Module):
    """Two more levels, p6 and p7, by convolutions of stride 2.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, footnote 2.
    """

    def __init__(self, in_channels: int, out_channels: int, in_feature: str = "res5") -> None:
        super().__init__()
        self.num_levels = 2
        self.in_feature = in_feature
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for conv in (self.p6, self.p7):
            c2_xavier_fill(conv)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) -> maps at half and at a quarter of the size."""
        p6 = self.p6(x)
        return [p6, self.p7(F.relu(p6))]


class FPN(Backbone):
    """A top-down pathway over a backbone; outputs ``p2``, ``p3``, ... by log2 of the stride."""

    def __init__(
        self,
        bottom_up: Backbone,
        in_features: Sequence[str],
        out_channels: int,
        norm="",
        top_block: nn.Module | None = None,
        fuse_type: str = "sum",
        square_pad: int = 0,
    ) -> None:
        """Build the pyramid.

        Args:
            bottom_up: the backbone below.
            in_features: its maps to use, finest first; each stride twice the one before.
            out_channels: channels of every output.
            norm: as in ``get_norm``; without one the convolutions have a bias.
            top_block: makes coarser levels from its ``in_feature``; has ``num_levels``.
            fuse_type: "sum", or "avg" to halve the sum of lateral and top-down maps.
            square_pad: pad images to squares of this side; 0 does not.
        """
        super().__init__()
        assert isinstance(bottom_up, Backbone), f"bottom_up is a {type(bottom_up)}"
        assert in_features, "in_features is empty"
        assert fuse_type in ("avg", "sum"), f"fuse_type must be avg or sum, got {fuse_type!r}"
        shapes = bottom_up.output_shape()
        strides = [shapes[name].stride for name in in_features]
        for fine, coarse in pairwise(strides):
            assert coarse == 2 * fine, f"strides must double from map to map, got {strides}"

        levels = [int(math.log2(stride)) for stride in strides]
        lateral_convs, output_convs = [], []
        for level, name in zip(levels, in_features, strict=True):
            lateral = self._conv(shapes[name].channels, out_channels, norm, 1)
            output = self._conv(out_channels, out_channels, norm, 3)
            # Both are made before the first is filled: seeds give the weights of the original.
            for conv in (lateral, output):
                c2_xavier_fill(conv)
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", output)
            lateral_convs.append(lateral)
            output_convs.append(output)
        # Plain lists, coarsest first; the modules are registered under the names above.
        self.lateral_convs = lateral_convs[::-1]
        self.output_convs = output_convs[::-1]
        self.top_block = top_block
        self.in_features = tuple(in_features)
        self.bottom_up = bottom_up

        if top_block is not None:
            levels += [levels[-1] + 1 + extra for extra in range(top_block.num_levels)]
        self._out_feature_strides = {f"p{level}": 2**level for level in levels}
        self._out_features = list(self._out_feature_strides)
        self._out_feature_channels = dict.fromkeys(self._out_features, out_channels)
        self._size_divisibility = strides[-1]
        self._square_pad = square_pad
        self._fuse_type = fuse_type

    @staticmethod
    def _conv(in_channels: int, out_channels: int, norm, kernel_size: int) -> Conv2d:
        return Conv2d(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            padding=kernel_size // 2,
            bias=norm == "",
            norm=get_norm(norm, out_channels),
        )

    @property
    def size_divisibility(self) -> int:
        """The stride of the coarsest input map."""
        return self._size_divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        """The wish for square images, if there is one."""
        return {"square_size": self._square_pad}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W), sides divisible by ``size_divisibility`` -> p2, p3, ..., finest first."""
        below = self.bottom_up(x)
        outputs, carried = [], None
        for name, lateral, output in zip(
            reversed(self.in_features), self.lateral_convs, self.output_convs, strict=True
        ):
            own = lateral(below[name])
            if carried is not None:
                own = own + F.interpolate(carried, scale_factor=2.0, mode="nearest")
                if self._fuse_type == "avg":
                    own = own / 2
            carried = own
            outputs.insert(0, output(carried))
        if self.top_block is not None:
            name = self.top_block.in_feature
            source = below[name] if name in below else outputs[self._out_features.index(name)]
            outputs.extend(self.top_block(source))
        return dict(zip(self._out_features, outputs, strict=True))


@BACKBONE_REGISTRY.register()
def build_resnet_fpn_backbone(cfg, input_shape: ShapeSpec) -> FPN:
    """ResNet and FPN with p6 by pooling: the backbone of Mask R-CNN and Panoptic FPN."""
    return _resnet_fpn(cfg, build_resnet_backbone(cfg, input_shape), LastLevelMaxPool())


@BACKBONE_REGISTRY.register()
def build_retinanet_resnet_fpn_backbone(cfg, input_shape: ShapeSpec) -> FPN:
    """ResNet and FPN with p6 and p7 by convolutions from res5."""
    bottom_up = build_resnet_backbone(cfg, input_shape)
    channels = bottom_up.output_shape()["res5"].channels
    top_block = LastLevelP6P7(channels, cfg.MODEL.FPN.OUT_CHANNELS)
    return _resnet_fpn(cfg, bottom_up, top_block)


def _resnet_fpn(cfg, bottom_up: Backbone, top_block: nn.Module) -> FPN:
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top_block,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
