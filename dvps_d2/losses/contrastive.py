"""Contrast of segments over time: the segment-level losses of SiamTrack.

Source: Woo et al., "Learning to Associate Every Segment for Video Panoptic Segmentation"
(VPSNet-SiamTrack), CVPR 2021, section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.segmenter.boxes import gather
from dvps_d2.structures import ClipTargets

NEGATIVES = ("all", "other")


class ProjectionHead(nn.Module):
    """Feature pyramid -> unit vectors at its finest resolution; used in training only.

    Args:
        channels: of the pyramid.
        hidden_dim: between the two convolutions. Not published.
        out_dim: length of the vectors. Not published.
    """

    def __init__(self, channels: int = 256, hidden_dim: int = 256, out_dim: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden_dim, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden_dim, out_dim, 3, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Per level (N, C, h_l, w_l), finest first -> (N, out_dim, h, w), normalised."""
        projected = self.conv2(F.relu(self.conv1(gather(levels, "sum"))))
        return F.normalize(projected.float(), dim=1)


def pool_masks(features: Tensor, masks: Tensor, *, normalize: bool = True) -> Tensor:
    """Mean direction of the features inside each mask.

    Args:
        features: (C, h, w).
        masks: (N, H, W) bool, with H and W multiples of h and w; a cell counts by its covered
            share, so that no visible segment vanishes.
        normalize: make the means unit vectors again; the paper does not say.

    Returns:
        (N, C).
    """
    size = (features.shape[-2], features.shape[-1])
    shares = F.adaptive_avg_pool2d(masks.to(features.dtype), size)
    if normalize:
        return F.normalize(torch.einsum("nhw,chw->nc", shares, features), dim=-1)
    areas = shares.flatten(1).sum(dim=1, keepdim=True)
    return torch.einsum("nhw,chw->nc", shares, features) / areas.clamp(min=1e-6)


def contrastive_loss(
    first: Tensor, second: Tensor, temperature: float = 0.5, *, negatives: str = "all"
) -> Tensor:
    """Draw the two views of a segment together and all other segments away.

    Args:
        first: (N, C) unit vectors in frame t.
        second: (N, C) the same segments in frame t + delta.
        temperature: of the similarities.
        negatives: "all" or "other", see below.

    Returns:
        Scalar, equation 3; 0 for fewer than two segments, which have no negatives.

    Raises:
        ValueError: unknown ``negatives``.

    Source: equations 2 and 3. The indicator of equation 2 contradicts the text's 2(N - 1)
    negatives. "all" follows the text, with the positive in the denominator (NT-Xent of Chen et
    al., SimCLR, ICML 2020); "other" is the equation as printed: N - 1 negatives from the other
    frame, without the positive, so that the loss has no lower bound of 0.
    """
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives must be one of {', '.join(NEGATIVES)}, got {negatives!r}")
    count = len(first)
    if count < 2:
        return (first.sum() + second.sum()) * 0
    if negatives == "other":
        across = first @ second.T / temperature
        others = across.masked_fill(torch.eye(count, device=first.device).bool(), -torch.inf)
        both = others.logsumexp(dim=1) + others.logsumexp(dim=0)
        return (both - 2 * across.diagonal()).mean() / 2
    views = torch.cat([first, second])
    logits = views @ views.T / temperature
    logits.fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * count, device=views.device).roll(count)
    return F.cross_entropy(logits, partner)


def segment_graphs(
    targets: ClipTargets, first: int, second: int, thing_ids: frozenset[int]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Masks of what can be traced from one frame to another, as two independent graphs.

    Args:
        targets: of one clip.
        first: a frame.
        second: another frame.
        thing_ids: countable classes.

    Returns:
        ``"semantic"``: one node per class, things of a class taken together; ``"instance"``: one
        node per thing, none for a crowd. Each as (N, H, W) bool masks in the first and in the
        second frame, of nodes that both frames show.
    """
    masks = targets.masks[:, [first, second]]  # (N, 2, H, W)
    kinds = targets.class_ids.unique().tolist()
    regions = [masks[targets.class_ids == kind].any(dim=0) for kind in kinds]
    identities = zip(targets.class_ids.tolist(), targets.track_ids.tolist(), strict=True)
    things = [
        mask
        for mask, (kind, track) in zip(masks, identities, strict=True)
        if kind in thing_ids and track > 0
    ]
    graphs = {}
    for name, nodes in (("semantic", regions), ("instance", things)):
        stacked = torch.stack(nodes) if nodes else masks[:0]
        traced = stacked[stacked.flatten(2).any(dim=-1).all(dim=-1)]
        graphs[name] = (traced[:, 0], traced[:, 1])
    return graphs
