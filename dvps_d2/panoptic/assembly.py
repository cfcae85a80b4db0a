"""Masks compete for pixels: the steps of query panoptic fusion as functions.

Source: Cheng et al., "Masked-attention Mask Transformer", CVPR 2022 (inference of MaskFormer,
NeurIPS 2021, section 3.4): a query whose best class is real and sure enough is a candidate; each
pixel goes to the candidate with the largest score x mask; a candidate that keeps too little of
its own mask is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dvps_d2.ops import panoptic_merge, reference

from .resize import Size


@dataclass(frozen=True, eq=False)
class Candidates:
    """Queries that may become segments.

    Attributes:
        queries: (N,) int64, ascending.
        class_ids: (N,) int64 in 0..K-1.
        scores: (N,) probability of that class.
    """

    queries: Tensor
    class_ids: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return self.queries.shape[0]


@dataclass(frozen=True, eq=False)
class Claims:
    """The result of the competition over some frames.

    Attributes:
        owner: (T, H, W) int16, the candidate with the largest score x mask where its own mask is
            at least 0.5, and -1 elsewhere.
        won: (N,) int64 pixels with the largest score x mask, over all T frames.
        mask_area: (N,) int64 pixels with mask at least 0.5, owned or not.
        kept: (N,) int64 pixels owned: won, with mask at least 0.5.
    """

    owner: Tensor
    won: Tensor
    mask_area: Tensor
    kept: Tensor

    @staticmethod
    def of(owner: Tensor, areas: Tensor) -> Claims:
        """From the results of :func:`dvps_d2.ops.panoptic_merge`."""
        return Claims(owner, *areas.unbind(dim=1))


def class_probs(logits: Tensor, second: Tensor | None = None) -> Tensor:
    """Probabilities of one or two opinions on the classes.

    Args:
        logits: (Q, K+1); the last column is "no object".
        second: (Q, K+1) another opinion; of every real class the larger probability counts, "no
            object" stays that of the first, and nothing is normalised again.

    Returns:
        (Q, K+1).

    Source: Zhang et al., DVIS, 2023, inference of the offline model as published in code.
    """
    probs = logits.softmax(dim=-1)
    if second is None:
        return probs
    surer = torch.maximum(probs[:, :-1], second.softmax(dim=-1)[:, :-1])
    return torch.cat([surer, probs[:, -1:]], dim=-1)


def select_candidates(class_probs: Tensor, score_threshold: float) -> Candidates:
    """Keep the queries whose best class is an object above the threshold.

    Args:
        class_probs: (Q, K+1); the last column is "no object". Need not be normalised.
        score_threshold: strict lower limit of the score.
    """
    scores, class_ids = class_probs.max(dim=-1)
    is_object = class_ids != class_probs.shape[-1] - 1
    queries = torch.nonzero(is_object & (scores > score_threshold)).flatten()
    return Candidates(queries, class_ids[queries], scores[queries])


def claim_pixels(scores: Tensor, masks: Tensor) -> Claims:
    """Give every pixel to a candidate.

    Args:
        scores: (N,).
        masks: (N, T, H, W) probabilities at output size. Without candidates nothing is owned.
    """
    return Claims.of(*reference.claim_pixels(masks, scores))


def claim_resized(
    scores: Tensor, logits: Tensor, padded: Size, valid: Size, original: Size
) -> Claims:
    """Resize masks to the output and give every pixel to a candidate, without keeping them there.

    Args:
        scores: (N,).
        logits: (N, T, h, w) masks over the padded frame.
        padded: (H, W) of the padded frame.
        valid: the part of it that is image.
        original: the wanted size.
    """
    return Claims.of(*panoptic_merge(logits, scores, padded, valid, original))


def accept(won: Tensor, mask_area: Tensor, kept: Tensor, overlap_threshold: float) -> Tensor:
    """Which candidates own enough of their own mask.

    Args:
        won, mask_area, kept: (N,) pixel counts as in :class:`Claims`, of one frame or summed over
            a clip.
        overlap_threshold: smallest ``won / mask_area`` that is accepted.

    Returns:
        (N,) bool.
    """
    seen = (won > 0) & (mask_area > 0) & (kept > 0)
    return seen & (won >= overlap_threshold * mask_area)
