"""ResNets (He et al., Deep Residual Learning, 2016), plain, grouped, dilated and deformable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.layers import (
    CNNBlockBase,
    Conv2d,
    DeformConv,
    ModulatedDeformConv,
    ShapeSpec,
    get_norm,
)

from .backbone import Backbone
from .build import BACKBONE_REGISTRY

ResNetBlockBase = CNNBlockBase

# Blocks per stage, by depth.
_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def _norm_conv(in_channels: int, out_channels: int, kernel_size: int, norm, **kwargs) -> Conv2d:
    """A bias-free convolution with its norm."""
    return Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        bias=False,
        norm=get_norm(norm, out_channels),
        **kwargs,
    )


def _initialize(*convs: nn.Module | None) -> None:
    """Draw weights for ReLU networks.

    A seed gives the weights that it gives in the original: a block draws once its convolutions are
    all made (PyTorch has drawn for each by then), the shortcut last.
    """
    for conv in convs:
        if conv is not None:
            c2_msra_fill(conv)


class _ResidualBlock(CNNBlockBase):
    """``relu(residual(x) + shortcut(x))``; the shortcut is a 1x1 conv where channels change."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm) -> None:
        super().__init__(in_channels, out_channels, stride)
        changes = in_channels != out_channels
        self.shortcut = (
            _norm_conv(in_channels, out_channels, 1, norm, stride=stride) if changes else None
        )

    def _residual(self, x: Tensor) -> Tensor:
        """The learned branch, without the last ReLU."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu_(self._residual(x) + shortcut)


class BasicBlock(_ResidualBlock):
    """Two 3x3 convolutions: the block of ResNet-18 and ResNet-34."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm="BN") -> None:
        """Build the block; ``norm`` as in ``get_norm``."""
        super().__init__(in_channels, out_channels, stride, norm)
        self.conv1 = _norm_conv(in_channels, out_channels, 3, norm, stride=stride, padding=1)
        self.conv2 = _norm_conv(out_channels, out_channels, 3, norm, stride=1, padding=1)
        _initialize(self.conv1, self.conv2, self.shortcut)

    def _residual(self, x: Tensor) -> Tensor:
        """Two convolutions with a ReLU between them."""
        return self.conv2(F.relu_(self.conv1(x)))


