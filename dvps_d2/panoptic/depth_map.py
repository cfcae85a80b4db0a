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

Sizes = tuple[Size, Size, Size]  # padded, valid and output size


def compose_depth(
    frame: TrackedQueries,
    queries: Tensor,
    owner: Tensor,
    sizes: Sizes,
    activation: Callable[[Tensor], Tensor],
    upsampling: str = "metres",
) -> Tensor:
    """Segment depth inside its segment, the global query's depth elsewhere (MinDVPS, eq. 4).

    Without a global query, pixels that no segment owns take the depth of the candidate with the
    largest mask probability there, of all queries if there is no candidate.

    Args:
        frame: one frame (B = T = 1) with depth.
        queries: (N,) the candidates' queries.
        owner: (1, H, W) candidate that a pixel was drawn from, -1 for none.
        sizes: padded, valid and output size.
        activation: logits -> metres.
        upsampling: key of ``UPSAMPLINGS``.

    Returns:
        (1, H, W) float32 metres.
    """
    upsample = UPSAMPLINGS[upsampling]

    def metres(embeds: Tensor) -> Tensor:
        return upsample(products(embeds, frame.features_of_depth[0, 0]), activation, sizes)

    embeds = frame.depth_embeds[0, 0, queries]
    if frame.global_depth is not None:
        embeds = torch.cat([frame.global_depth[0], embeds])
    layers = metres(embeds)
    if frame.global_depth is None:
        everybody = torch.arange(frame.num_queries, device=queries.device)
        known = queries if len(queries) else everybody
        layers = torch.cat([_depth_by_mask(frame, known, sizes, metres), layers])
    return layers.gather(0, owner + 1).float()  # (1 + N, H, W), the first for no owner


def _depth_by_mask(
    frame: TrackedQueries,
    queries: Tensor,
    sizes: Sizes,
    metres: Callable[[Tensor], Tensor],
) -> Tensor:
    """(1, H, W) metres of the query, among (N,) with N >= 1, whose mask is surest at each pixel."""
    surest = depth = None
    for part in queries.split(QUERIES_AT_ONCE):
        logits = products(frame.mask_embeds[0, 0, part], frame.mask_features[0, 0])
        probs, best = mask_probs(logits, *sizes).max(dim=0, keepdim=True)
        found = metres(frame.depth_embeds[0, 0, part]).gather(0, best)
        if surest is not None:
            found = torch.where(probs > surest, found, depth)
            probs = torch.maximum(probs, surest)
        surest, depth = probs, found
    return depth


def metres_then_bilinear(
    logits: Tensor, activation: Callable[[Tensor], Tensor], sizes: Sizes
) -> Tensor:
    """(N, h, w) depth logits -> (N, H, W) metres at output size, averaging metres."""
    return to_output_size(activation(logits), *sizes)


def logits_then_metres(
    logits: Tensor, activation: Callable[[Tensor], Tensor], sizes: Sizes
) -> Tensor:
    """(N, h, w) depth logits -> (N, H, W) metres at output size, averaging logits."""
    return activation(to_output_size(logits, *sizes))


def nearest_metres(logits: Tensor, activation: Callable[[Tensor], Tensor], sizes: Sizes) -> Tensor:
    """(N, h, w) depth logits -> (N, H, W) metres at output size, of the nearest cell."""
    metres = activation(logits)
    for axis, padded, valid, wanted in zip((-2, -1), *sizes, strict=True):
        centres = (torch.arange(wanted, device=metres.device) + 0.5) * (valid / wanted)
        cells = (centres * (metres.shape[axis] / padded)).long()
        metres = metres.index_select(axis, cells)
    return metres


UPSAMPLINGS = {
    "metres": metres_then_bilinear,
    "logits": logits_then_metres,
    "nearest": nearest_metres,
}
