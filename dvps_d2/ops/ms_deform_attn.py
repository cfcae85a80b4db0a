"""Front door of multi-scale deformable attention."""

import torch
from torch import Tensor

from . import reference
from .arguments import LevelShapes, check_arguments
from .path import active_path


def ms_deform_attn(
    value: Tensor, level_shapes: LevelShapes, locations: Tensor, weights: Tensor
) -> Tensor:
    """Sample every level at the given points and sum the samples by weight.

    Each query and head looks at P points in each of the L levels; bilinear samples of ``value``
    there, weighted and summed, are its answer. Runs compiled kernels where they were built and
    plain PyTorch elsewhere (``dvps_d2.ops.active_path``); both give the same numbers.

    Args:
        value: (B, S, M, D) float32, float64, bfloat16 or float16; the levels flattened row by row,
            one after the other.
        level_shapes: (H, W) of each level as integers, in the order of ``value``; areas sum to S.
        locations: (B, Q, M, L, P, 2) as (x, y). 0 and 1 are the outer edges of the level, so that
            the centre of pixel i is at (i + 0.5) / W; outside the level there are zeros. In the
            dtype of ``value``, or float32 beside a half-precision ``value`` (better: bfloat16
            cannot tell neighbouring pixels apart beyond 256).
        weights: (B, Q, M, L, P), dtype as ``locations``; usually a softmax over (L, P).

    Returns:
        (B, Q, M * D) in the dtype of ``value``. Under autocast ``value`` is cast to the autocast
        dtype, locations and weights to float32.

    Raises:
        TypeError: dtypes do not go together, or ``level_shapes`` is a tensor.
        ValueError: shapes or devices disagree.
        RuntimeError: compiled kernels were asked for and cannot run.

    Source: Zhu et al., Deformable DETR, 2021, equation 3.
    """
    check_arguments(value, level_shapes, locations, weights)
    if active_path(value.device.type) == "reference":
        return reference.sample_and_sum(value, level_shapes, locations, weights)
    compute = torch.float64 if value.dtype == torch.float64 else torch.float32
    sizes = [size for shape in level_shapes for size in shape]
    return torch.ops.dvps_d2.ms_deform_attn(
        value, sizes, locations.to(compute), weights.to(compute)
    )