class BottleneckBlock(_ResidualBlock):
    """1x1, 3x3, 1x1: the block of ResNet-50 and deeper ones."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        num_groups: int = 1,
        norm="BN",
        stride_in_1x1: bool = False,
        dilation: int = 1,
    ) -> None:
        """Build the block.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            bottleneck_channels: channels of the 3x3 convolution.
            stride: of the block.
            num_groups: groups of the 3x3 convolution.
            norm: as in ``get_norm``.
            stride_in_1x1: put the stride into the first 1x1 convolution (MSRA's weights) and not
                into the 3x3 one (torchvision's weights).
            dilation: of the 3x3 convolution.
        """
        super().__init__(in_channels, out_channels, stride, norm)
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = _norm_conv(in_channels, bottleneck_channels, 1, norm, stride=stride_1x1)
        self.conv2 = _norm_conv(
            bottleneck_channels,
            bottleneck_channels,
            3,
            norm,
            stride=stride_3x3,
            groups=num_groups,
            padding=dilation,
            dilation=dilation,
        )
        self.conv3 = _norm_conv(bottleneck_channels, out_channels, 1, norm)
        _initialize(self.conv1, self.conv2, self.conv3, self.shortcut)

    def _residual(self, x: Tensor) -> Tensor:
        """Three convolutions with ReLUs between them."""
        x = F.relu_(self.conv1(x))
        return self.conv3(F.relu_(self.conv2(x)))


class DeformBottleneckBlock(BottleneckBlock):
    """A bottleneck whose 3x3 convolution samples where ``conv2_offset`` says."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        num_groups: int = 1,
        norm="BN",
        stride_in_1x1: bool = False,
        dilation: int = 1,
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
    ) -> None:
        """Build the block; what is not explained here is as in ``BottleneckBlock``.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            bottleneck_channels: channels of the deformable convolution.
            stride: of the block.
            num_groups: groups of the deformable convolution.
            norm: as in ``get_norm``.
            stride_in_1x1: stride in the first 1x1 convolution.
            dilation: of the deformable convolution.
            deform_modulated: also weigh every tap (CUDA only).
            deform_num_groups: channel groups with offsets of their own.
        """
        super().__init__(
            in_channels,
            out_channels,
            bottleneck_channels=bottleneck_channels,
            stride=stride,
            num_groups=num_groups,
            norm=norm,
            stride_in_1x1=stride_in_1x1,
            dilation=dilation,
        )
        self.deform_modulated = deform_modulated
        geometry = {
            "kernel_size": 3,
            "stride": self.conv2.stride,
            "padding": dilation,
            "dilation": dilation,
        }
        # The order of parameters is that of optimizer states in checkpoints: offset before conv2.
        last = self.conv3
        del self.conv2, self.conv3
        # Per tap (dy, dx), or (dy, dx, weight); it starts as a plain grid.
        per_tap = 3 if deform_modulated else 2
        self.conv2_offset = Conv2d(bottleneck_channels, per_tap * 9 * deform_num_groups, **geometry)
        nn.init.zeros_(self.conv2_offset.weight)
        nn.init.zeros_(self.conv2_offset.bias)
        self.conv2 = (ModulatedDeformConv if deform_modulated else DeformConv)(
            bottleneck_channels,
            bottleneck_channels,
            bias=False,
            groups=num_groups,
            deformable_groups=deform_num_groups,
            norm=get_norm(norm, bottleneck_channels),
            **geometry,
        )
        c2_msra_fill(self.conv2)
        self.conv3 = last

    def _residual(self, x: Tensor) -> Tensor:
        """As in the parent, with learned sampling positions."""
        x = F.relu_(self.conv1(x))
        where = self.conv2_offset(x)
        if self.deform_modulated:
            first, second, weight = where.chunk(3, dim=1)
            x = self.conv2(x, torch.cat([first, second], dim=1), weight.sigmoid())
        else:
            x = self.conv2(x, where)
        return self.conv3(F.relu_(x))


class BasicStem(CNNBlockBase):
    """7x7 convolution and max pooling: three channels to ``out_channels`` at stride 4."""

    def __init__(self, in_channels: int = 3, out_channels: int = 64, norm="BN") -> None:
        super().__init__(in_channels, out_channels, stride=4)
        self.conv1 = _norm_conv(in_channels, out_channels, 7, norm, stride=2, padding=3)
        _initialize(self.conv1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / 4, W / 4)."""
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class ResNet(Backbone):
    """A stem and the stages ``res2``, ``res3``, ...

    With ``num_classes`` also a classifier, whose output is called ``linear``.
    """

    def __init__(
        self,
        stem: CNNBlockBase,
        stages: Sequence[Sequence[CNNBlockBase]],
        num_classes: int | None = None,
        out_features: Sequence[str] | None = None,
        freeze_at: int = 0,
    ) -> None:
        """Assemble the network.

        Args:
            stem: the first block.
            stages: the blocks of each stage, as from ``make_stage``.
            num_classes: None for no classifier.
            out_features: names to return, among stem, res2, ..., linear; by default the last.
                Stages beyond the deepest of them are left out.
            freeze_at: as in ``freeze``.
        """
        super().__init__()
        self.stem = stem
        self.num_classes = num_classes
        self._out_feature_strides = {"stem": stem.stride}
        self._out_feature_channels = {"stem": stem.out_channels}

        if out_features is not None:
            depths = [
                int(name[3:]) - 1 if name.startswith("res") else 0
                for name in out_features
                if name != "linear"
            ]
            if "linear" not in out_features:
                stages = stages[: max(depths, default=len(stages))]
        self.stages, names = [], []
        channels, stride = stem.out_channels, stem.stride
        for number, blocks in enumerate(stages, start=2):
            assert len(blocks) > 0, f"stage res{number} has no blocks"
            for block in blocks:
                assert isinstance(block, CNNBlockBase), f"not a CNNBlockBase: {type(block)}"
            name, stage = f"res{number}", nn.Sequential(*blocks)
            self.add_module(name, stage)
            self.stages.append(stage)
            names.append(name)
            channels = blocks[-1].out_channels
            stride *= int(np.prod([block.stride for block in blocks]))
            self._out_feature_strides[name] = stride
            self._out_feature_channels[name] = channels
        self.stage_names = tuple(names)
        last = self.stage_names[-1] if self.stage_names else "stem"

        if num_classes is not None:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.linear = nn.Linear(channels, num_classes)
            nn.init.normal_(self.linear.weight, std=0.01)
            last = "linear"

        self._out_features = [last] if out_features is None else list(out_features)
        assert len(self._out_features) > 0, "out_features is empty"
        known = {name for name, _ in self.named_children()}
        for name in self._out_features:
            assert name in known, f"out_features has {name!r}; there are {sorted(known)}"
        self.freeze(freeze_at)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) -> the maps named in ``out_features``."""
        assert x.dim() == 4, f"ResNet takes (N, C, H, W), got {tuple(x.shape)}"
        x = self.stem(x)
        maps = {"stem": x}
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            x = maps[name] = stage(x)
        if self.num_classes is not None:
            maps["linear"] = self.linear(self.avgpool(x).flatten(1))
        return {name: maps[name] for name in maps if name in self._out_features}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every output; unknown for ``linear``."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels.get(name),
                stride=self._out_feature_strides.get(name),
            )
            for name in self._out_features
        }

    def freeze(self, freeze_at: int = 0) -> ResNet:
        """Freeze the first parts: 1 the stem, 2 also res2, 3 also res3, ...; returns self."""
        if freeze_at >= 1:
            self.stem.freeze()
        for stage in self.stages[: max(0, freeze_at - 1)]:
            for block in stage:
                block.freeze()
        return self

    @staticmethod
    def make_stage(
        block_class: type[CNNBlockBase],
        num_blocks: int,
        *,
        in_channels: int,
        out_channels: int,
        **kwargs,
    ) -> list[CNNBlockBase]:
        """Build the blocks of one stage.

        Args:
            block_class: class of every block.
            num_blocks: how many.
            in_channels: of the first block; the others take ``out_channels``.
            out_channels: of every block.
            **kwargs: for every block; a name that ends in ``_per_block`` holds one value for
                each, as ``stride_per_block=[2, 1, 1]``.
        """
        each, common = {}, {}
        for name, value in kwargs.items():
            if not name.endswith("_per_block"):
                common[name] = value
                continue
            assert len(value) == num_blocks, (
                f"{name} has {len(value)} values for {num_blocks} blocks"
            )
            short = name.removesuffix("_per_block")
            assert short not in kwargs, f"both {short} and {name} are given"
            each[short] = value
        blocks = []
        for index in range(num_blocks):
            own = {name: values[index] for name, values in each.items()}
            blocks.append(
                block_class(in_channels=in_channels, out_channels=out_channels, **own, **common)
            )
            in_channels = out_channels
        return blocks

    @staticmethod
    def make_default_stages(
        depth: int, block_class: type[CNNBlockBase] | None = None, **kwargs
    ) -> list[list[CNNBlockBase]]:
        """The four stages of a standard ResNet of depth 18, 34, 50, 101 or 152."""
        shallow = depth < 50
        if block_class is None:
            block_class = BasicBlock if shallow else BottleneckBlock
        out_channels = [64, 128, 256, 512] if shallow else [256, 512, 1024, 2048]
        stages, in_channels = [], 64
        for index, (num_blocks, channels) in enumerate(
            zip(_BLOCKS[depth], out_channels, strict=True)
        ):
            own = {} if shallow else {"bottleneck_channels": channels // 4}
            stages.append(
                ResNet.make_stage(
                    block_class,
                    num_blocks,
                    stride_per_block=[1 if index == 0 else 2] + [1] * (num_blocks - 1),
                    in_channels=in_channels,
                    out_channels=channels,
                    **own,
                    **kwargs,
                )
            )
            in_channels = channels
        return stages


make_stage = ResNet.make_stage


def _stages_from_config(
    cfg, *, res4_dilation: int = 1, res5_multi_grid: Sequence[int] | None = None
) -> list[list[CNNBlockBase]]:
    """The stages that ``cfg.MODEL.RESNETS`` asks for, down to the deepest output.

    Args:
        cfg: the config.
        res4_dilation: 1, or 2 to keep res4 at stride 8 (then RES5_DILATION must be 4).
        res5_multi_grid: factors on RES5_DILATION for the blocks of res5.
    """
    r = cfg.MODEL.RESNETS
    depth, in_channels, out_channels = r.DEPTH, r.STEM_OUT_CHANNELS, r.RES2_OUT_CHANNELS
    bottleneck_channels = r.NUM_GROUPS * r.WIDTH_PER_GROUP
    shallow = depth in (18, 34)
    if shallow:
        assert out_channels == 64, f"RES2_OUT_CHANNELS must be 64 for R{depth}, got {out_channels}"
        assert not any(r.DEFORM_ON_PER_STAGE), f"DEFORM_ON_PER_STAGE: not for R{depth}"
        assert r.RES5_DILATION == 1, f"RES5_DILATION must be 1 for R{depth}"
        assert r.NUM_GROUPS == 1, f"NUM_GROUPS must be 1 for R{depth}"

    dilations = {4: res4_dilation, 5: r.RES5_DILATION}
    deepest = max(
        (int(name[3:]) for name in r.OUT_FEATURES if name.startswith("res")),
        default=5 if "linear" in r.OUT_FEATURES else 1,
    )
    stages = []
    for number in range(2, deepest + 1):
        num_blocks = _BLOCKS[depth][number - 2]
        dilation = dilations.get(number, 1)
        # A stage that dilates keeps the resolution, as does the first one.
        keeps = number == 2 or dilation > 1
        options = {
            "stride_per_block": [1 if keeps else 2] + [1] * (num_blocks - 1),
            "in_channels": in_channels,
            "out_channels": out_channels,
            "norm": r.NORM,
        }
        if shallow:
            block_class = BasicBlock
        else:
            block_class = BottleneckBlock
            options["bottleneck_channels"] = bottleneck_channels
            options["stride_in_1x1"] = r.STRIDE_IN_1X1
            options["num_groups"] = r.NUM_GROUPS
            options["dilation"] = dilation
            if r.DEFORM_ON_PER_STAGE[number - 2]:
                block_class = DeformBottleneckBlock
                options["deform_modulated"] = r.DEFORM_MODULATED
                options["deform_num_groups"] = r.DEFORM_NUM_GROUPS
            if number == 5 and res5_multi_grid is not None:
                del options["dilation"]
                options["dilation_per_block"] = [dilation * grid for grid in res5_multi_grid]
        stages.append(make_stage(block_class, num_blocks, **options))
        in_channels = out_channels
        out_channels *= 2
        bottleneck_channels *= 2
    return stages


@BACKBONE_REGISTRY.register()
def build_resnet_backbone(cfg, input_shape: ShapeSpec) -> ResNet:
    """A ResNet from ``cfg.MODEL.RESNETS``, frozen up to ``cfg.MODEL.BACKBONE.FREEZE_AT``."""
    r = cfg.MODEL.RESNETS
    assert r.RES5_DILATION in (1, 2), f"RES5_DILATION must be 1 or 2, got {r.RES5_DILATION}"
    stem = BasicStem(
        in_channels=input_shape.channels, out_channels=r.STEM_OUT_CHANNELS, norm=r.NORM
    )
    return ResNet(
        stem,
        _stages_from_config(cfg),
        out_features=r.OUT_FEATURES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
