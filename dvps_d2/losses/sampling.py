"""Where mask losses look: at sampled points, or at every cell of the mask grid.

A strategy answers two questions: which values are compared when every query meets every segment
(matching), and which when one query meets its segment (loss).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dvps_d2.structures import FrameQueries

from .points import sample_chosen_masks, sample_maps, sample_masks, uncertain_points, uniform_points
from .precision import at_least_float32, dot_products
from .targets import FrameTargets


class MaskSampling(Protocol):
    """What a strategy provides; F = B * T frames, M (query, segment) pairs, P compared values."""

    def for_matching(self, queries: FrameQueries, targets: FrameTargets) -> tuple[Tensor, Tensor]:
        """Logits (F, Q, P) of all queries and masks (F, N, P) of all segments of their frame."""
        ...

    def for_loss(
        self, logits: Tensor, targets: FrameTargets, frame: Tensor, row: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mask m of ``logits`` (M, h, w) against row ``row[m]`` of ``frame[m]``: (M, P) both."""
        ...


@dataclass(frozen=True)
class PointSampling:
    """Random points, the same number for every mask, whatever the resolution.

    Matching uses uniform points shared by all masks of a frame; the loss uses points of its own
    for every mask, most of them where the prediction is uncertain. Full mask logits are needed for
    matched queries alone: sampling is linear, so matching samples the mask *features* and takes
    the dot product afterwards.

    Attributes:
        num_points: P.
        oversample: candidates per point for the uncertain ones.
        importance: share of uncertain points in the loss.
        generator: source of randomness; the global one of the device by default.

    Source: Cheng et al., Mask2Former, 2022, section 3.3 (12 544 = 112 x 112 points).
    """

    num_points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75
    generator: torch.Generator | None = None

    def for_matching(self, queries: FrameQueries, targets: FrameTargets) -> tuple[Tensor, Tensor]:
        features = at_least_float32(queries.mask_features.flatten(0, 1))
        points = uniform_points(len(features), self.num_points, features.device, self.generator)
        embeds = queries.mask_embeds.flatten(0, 1)
        logits = dot_products(embeds, sample_maps(features, points).to(embeds.dtype))
        return logits, sample_masks(targets.masks, points).to(logits.dtype)

    def for_loss(
        self, logits: Tensor, targets: FrameTargets, frame: Tensor, row: Tensor
    ) -> tuple[Tensor, Tensor]:
        points = uncertain_points(
            logits.detach(),
            self.num_points,
            oversample=self.oversample,
            importance=self.importance,
            generator=self.generator,
        )
        masks = sample_chosen_masks(targets.masks, frame, row, points)
        return sample_maps(logits.unsqueeze(1), points).squeeze(1), masks.to(logits.dtype)


@dataclass(frozen=True)
class DenseSampling:
    """Every cell of the mask grid, compared with the share of it that a segment covers.

    Cheaper than points on small frames, and without randomness. A soft target keeps thin segments
    alive at coarse grids, where the nearest pixel would miss them.
    """

    def for_matching(self, queries: FrameQueries, targets: FrameTargets) -> tuple[Tensor, Tensor]:
        features = queries.mask_features.flatten(0, 1)
        logits = dot_products(queries.mask_embeds.flatten(0, 1), features.flatten(2))
        masks = targets.soft_masks(tuple(features.shape[-2:]))
        return logits, masks.flatten(2).to(logits.dtype)

    def for_loss(
        self, logits: Tensor, targets: FrameTargets, frame: Tensor, row: Tensor
    ) -> tuple[Tensor, Tensor]:
        masks = targets.soft_masks(tuple(logits.shape[-2:]))[frame, row]
        return logits.flatten(1), masks.flatten(1).to(logits.dtype)


SAMPLINGS = {"points": PointSampling, "dense": DenseSampling}
