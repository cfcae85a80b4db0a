"""Which depth query answers where: from the embeddings of a layer to its depth losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dvps_d2.depth import compose_by_owner
from dvps_d2.panoptic.resize import resize
from dvps_d2.structures import FrameQueries

from .depth import DepthLoss
from .depth_matching import match_by_depth
from .pairs import Pairs, paired_logits
from .precision import at_least_float32
from .targets import FrameTargets

MATCHINGS = ("segmentation", "own")
RESOLUTIONS = ("mask", "full")


@dataclass(frozen=True)
class DepthSupervision:
    """How depth queries are supervised; what an error costs is :class:`DepthLoss`.

    Attributes:
        matching: ``"segmentation"``: depth query i answers for the segment that segmentation query
            i was matched with. ``"own"``: for the segment that
            :func:`~dvps_d2.losses.depth_matching.match_by_depth` gives it.
        resolution: where depth is compared. ``"mask"``: on the grid of the mask features, with the
            ground truth at the centre of every cell. ``"full"``: at every pixel of the frame, with
            logits upsampled bilinearly.
        every_layer: supervise all layers of the decoder (each with the pairs of its own
            segmentation layer), or the last one alone.

    Raises:
        ValueError: an unknown choice.

    Source: Kim et al., MinDVPS, 2023, section 3.2 (one matching for both).
    """

    matching: str = "segmentation"
    resolution: str = "mask"
    every_layer: bool = True

    def __post_init__(self) -> None:
        if self.matching not in MATCHINGS:
            raise ValueError(f"matching must be one of {MATCHINGS}, got {self.matching!r}")
        if self.resolution not in RESOLUTIONS:
            raise ValueError(f"resolution must be one of {RESOLUTIONS}, got {self.resolution!r}")

    def terms(
        self,
        layer: FrameQueries,
        pairs: Pairs,
        frames: FrameTargets,
        loss: DepthLoss,
        *,
        dense: bool = False,
    ) -> dict[str, Tensor]:
        """Losses of one layer.

        Without a global query, pixels outside the matched segments teach nothing.

        Args:
            layer: predictions (B, T, Q, ...) with depth.
            pairs: of the segmentation queries.
            frames: the F = B * T frames, with depth.
            loss: what an error costs.
            dense: also hold the global query to all pixels.

        Returns:
            ``depth``, the loss of the composed map (equation 4), and ``global_depth`` if ``dense``.

        Raises:
            ValueError: ``dense`` for queries without a global one.
        """
        if self.matching == "own":
            pairs = match_by_depth(layer, frames, loss)
        grid = frames.masks if self.resolution == "full" else layer.mask_features
        height, width = grid.shape[-2:]
        size = (height, width)
        target = frames.depth_at(size)
        segments = paired_logits(layer.depth_embeds, layer.features_of_depth, pairs)
        segments = resize(segments, size)
        owner = pairs.slot_of(frames.owner(size), frames.class_ids.shape[1])
        if layer.global_depth is None and not dense:
            nobody = torch.zeros_like(target, dtype=segments.dtype)
            composed = compose_by_owner(nobody, segments, owner)
            return {"depth": loss(composed, torch.where(owner >= 0, target, 0.0))}
        everywhere = at_least_float32(layer.global_depth_logits().flatten(0, 1))
        everywhere = resize(everywhere, size)
        terms = {"depth": loss(compose_by_owner(everywhere, segments, owner), target)}
        if dense:
            terms["global_depth"] = loss(everywhere, target)
        return terms
