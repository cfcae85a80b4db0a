"""Features of a key frame enriched by those of a reference frame: gather, align, attend, share.

Source: Kim et al., "Video Panoptic Segmentation" (VPSNet), CVPR 2020, section 5.1. Attribute names
are those of the released weights (``extra_neck.*``).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers.flow import local_correlation, warp

CORRELATION_RADIUS = 4
LEAK = 0.1  # negative slope of every LeakyReLU here


def gather(levels: Sequence[Tensor], mode: str = "mean") -> Tensor:
    """Merge a feature pyramid at its finest resolution.

    Args:
        levels: (N, C, h_l, w_l), finest first; resized to the first by nearest neighbour.
        mode: "mean" (the released code, over all five levels) or "sum" (the paper).

    Returns:
        (N, C, h, w).
    """
    size = levels[0].shape[-2:]
    resized = [F.interpolate(level, size=size, mode="nearest") for level in levels]
    merged = sum(resized[1:], resized[0])
    return merged / len(levels) if mode == "mean" else merged


def redistribute(features: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
    """Add one map to every level of a pyramid, max-pooled to the level's size.

    Args:
        features: (N, C, h, w).
        levels: (N, C, h_l, w_l).
    """
    return [level + F.adaptive_max_pool2d(features, level.shape[-2:]) for level in levels]


class GatherNeck(nn.Module):
    """Gather and redistribute, without parameters: the extra neck of VPSNet-Base.

    Args:
        mode: see :func:`gather`.
    """

    def __init__(self, mode: str = "mean") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, pyramid: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same pyramid with its gathered map added to every level."""
        levels = list(pyramid.values())
        shared = redistribute(gather(levels, self.mode), levels)
        return dict(zip(pyramid, shared, strict=True))


class FuseNeck(nn.Module):
    """Gather two frames, align the reference to the key frame, attend over both, redistribute.

    Args:
        channels: C of the pyramid.
        mode: see :func:`gather`.
        align: warp the reference features; otherwise they are used where they are.
        attend: weigh both frames by space-time attention; otherwise they are averaged.
        legacy_warp: see :func:`dvps_d2.layers.flow.warp`; released weights need it.

    Source: section 5.1 and table 2 (align alone, attend alone). What "align alone" does with two
    maps is not published; the mean is ours.
    """

    def __init__(
        self,
        channels: int = 256,
        *,
        mode: str = "mean",
        align: bool = True,
        attend: bool = True,
        legacy_warp: bool = True,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.liteflownet = FlowRefinement(channels, legacy_warp) if align else None
        self.tcea_fusion = SpaceTimeAttention(channels) if attend else None
        self.refine = nn.ModuleDict({"conv": _conv(channels, channels, 3)})

    def forward(
        self, pyramid: Mapping[str, Tensor], reference: Tensor, flow: Tensor | None
    ) -> dict[str, Tensor]:
        """Fuse.

        Args:
            pyramid: level -> (N, C, h_l, w_l) of the key frame, finest first.
            reference: (N, C, h, w) the gathered map of the reference frame.
            flow: (N, 2, h, w) first guess of the flow from key to reference, in pixels of the
                finest level; not looked at without align.

        Returns:
            The pyramid with the fused map added to every level.
        """
        levels = list(pyramid.values())
        key = gather(levels, self.mode)
        if self.liteflownet is not None:
            reference = self.liteflownet(key, reference, flow)
        if self.tcea_fusion is not None:
            fused = self.tcea_fusion(key, reference)
        else:
            fused = (key + reference) / 2
        fused = F.relu(self.refine["conv"](fused))
        return dict(zip(pyramid, redistribute(fused, levels), strict=True))


class FlowRefinement(nn.Module):
    """Align: warp by the first guess, then warp the result by what is left of the motion.

    Args:
        channels: C.
        legacy_warp: see :func:`dvps_d2.layers.flow.warp`.
    """

    def __init__(self, channels: int, legacy_warp: bool) -> None:
        super().__init__()
        self.legacy_warp = legacy_warp
        displacements = (2 * CORRELATION_RADIUS + 1) ** 2
        sizes = (channels + displacements + 2, 64, 64, 32)
        layers = [
            nn.Sequential(_conv(inside, outside, 3), nn.LeakyReLU(LEAK))
            for inside, outside in itertools.pairwise(sizes)
        ]
        convs = nn.Sequential(*layers, _conv(sizes[-1], 2, 3))
        self.flow_estimator = nn.ModuleDict({"convs": convs})

    def forward(self, key: Tensor, reference: Tensor, flow: Tensor) -> Tensor:
        """The reference map (N, C, h, w) as seen from the key frame."""
        warped = warp(reference, flow.to(reference.dtype), legacy=self.legacy_warp)
        similar = local_correlation(key, warped, CORRELATION_RADIUS)
        seen = torch.cat([key, similar, flow.to(key.dtype)], dim=1)
        residual = self.flow_estimator["convs"](seen)
        return warp(warped, residual, legacy=self.legacy_warp)


class SpaceTimeAttention(nn.Module):
    """Weigh two frames by their likeness to the key frame, then places by attention.

    Source: Wang et al., EDVR, CVPRW 2019, section 3.3, with one level of the spatial pyramid, as
    VPSNet uses it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        both = 2 * channels
        self.tAtt_1 = _conv(channels, channels, 3)
        self.tAtt_2 = _conv(channels, channels, 3)
        self.fea_fusion = _conv(both, channels, 1)
        self.sAtt_1 = _conv(both, channels, 1)
        self.sAtt_2 = _conv(both, channels, 1)
        self.sAtt_3 = _conv(channels, channels, 3)
        self.sAtt_4 = _conv(channels, channels, 3)
        self.sAtt_add_1 = _conv(channels, channels, 1)
        self.sAtt_add_2 = _conv(channels, channels, 1)

    def forward(self, key: Tensor, aligned: Tensor) -> Tensor:
        """Two maps (N, C, h, w) -> one."""
        query = self.tAtt_2(key)
        weighted = [
            frame * (query * self.tAtt_1(frame)).sum(dim=1, keepdim=True).sigmoid()
            for frame in (key, aligned)
        ]
        frames = torch.cat(weighted, dim=1)  # (N, 2C, h, w)
        fused = _leaky(self.fea_fusion(frames))
        attention = self._spatial(frames)
        offset = self.sAtt_add_2(_leaky(self.sAtt_add_1(attention)))
        return 2 * fused * attention.sigmoid() + offset

    def _spatial(self, frames: Tensor) -> Tensor:
        """(N, 2C, h, w) -> (N, C, h, w), worked out at half the resolution."""
        wide = _leaky(self.sAtt_1(frames))
        pooled = [F.max_pool2d(wide, 3, 2, padding=1), F.avg_pool2d(wide, 3, 2, padding=1)]
        narrow = _leaky(self.sAtt_3(_leaky(self.sAtt_2(torch.cat(pooled, dim=1)))))
        up = F.interpolate(narrow, size=frames.shape[-2:], mode="bilinear", align_corners=False)
        return self.sAtt_4(up)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAK)


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
