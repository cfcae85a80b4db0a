"""FlowNet2 in plain PyTorch: the flow that released VPSNet weights were trained with.

Module names are those of released files (``flownet2.*`` in a VPSNet checkpoint), so that weights
fit. The correlation is a product of shifted maps; nothing needs to be compiled.

Source: Ilg et al., "FlowNet 2.0", CVPR 2017, figure 2; Dosovitskiy et al., "FlowNet", ICCV 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import local_correlation, warp

FLOW_SCALE = 20.0  # networks predict flow divided by it
COLOUR_RANGE = 255.0
MULTIPLE = 64  # of the sides of a frame
LEAK = 0.1


class _Stage(nn.Module):
    """Convolutions from half resolution downwards, and the refinement of flow on the way back."""

    def _add_bottom(self, third: int) -> None:
        """Layers 3_1 to 6_1; ``third`` channels enter layer 3_1."""
        self.conv3_1 = _conv(third, 256)
        for level, (inside, outside) in {4: (256, 512), 5: (512, 512), 6: (512, 1024)}.items():
            self.add_module(f"conv{level}", _conv(inside, outside, stride=2))
            self.add_module(f"conv{level}_1", _conv(outside, outside))

    def _add_refinement(self, *, inter: bool, bias: bool) -> None:
        """Flow at levels 6 to 2.

        Args:
            inter: smooth before predicting.
            bias: of the layers that enlarge flow.
        """
        merged = {5: 1026, 4: 770, 3: 386, 2: 194}
        narrow = {5: 512, 4: 256, 3: 128, 2: 64}
        self.predict_flow6 = _predict(1024)
        inside = 1024
        for level, channels in merged.items():
            self.add_module(f"deconv{level}", _deconv(inside, narrow[level]))
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", _enlarge(bias))
            if inter:
                self.add_module(f"inter_conv{level}", _inter(channels, narrow[level]))
            self.add_module(f"predict_flow{level}", _predict(narrow[level] if inter else channels))
            inside = channels

    def _bottom(self, third: Tensor) -> list[Tensor]:
        """What enters layer 3_1 -> the maps of levels 3 to 6."""
        maps = [self.conv3_1(third)]
        for level in (4, 5, 6):
            down, again = (self.get_submodule(f"conv{level}{end}") for end in ("", "_1"))
            maps.append(again(down(maps[-1])))
        return maps

    def _refine(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of levels 2 to 6 -> (N, 2, H/4, W/4) flow."""
        return _refine(self, dict(enumerate(maps, start=2)))


class FlowNetC(_Stage):
    """Two frames, compared by correlation at an eighth of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 7, 2)
        self.conv2 = _conv(64, 128, 5, 2)
        self.conv3 = _conv(128, 256, 5, 2)
        self.conv_redir = _conv(256, 32, 1)
        self._add_bottom(32 + 441)
        self._add_refinement(inter=False, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 6, H, W) both frames -> (N, 2, H/4, W/4)."""
        second = self.conv2(self.conv1(x[:, :3]))
        third, other = self.conv3(second), self.conv3(self.conv2(self.conv1(x[:, 3:])))
        similar = F.leaky_relu(local_correlation(third, other, radius=20, step=2), LEAK)
        seen = torch.cat([self.conv_redir(third), similar], dim=1)
        return self._refine([second, *self._bottom(seen)])


class FlowNetS(_Stage):
    """Both frames, a first flow, what it explains and what it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(12, 64, 7, 2)
        self.conv2 = _conv(64, 128, 5, 2)
        self.conv3 = _conv(128, 256, 5, 2)
        self._add_bottom(256)
        self._add_refinement(inter=False, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 12, H, W) -> (N, 2, H/4, W/4)."""
        second = self.conv2(self.conv1(x))
        return self._refine([second, *self._bottom(self.conv3(second))])


class FlowNetSD(_Stage):
    """Small displacements: small kernels, and smooth flow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = _conv(6, 64)
        self.conv1 = _conv(64, 64, stride=2)
        self.conv1_1 = _conv(64, 128)
        self.conv2 = _conv(128, 128, stride=2)
        self.conv2_1 = _conv(128, 128)
        self.conv3 = _conv(128, 256, stride=2)
        self._add_bottom(256)
        self._add_refinement(inter=True, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 6, H, W) both frames -> (N, 2, H/4, W/4)."""
        second = self.conv2_1(self.conv2(self.conv1_1(self.conv1(self.conv0(x)))))
        return self._refine([second, *self._bottom(self.conv3(second))])


