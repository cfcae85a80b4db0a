"""Semantic segmentation on a feature pyramid, by deformable convolutions as published."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers.conv import ConvNorm
from dvps_d2.layers.deform_conv import DeformConv


class SemanticHead(nn.Module):
    """One stack of (deformable) convolutions for all levels, then one classifier on all of them.

    Args:
        channels: of the pyramid.
        num_classes: K.
        num_levels: levels that are read, finest first.
        head_channels: channels after the second layer; the first keeps those of the pyramid.
        num_layers: convolutions in the stack, at least 2.
        deformable: let the taps of the stack move, as published; ordinary convolutions take an
            eighth of the time on CPUs.

    Source: Xiong et al., UPSNet, CVPR 2019, section 3.1, with the sizes of VPSNet: three layers and
    group norm (the original has two, without norm, on Cityscapes). Parameter names are those of
    released weights (``panopticFPN.*``).
    """

    def __init__(
        self,
        channels: int = 256,
        num_classes: int = 19,
        *,
        num_levels: int = 4,
        head_channels: int = 128,
        num_layers: int = 3,
        deformable: bool = True,
    ) -> None:
        super().__init__()
        sizes = [channels, channels, *[head_channels] * (num_layers - 1)]
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise(sizes):
            conv = DeformConv(inside, outside) if deformable else _conv(inside, outside)
            layers += [conv, nn.GroupNorm(32, outside), nn.ReLU()]
        self.deform_convs = nn.ModuleList([nn.Sequential(*layers)])
        classifier = ConvNorm(num_levels * head_channels, num_classes)
        self.conv_pred = nn.ModuleDict({"conv": classifier})

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Classify.

        Args:
            levels: (N, C, h_l, w_l), finest first.

        Returns:
            (N, K, h, w) logits on the finest grid.
        """
        (stack,) = self.deform_convs
        size = levels[0].shape[-2:]
        maps = [
            F.interpolate(stack(level), size=size, mode="bilinear", align_corners=False)
            for level in levels
        ]
        return self.conv_pred["conv"](torch.cat(maps, dim=1))


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
