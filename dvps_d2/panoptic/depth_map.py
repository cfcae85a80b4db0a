"""The depth map of a frame from the depth of its queries, at output size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dvps_d2.structures import TrackedQueries

from .products import products
from .resize import Size, mask_probs, to_output_size

# Maps of so many queries are at full resolution at once where all queries are compared.
QUERIES_AT_ONCE = 16


def compose_depth(
    frame: TrackedQueries,
    queries: Tensor,
    owner: Tensor,
    sizes: tuple[Size, Size, Size],
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Segment depth inside its segment, the global query's depth elsewhere (MinDVPS, eq. 4).

    Without a global query, pixels that no segment owns take the depth of the candidate with the
    largest mask probability there, of all queries if there is no candidate.

    Args:
        frame: one frame (B = T = 1) with depth.
        queries: (N,) the candidates' queries.
        owner: (1, H, W) candidate that a pixel was drawn from, -1 for none.
        sizes: padded, valid and output size.
        activation: logits -> metres, applied before resizing.

    Returns:
        (1, H, W) float32 metres.
    """
    embeds = frame.depth_embeds[0, 0, queries]
    if frame.global_depth is not None:
        embeds = torch.cat([frame.global_depth[0], embeds])
    layers = _metres(embeds, frame, sizes, activation)
    if frame.global_depth is None:
        everybody = torch.arange(frame.num_queries, device=queries.device)
        known = queries if len(queries) else everybody
        layers = torch.cat([_depth_by_mask(frame, known, sizes, activation), layers])
    return layers.gather(0, owner + 1).float()  # (1 + N, H, W), the first for no owner


def _metres(
    embeds: Tensor,
    frame: TrackedQueries,
    sizes: tuple[Size, Size, Size],
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """(N, C) depth embeddings -> (N, H, W) metres at output size."""
    return to_output_size(activation(products(embeds, frame.mask_features[0, 0])), *sizes)


def _depth_by_mask(
    frame: TrackedQueries,
    queries: Tensor,
    sizes: tuple[Size, Size, Size],
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """(1, H, W) metres of the query, among (N,) with N >= 1, whose mask is surest at each pixel."""
    surest = depth = None
    for part in queries.split(QUERIES_AT_ONCE):
        logits = products(frame.mask_embeds[0, 0, part], frame.mask_features[0, 0])
        probs, best = mask_probs(logits, *sizes).max(dim=0, keepdim=True)
        metres = _metres(frame.depth_embeds[0, 0, part], frame, sizes, activation).gather(0, best)
        if surest is not None:
            metres = torch.where(probs > surest, metres, depth)
            probs = torch.maximum(probs, surest)
        surest, depth = probs, metres
    return depth
