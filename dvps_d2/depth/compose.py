"""One depth map from the depth of every segment and the depth of everything."""

from __future__ import annotations

import torch
from torch import Tensor

NOBODY = -1


def owner_of(masks: Tensor) -> Tensor:
    """Which segment holds each pixel.

    Args:
        masks: (..., N, H, W) bool; where masks overlap, the first one owns the pixel. N may be 0.

    Returns:
        (..., H, W) int64 in 0..N-1, -1 where no mask is set.
    """
    if masks.shape[-3] == 0:
        return masks.new_full((*masks.shape[:-3], *masks.shape[-2:]), NOBODY, dtype=torch.int64)
    # argmax returns the first maximum only by accident; ranking the masks makes it a promise.
    rank = torch.arange(masks.shape[-3], 0, -1, device=masks.device, dtype=torch.int32)
    best, owner = (masks * rank.view(-1, 1, 1)).max(dim=-3)
    return torch.where(best > 0, owner, NOBODY)


def compose_by_owner(global_depth: Tensor, segment_depths: Tensor, owner: Tensor) -> Tensor:
    """Take every pixel from its owner's depth map, and from the global map where it has none.

    Args:
        global_depth: (..., H, W) depth, or anything per pixel such as its logits.
        segment_depths: (..., N, H, W) of the same kind; N may be 0.
        owner: (..., H, W) int64 in 0..N-1, -1 for pixels without an owner.

    Returns:
        (..., H, W); gradients flow to the chosen values alone.
    """
    layers = torch.cat([global_depth.unsqueeze(-3), segment_depths], dim=-3)
    return layers.gather(-3, (owner + 1).unsqueeze(-3)).squeeze(-3)


def compose(global_depth: Tensor, segment_depths: Tensor, masks: Tensor) -> Tensor:
    """Segment depth inside the segments, global depth elsewhere.

    Args:
        global_depth: (..., H, W) metres.
        segment_depths: (..., N, H, W) metres.
        masks: (..., N, H, W) bool.

    Returns:
        (..., H, W) metres.

    Raises:
        ValueError: the shapes do not fit each other.

    Source: Kim et al., MinDVPS, 2023, equation 4. Differs from it by: masks are expected not to
    overlap there, and a sum would add their depths; here the first mask owns the pixel.
    """
    expected = (*global_depth.shape[:-2], segment_depths.shape[-3], *global_depth.shape[-2:])
    for name, tensor in (("segment_depths", segment_depths), ("masks", masks)):
        if tuple(tensor.shape) != expected:
            raise ValueError(
                f"{name} must be (..., N, H, W) = {expected} beside global_depth "
                f"{tuple(global_depth.shape)}, got {tuple(tensor.shape)}"
            )
    return compose_by_owner(global_depth, segment_depths, owner_of(masks))
