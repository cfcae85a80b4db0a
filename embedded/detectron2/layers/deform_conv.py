"""Deformable convolutions, through torchvision's kernels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d


class _DeformConvBase(nn.Module):
    """What the plain and the modulated kind share: geometry, weights, norm and activation."""

    _modulated: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool | None = None,
        norm: Callable[[Tensor], Tensor] | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Build the layer.

        Args:
            in_channels: channels of the input.
            out_channels: channels of the output.
            kernel_size: of the convolution.
            stride: of the convolution.
            padding: on each side.
            dilation: between taps.
            groups: of the convolution.
            deformable_groups: channel groups with offsets of their own.
            bias: None takes the default of the class: without one in DeformConv, which cannot
                have any, and with one in ModulatedDeformConv.
            norm: applied to the output.
            activation: applied last.
        """
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            assert channels % groups == 0, f"{name}={channels} is not divisible by groups={groups}"
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        self.deformable_groups = deformable_groups
        self.norm = norm
        self.activation = activation
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, *self.kernel_size)
        )
        with_bias = self._modulated if bias is None else bias
        assert self._modulated or not with_bias, "DeformConv has no bias; use ModulatedDeformConv"
        self.bias = nn.Parameter(torch.zeros(out_channels)) if with_bias else None
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def _convolve(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        if x.numel() == 0:
            return x.new_zeros(x.shape[0], self.out_channels, *self._output_size(x))
        x = deform_conv2d(
            x, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )
        for step in (self.norm, self.activation):
            if step is not None:
                x = step(x)
        return x

    def _output_size(self, x: Tensor) -> list[int]:
        geometry = zip(
            x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        )
        return [math.floor((n + 2 * p - d * (k - 1) - 1) / s) + 1 for n, k, s, p, d in geometry]

    def extra_repr(self) -> str:
        return (
            f"in_channels={self.in_channels}, out_channels={self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, groups={self.groups}, "
            f"deformable_groups={self.deformable_groups}, bias={self.bias is not None}"
        )


class DeformConv(_DeformConvBase):
    """Deformable convolution without modulation and without bias.

    On a CPU only ``deformable_groups=1``, the limit that Detectron2 itself has there.

    Source: Dai et al., Deformable Convolutional Networks, 2017, equation 2.
    """

    _modulated = False

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """Convolve at shifted taps.

        Args:
            x: (B, C, H, W).
            offset: (B, 2 * groups * kh * kw, H', W') pixels, as (dy, dx) per tap.
        """
        if x.device.type == "cpu" and self.deformable_groups != 1:
            raise NotImplementedError(
                f"DeformConv on a CPU needs deformable_groups=1, got {self.deformable_groups}"
            )
        return self._convolve(x, offset, None)


class ModulatedDeformConv(_DeformConvBase):
    """Deformable convolution whose taps are also weighted; CUDA only, as in Detectron2.

    Source: Zhu et al., Deformable ConvNets v2, 2019, equation 1.
    """

    _modulated = True

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Convolve at shifted, weighted taps.

        Args:
            x: (B, C, H, W).
            offset: (B, 2 * groups * kh * kw, H', W') pixels, as (dy, dx) per tap.
            mask: (B, groups * kh * kw, H', W') weights, usually after a sigmoid.
        """
        if x.device.type == "cpu":
            raise NotImplementedError("ModulatedDeformConv needs CUDA, got a CPU tensor")
        return self._convolve(x, offset, mask)