class FlowNetFusion(nn.Module):
    """Two flows of one pair of frames -> a better one, at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = _conv(11, 64)
        self.conv1 = _conv(64, 64, stride=2)
        self.conv1_1 = _conv(64, 128)
        self.conv2 = _conv(128, 128, stride=2)
        self.conv2_1 = _conv(128, 128)
        self.predict_flow2 = _predict(128)
        self.deconv1, self.deconv0 = _deconv(128, 32), _deconv(162, 16)
        self.upsampled_flow2_to_1, self.upsampled_flow1_to_0 = _enlarge(True), _enlarge(True)
        self.inter_conv1, self.inter_conv0 = _inter(162, 32), _inter(82, 16)
        self.predict_flow1, self.predict_flow0 = _predict(32), _predict(16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 11, H, W) -> (N, 2, H, W) pixels."""
        zeroth = self.conv0(x)
        first = self.conv1_1(self.conv1(zeroth))
        second = self.conv2_1(self.conv2(first))
        return _refine(self, {0: zeroth, 1: first, 2: second})


class FlowNet2(nn.Module):
    """The whole stack: C, then S twice, beside SD, and the fusion of both."""

    def __init__(self) -> None:
        super().__init__()
        self.flownetc = FlowNetC()
        self.flownets_1 = FlowNetS()
        self.flownets_2 = FlowNetS()
        self.flownets_d = FlowNetSD()
        self.flownetfusion = FlowNetFusion()

    def forward(self, key: Tensor, reference: Tensor) -> Tensor:
        """Estimate.

        Args:
            key: (N, 3, H, W) RGB in 0..255; H and W multiples of 64.
            reference: (N, 3, H, W).

        Returns:
            (N, 2, H, W) pixels from key to reference.
        """
        mean = torch.stack([key, reference], dim=2).mean(dim=(2, 3, 4), keepdim=True)[:, :, 0]
        key, reference = ((image - mean) / COLOUR_RANGE for image in (key, reference))
        both = torch.cat([key, reference], dim=1)
        flow = _enlarge_flow(self.flownetc(both) * FLOW_SCALE, "bilinear")
        flow = self.flownets_1(_evidence(both, flow)) * FLOW_SCALE
        flow = self.flownets_2(_evidence(both, _enlarge_flow(flow, "bilinear"))) * FLOW_SCALE
        large = _enlarge_flow(flow, "nearest")
        small = _enlarge_flow(self.flownets_d(both) / FLOW_SCALE, "nearest")
        return self.flownetfusion(
            torch.cat(
                [
                    key,
                    small,
                    large,
                    _length(small),
                    _length(large),
                    _length(key - warp(reference, small, outside="border")),
                    _length(key - warp(reference, large, outside="border")),
                ],
                dim=1,
            )
        )


def _evidence(both: Tensor, flow: Tensor) -> Tensor:
    """(N, 12, H, W): both frames, the reference warped, the flow, and where it does not fit."""
    key, reference = both.chunk(2, dim=1)
    warped = warp(reference, flow, outside="border")
    return torch.cat([both, warped, flow / FLOW_SCALE, _length(key - warped)], dim=1)


def _refine(net: nn.Module, maps: dict[int, Tensor]) -> Tensor:
    """Maps by level -> flow at the finest of them, predicted at each and carried on to the next."""
    coarsest, *finer = sorted(maps, reverse=True)
    features = maps[coarsest]
    flow = net.get_submodule(f"predict_flow{coarsest}")(features)
    for level in finer:
        up = net.get_submodule(f"upsampled_flow{level + 1}_to_{level}")(flow)
        features = torch.cat(
            [maps[level], net.get_submodule(f"deconv{level}")(features), up], dim=1
        )
        smooth = getattr(net, f"inter_conv{level}", nn.Identity())
        flow = net.get_submodule(f"predict_flow{level}")(smooth(features))
    return flow


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True)


def _enlarge_flow(flow: Tensor, mode: str) -> Tensor:
    """Four times the size; values are pixels of the full resolution already."""
    corners = {"align_corners": False} if mode == "bilinear" else {}
    return F.interpolate(flow, scale_factor=4, mode=mode, **corners)


def _conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2)
    return nn.Sequential(conv, nn.LeakyReLU(LEAK))


def _inter(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1))


def _deconv(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inside, outside, 4, 2, 1), nn.LeakyReLU(LEAK))


def _predict(inside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, 2, 3, padding=1)


def _enlarge(bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)
