"""Query results per frame, and the same after tracking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from .checks import check_shape

Queries = TypeVar("Queries", bound="FrameQueries")

# Fields with a query axis: what a permutation of queries moves, all together.
PER_QUERY = (
    "class_logits",
    "mask_embeds",
    "query_embeds",
    "depth_embeds",
    "second_class_logits",
)


@dataclass(frozen=True, eq=False)
class FrameQueries:
    """What a query decoder says of every frame, queries in no particular order.

    Masks and depth are dot products with ``mask_features`` and are computed on request, never
    stored: (B, T, Q, h, w) is by far the largest tensor of a model.

    Attributes:
        class_logits: (B, T, Q, K+1) before softmax; the last column is "no object".
        mask_features: (B, T, C, h, w) shared by masks and depth.
        mask_embeds: (B, T, Q, C).
        query_embeds: (B, T, Q, C') normalised decoder output, what trackers compare.
        depth_embeds: (B, T, Q, C), or None without depth.
        global_depth: (B, T, C) embedding of the query that predicts depth everywhere; None without
            depth or without such a query.
        depth_features: (B, T, C, h, w) that depth embeddings are meant for; None where they share
            the features of the masks.
    """

    class_logits: Tensor
    mask_features: Tensor
    mask_embeds: Tensor
    query_embeds: Tensor
    depth_embeds: Tensor | None = None
    global_depth: Tensor | None = None
    depth_features: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("class_logits", self.class_logits, (None,) * 4, "(B, T, Q, K+1)")
        b, t, q, _ = self.class_logits.shape
        check_shape(
            "mask_features", self.mask_features, (b, t, None, None, None), "(B, T, C, h, w)"
        )
        c = self.mask_features.shape[2]
        check_shape("mask_embeds", self.mask_embeds, (b, t, q, c), "(B, T, Q, C)")
        check_shape("query_embeds", self.query_embeds, (b, t, q, None), "(B, T, Q, C)")
        if self.depth_embeds is not None:
            check_shape("depth_embeds", self.depth_embeds, (b, t, q, c), "(B, T, Q, C)")
        if self.global_depth is not None:
            check_shape("global_depth", self.global_depth, (b, t, c), "(B, T, C)")
        if self.depth_features is not None:
            shape = tuple(self.mask_features.shape)
            check_shape("depth_features", self.depth_features, shape, "(B, T, C, h, w)")

    @property
    def num_queries(self) -> int:
        """Q."""
        return self.class_logits.shape[2]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.class_logits.shape[1]

    @property
    def num_classes(self) -> int:
        """K, without the "no object" column."""
        return self.class_logits.shape[3] - 1

    @property
    def has_depth(self) -> bool:
        """Whether depth can be decoded."""
        return self.depth_embeds is not None

    @property
    def features_of_depth(self) -> Tensor:
        """(B, T, C, h, w) whose dot products with the depth embeddings are depth logits."""
        return self.mask_features if self.depth_features is None else self.depth_features

    def mask_logits(self) -> Tensor:
        """(B, T, Q, h, w) before sigmoid."""
        return torch.einsum("btqc,btchw->btqhw", self.mask_embeds, self.mask_features)

    def depth_logits(self) -> Tensor:
        """(B, T, Q, h, w) before the depth activation.

        Raises:
            ValueError: built without depth.
        """
        if self.depth_embeds is None:
            raise ValueError("these queries carry no depth embeddings; enable MODEL.DVPS.DEPTH")
        return torch.einsum("btqc,btchw->btqhw", self.depth_embeds, self.features_of_depth)

    def global_depth_logits(self) -> Tensor:
        """(B, T, h, w) before the depth activation.

        Raises:
            ValueError: built without depth.
        """
        if self.global_depth is None:
            raise ValueError(
                "these queries carry no global depth; enable MODEL.DVPS.DEPTH and its GLOBAL_QUERY"
            )
        return torch.einsum("btc,btchw->bthw", self.global_depth, self.features_of_depth)

    def permute(self: Queries, order: Tensor) -> Queries:
        """Move every per-query field together.

        Args:
            order: (B, T, Q') int64; place q of the result holds query ``order[b, t, q]``. Q' may
                be smaller than Q (a selection).

        Returns:
            The same kind of carrier; whatever belongs to a query (class, mask, depth) stays
            together.
        """
        b, t = self.class_logits.shape[:2]
        check_shape("order", order, (b, t, None), "(B, T, Q)")
        moved = {}
        for name in PER_QUERY:
            tensor = getattr(self, name, None)
            if tensor is not None:
                index = order.unsqueeze(-1).expand(-1, -1, -1, tensor.shape[-1])
                moved[name] = tensor.gather(2, index)
        return replace(self, **moved)

    def select_frames(self: Queries, frames: slice) -> Queries:
        """The frames of a slice, with everything that belongs to them."""
        cut = {
            f.name: getattr(self, f.name)[:, frames]
            for f in fields(self)
            if f.name != "track_ids" and getattr(self, f.name) is not None
        }
        return replace(self, **cut)

    def to(self: Queries, *args: Any, **kwargs: Any) -> Queries:
        """``Tensor.to`` on every floating-point field (ids keep their type)."""
        moved = {}
        for f in fields(self):
            tensor = getattr(self, f.name)
            if tensor is not None and tensor.is_floating_point():
                moved[f.name] = tensor.to(*args, **kwargs)
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class TrackedQueries(FrameQueries):
    """Queries after association: query q is one identity in all T frames.

    Attributes:
        track_ids: (B, Q) int64, the identity of each query slot, stable over a stream.
        frame_embeds: (B, T, Q, C') the same frames seen without memory, in no particular order,
            for a refiner to read; None where nothing refines.
        second_class_logits: (B, T, Q, K+1) another opinion on the classes, of which fusion takes
            the surer (a refiner passes the tracker's on); None for one opinion.
    """

    track_ids: Tensor | None = None
    frame_embeds: Tensor | None = None
    second_class_logits: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        b, t, q, k = self.class_logits.shape
        if self.track_ids is None:
            raise ValueError("track_ids is missing: TrackedQueries names every query's identity")
        check_shape("track_ids", self.track_ids, (b, q), "(B, Q)")
        if self.frame_embeds is not None:
            check_shape("frame_embeds", self.frame_embeds, (b, t, None, None), "(B, T, Q, C)")
        if self.second_class_logits is not None:
            check_shape(
                "second_class_logits", self.second_class_logits, (b, t, q, k), "(B, T, Q, K+1)"
            )

    @classmethod
    def from_frames(
        cls, queries: FrameQueries, track_ids: Tensor, **more: Tensor | None
    ) -> TrackedQueries:
        """Declare that the queries of ``queries`` are already in track order.

        Args:
            queries: the queries.
            track_ids: (B, Q) int64.
            more: the fields that only tracked queries have.
        """
        values = {f.name: getattr(queries, f.name) for f in fields(FrameQueries)}
        return cls(**values, track_ids=track_ids, **more)


@dataclass(frozen=True, eq=False)
class RecalledQueries(TrackedQueries):
    """Tracks that waited without their mask features, which are worked out again on request.

    ``mask_features`` has the right shape and no memory: it is NaN everywhere. The frames that
    :meth:`select_frames` gives are complete.

    Attributes:
        recall: gives the features (B, T, C, h, w) of these frames.
    """

    recall: Callable[[], Tensor] | None = None

    @classmethod
    def of(cls, tracks: TrackedQueries, recall: Callable[[], Tensor]) -> RecalledQueries:
        """``tracks`` with features that come from ``recall``."""
        return cls(**_values(tracks), recall=recall)

    def select_frames(self, frames: slice) -> TrackedQueries:  # type: ignore[override]
        """The frames of a slice, with their features."""
        assert self.recall is not None  # `of` is how these are made
        features = self.recall().to(self.mask_embeds.device)
        return TrackedQueries(**_values(self) | {"mask_features": features}).select_frames(frames)

    def to(self, *args: Any, **kwargs: Any) -> RecalledQueries:
        """As for other queries; recalled features come to where the embeddings are."""
        assert self.recall is not None
        return RecalledQueries.of(TrackedQueries(**_values(self)).to(*args, **kwargs), self.recall)


def _values(tracks: TrackedQueries) -> dict[str, Any]:
    return {f.name: getattr(tracks, f.name) for f in fields(TrackedQueries)}


@dataclass(frozen=True, eq=False)
class SegmenterOutput:
    """Everything a query segmenter computes; inference needs ``queries`` alone.

    Attributes:
        queries: the last decoder layer.
        auxiliary: the earlier supervised layers, first one from the learned queries themselves.
        denoising: for every supervised layer (earlier ones, then the last) the denoising queries
            alone; empty outside training.
    """

    queries: FrameQueries
    auxiliary: tuple[FrameQueries, ...] = ()
    denoising: tuple[FrameQueries, ...] = ()
