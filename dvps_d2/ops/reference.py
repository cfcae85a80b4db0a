"""The ops in plain PyTorch: what the kernels are compared with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import (
    MAX_MASKS,
    LevelShapes,
    Size,
    check_arguments,
    check_merge_arguments,
)


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


def panoptic_merge(
    logits: Tensor, scores: Tensor, padded: Size, valid: Size, output: Size
) -> tuple[Tensor, Tensor]:
    """Give every pixel of a tube to the mask with the largest score x probability.

    In the order of the published video models: masks are resized as logits to the padded frame,
    cropped to the image, squashed, and resized as probabilities to the output. It holds all masks
    at full resolution, N * T * H * W numbers, several times over. Arguments and results are those
    of :func:`dvps_d2.ops.panoptic_merge`.

    Raises:
        TypeError, ValueError: arguments that do not belong together.

    Source: Cheng et al., MaskFormer, NeurIPS 2021, section 3.4; Zhang et al., DVIS, 2023, code.
    """
    check_merge_arguments(logits, scores, padded, valid, output)
    return merge_masks(logits, scores, padded, valid, output)


@torch.no_grad()
def merge_masks(
    logits: Tensor, scores: Tensor, padded: Size, valid: Size, output: Size
) -> tuple[Tensor, Tensor]:
    """``panoptic_merge`` for arguments that have been checked."""
    compute = torch.promote_types(logits.dtype, torch.float32)
    if logits.numel() == 0:
        probs = logits.new_zeros((*logits.shape[:2], *output), dtype=compute)
    else:
        with torch.autocast(logits.device.type, enabled=False):
            probs = _mask_probs(logits.to(compute), padded, valid, output)
    return claim_pixels(probs, scores.to(compute))


def _mask_probs(logits: Tensor, padded: Size, valid: Size, output: Size) -> Tensor:
    """(N, T, h, w) logits -> (N, T, H, W) probabilities."""
    logits = _resize(logits, padded)
    probs = logits[..., : valid[0], : valid[1]].sigmoid()
    del logits
    return _resize(probs, output)


def _resize(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def claim_pixels(probs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The competition itself, on masks at output size.

    Args:
        probs: (N, T, H, W) mask probabilities.
        scores: (N,).

    Returns:
        owner and areas as :func:`dvps_d2.ops.panoptic_merge` gives them.

    Raises:
        ValueError: more masks than 16-bit owners can name.
    """
    count = probs.shape[0]
    if count > MAX_MASKS:
        raise ValueError(f"at most {MAX_MASKS} masks can compete, got {count}")
    if count == 0:
        nobody = torch.full(probs.shape[1:], -1, dtype=torch.int16, device=probs.device)
        return nobody, torch.zeros(0, 3, dtype=torch.int64, device=probs.device)
    owner = (probs * scores.view(-1, 1, 1, 1)).argmax(dim=0)
    inside = probs >= 0.5
    solid = inside.gather(0, owner.unsqueeze(0)).squeeze(0)
    won = torch.bincount(owner.flatten(), minlength=count)
    kept = torch.bincount(owner[solid], minlength=count)
    areas = torch.stack([won, inside.flatten(1).sum(dim=1), kept], dim=1)
    return torch.where(solid, owner, -1).to(torch.int16), areas
