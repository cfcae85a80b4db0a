"""Multi-scale deformable attention in plain PyTorch: what the kernels are compared with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import LevelShapes, check_arguments


def ms_deform_attn(
    value: Tensor, level_shapes: LevelShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Sample every level at the given points and sum the samples by weight.

    Differentiable once in ``value``, ``locations`` and ``weights``. Half precision is accumulated
    in float32 and rounded once, at the end, as the kernels do.

    Args:
        value: (B, S, M, D) float; the levels flattened row by row, one after the other.
        level_shapes: (H, W) per level, finest or coarsest first as in ``value``; areas sum to S.
        locations: (B, Q, M, L, P, 2) float as (x, y); 0 and 1 are the outer edges of the level, so
            that the centre of pixel i is (i + 0.5) / W. Outside the level there are zeros.
        weights: (B, Q, M, L, P) float, usually summing to 1 over (L, P).

    Returns:
        (B, Q, M * D), dtype of ``value`` (under autocast: its dtype).

    Raises:
        TypeError, ValueError: arguments that do not belong together.

    Source: Zhu et al., Deformable DETR, 2021, equation 3.
    """
    check_arguments(value, level_shapes, locations, weights)
    return sample_and_sum(value, level_shapes, locations, weights)


def sample_and_sum(
    value: Tensor, level_shapes: LevelShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """``ms_deform_attn`` for arguments that have been checked."""
    device_type = value.device.type
    dtype = value.dtype
    if torch.is_autocast_enabled(device_type) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device_type)
    compute = torch.promote_types(dtype, torch.float32)
    with torch.autocast(device_type, enabled=False):
        # Rounding to the autocast dtype first: the kernels read the value in it.
        return _sum_levels(
            value.to(dtype).to(compute), level_shapes, locations.to(compute), weights.to(compute)
        ).to(dtype)


def _sum_levels(
    value: Tensor, level_shapes: LevelShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    batch, area, heads, head_dim = value.shape
    queries = locations.shape[1]
    if value.numel() == 0 or locations.numel() == 0:  # grid_sample refuses empty tensors
        return (value.sum() + locations.sum() + weights.sum()) * value.new_zeros(
            batch, queries, heads * head_dim
        )
    maps = value.permute(0, 2, 3, 1).reshape(batch * heads, head_dim, area)
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (BM, Q, L, P, 2), -1..1
    shares = weights.transpose(1, 2).flatten(0, 1)  # (BM, Q, L, P)
    output = value.new_zeros(batch * heads, head_dim, queries)
    start = 0
    for level, (height, width) in enumerate(level_shapes):
        end = start + height * width
        level_map = maps[:, :, start:end].reshape(batch * heads, head_dim, height, width)
        samples = F.grid_sample(level_map, grids[:, :, level], align_corners=False)
        output = output + (samples * shares[:, None, :, level]).sum(-1)  # (BM, D, Q)
        start = end
    return output.view(batch, heads * head_dim, queries).transpose(1, 2).contiguous()
