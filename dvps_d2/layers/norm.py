"""Group norm whose backward is fast in the memory format that convolutions like on a CPU."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Groups of the group norms in Mask2Former; fewer when the channels cannot be split so.
NORM_GROUPS = 32


class GroupNorm(nn.GroupNorm):
    """``torch.nn.GroupNorm``, with a backward of its own for channels-last tensors on a CPU.

    There PyTorch's backward takes about ten times as long as in contiguous memory, longer than
    the convolution before it, while everything else is faster in channels-last.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, normalised per frame and group of channels."""
        slow = (
            self.affine
            and x.device.type == "cpu"
            and x.dim() == 4
            and not x.is_contiguous()
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if slow and torch.is_grad_enabled():
            return _ChannelsLastGroupNorm.apply(
                x, self.weight, self.bias, self.num_groups, self.eps
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _ChannelsLastGroupNorm(torch.autograd.Function):
    """PyTorch's forward; a backward made of whole-tensor operations.

    With x^ = (x - mean) * rstd and M elements per group, the gradient is
    ``rstd * (w * dy - mean_M(w * dy) - x^ * mean_M(w * dy * x^))``: for each frame and channel
    a linear function of ``dy`` and ``x``, whose coefficients need two sums over positions.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        frames, channels, height, width = x.shape
        out, mean, rstd = torch.native_group_norm(
            x, weight, bias, frames, channels, height * width, groups, eps
        )
        ctx.save_for_backward(x, weight, mean, rstd)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd = ctx.saved_tensors
        groups = mean.shape[1]
        group_size = x[0].numel() // groups  # M
        dtype = torch.promote_types(x.dtype, torch.float32)
        grad = grad.contiguous(memory_format=torch.channels_last)

        def per_group(values: Tensor) -> Tensor:  # (N, C) or (C,) -> (..., G, C / G)
            return values.to(dtype).unflatten(-1, (groups, -1))

        mean, rstd = mean.to(dtype)[..., None], rstd.to(dtype)[..., None]  # (N, G, 1)
        scale = per_group(weight)
        grad_sum = per_group(_sum_positions(grad, dtype))
        aligned = (per_group(_sum_positions(grad * x, dtype)) - mean * grad_sum) * rstd
        shift = (scale * grad_sum).sum(-1, keepdim=True) / group_size
        slope = (scale * aligned).sum(-1, keepdim=True) / group_size * rstd

        def per_channel(values: Tensor) -> Tensor:  # (N, G, 1 or C / G) -> (N, C, 1, 1)
            values = values.expand(-1, -1, scale.shape[-1]).flatten(1)
            return values.to(x.dtype)[:, :, None, None]

        offset = per_channel(rstd * (slope * mean - shift))
        grad_x = torch.addcmul(offset, x, per_channel(-rstd * slope))
        grad_x.addcmul_(grad, per_channel(rstd * scale))
        grad_weight = aligned.sum(0).flatten().to(weight.dtype)
        grad_bias = grad_sum.sum(0).flatten().to(weight.dtype)
        return grad_x, grad_weight, grad_bias, None, None


def _sum_positions(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W) in channels-last memory -> (N, C) in ``dtype``.

    Rows first, in the type of ``x`` (summed in float32 inside): asking for another type at once
    would copy the whole tensor to it.
    """
    return x.permute(0, 2, 3, 1).sum(2).sum(1, dtype=dtype)


def group_norm(channels: int) -> GroupNorm:
    """Group norm with 32 groups, or with as many as divide both 32 and ``channels``."""
    return GroupNorm(math.gcd(NORM_GROUPS, channels), channels)
