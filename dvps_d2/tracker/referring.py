"""Tracking by refining matched queries against what was tracked in the frame before.

Source: Zhang et al., "DVIS: Decoupled Video Instance Segmentation Framework", ICCV 2023, section
3.2, and "1st Place Solution for the 2nd PVUW challenge, VPS track", 2023, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dvps_d2.layers import (
    MLP,
    CrossAttentionLayer,
    FeedForwardLayer,
    MultiheadAttention,
    SelfAttentionLayer,
)
from dvps_d2.structures import FrameQueries, TrackedQueries

from .query_matching import match_queries


@dataclass(frozen=True, eq=False)
class ReferringMemory:
    """What the tracker knows of the last frame, in track order.

    Attributes:
        aligned: (B, Q, C) the segmenter's queries, matched frame by frame from the first one on;
            the chain never looks at what the tracker made of them.
        reference: (B, Q, C) the tracker's last layer, before its norm.
    """

    aligned: Tensor
    reference: Tensor


@dataclass(frozen=True, eq=False)
class Tracking:
    """Everything the tracker computes; inference needs ``tracks`` alone.

    Attributes:
        tracks: the last layer.
        auxiliary: the earlier layers in order.
        order: (B, T, Q) int64, the segmenter's query that track q started from in each frame;
            ``queries.permute(order)`` are the segmenter's predictions in track order.
    """

    tracks: TrackedQueries
    auxiliary: tuple[FrameQueries, ...]
    order: Tensor


class ReferringCrossAttention(nn.Module):
    """Cross-attention whose residual is not its query: ``norm(identity + MHA(query, memory))``.

    What is looked for (the object as it was) and what is updated (the object as it seems to be
    now) are kept apart, so that the past finds the object without being copied into it.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.multihead_attn = MultiheadAttention(dim, num_heads)
        self.norm = nn.LayerNorm(dim)

    def forward(self, identity: Tensor, query: Tensor, memory: Tensor) -> Tensor:
        """Update ``identity`` (N, Q, C) by what ``query`` (N, Q, C) finds in ``memory``."""
        return self.norm(identity + self.multihead_attn(query, memory, memory))


class GlobalDepth(nn.Module):
    """One learned query that reads a frame's queries and says how far everything is.

    Args:
        hidden_dim: channels C of the queries.
        mask_dim: channels of the mask features.
        num_heads: heads of the attention.
        feedforward_dim: channels inside the feed-forward block.
    """

    def __init__(
        self, hidden_dim: int, mask_dim: int, num_heads: int, feedforward_dim: int
    ) -> None:
        super().__init__()
        self.query = nn.Embedding(1, hidden_dim)
        self.cross_attention = CrossAttentionLayer(hidden_dim, num_heads)
        self.ffn = FeedForwardLayer(hidden_dim, feedforward_dim)
        self.embed = MLP(hidden_dim, hidden_dim, mask_dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, Q, C) queries -> (N, mask_dim) embedding of the global depth."""
        query = self.query.weight.to(frames.dtype).expand(len(frames), -1, -1)
        return self.embed(self.ffn(self.cross_attention(query, frames, frames)))[:, 0]


class ReferringTracker(nn.Module):
    """Denoise matched queries with the tracks of the frame before as the reference.

    Every frame starts from the segmenter's queries in matched order. Each layer lets the tracks
    of the frame before (the same reference in all layers) look for themselves among the
    segmenter's queries, then lets the tracks talk to one another. The first frame is its own
    reference.

    Args:
        hidden_dim: channels C of the segmenter's queries.
        num_classes: K, without "no object".
        mask_dim: channels of the mask features.
        num_layers: number of layers.
        num_heads: heads of every attention.
        feedforward_dim: channels inside the feed-forward blocks.
        legacy_inverse_match: start from the inverse of the matching permutation, as the public
            DVIS code does and its released weights were trained with. The two agree for pairwise
            swaps and disagree for longer cycles.
        memory_for_refiner: also compute ``frame_embeds``, what a temporal refiner reads.
        depth: predict depth embeddings for the tracks and for the whole frame.

    Source: as above. Differs from it by: any batch size; the matching is the right way round by
    default; depth.
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        num_classes: int,
        mask_dim: int,
        num_layers: int = 6,
        num_heads: int = 8,
        feedforward_dim: int = 2048,
        legacy_inverse_match: bool = False,
        memory_for_refiner: bool = False,
        depth: bool = False,
    ) -> None:
        super().__init__()
        self.legacy_inverse_match = legacy_inverse_match
        self.memory_for_refiner = memory_for_refiner
        self.transformer_cross_attention_layers = nn.ModuleList(
            ReferringCrossAttention(hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.transformer_self_attention_layers = nn.ModuleList(
            SelfAttentionLayer(hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(
            FeedForwardLayer(hidden_dim, feedforward_dim) for _ in range(num_layers)
        )
        self.decoder_norm = nn.LayerNorm(hidden_dim)
        self.class_embed = nn.Linear(hidden_dim, num_classes + 1)
        self.mask_embed = MLP(hidden_dim, hidden_dim, mask_dim)
        self.depth_embed = MLP(hidden_dim, hidden_dim, mask_dim) if depth else None
        self.global_depth = (
            GlobalDepth(hidden_dim, mask_dim, num_heads, feedforward_dim) if depth else None
        )

    def forward(
        self, queries: FrameQueries, state: ReferringMemory | None
    ) -> tuple[TrackedQueries, ReferringMemory]:
        """Track the frames of one window.

        Args:
            queries: (B, T, Q, ...) of the segmenter.
            state: the memory of the window before; None starts a video.

        Returns:
            Tracks, and the memory after the last frame.
        """
        layers, _, memory = self._run(queries.query_embeds, state)
        return self._tracks(queries, layers[-1]), memory

    def track(
        self, queries: FrameQueries, state: ReferringMemory | None = None
    ) -> tuple[Tracking, ReferringMemory]:
        """As the forward, with the predictions of all layers (training).

        Gradients run through the whole window: the reference of a frame is not cut off.
        """
        layers, order, memory = self._run(queries.query_embeds, state)
        depth = self._frame_depth(queries)
        auxiliary = tuple(self._predict(queries, layer, depth) for layer in layers[:-1])
        return Tracking(self._tracks(queries, layers[-1], depth), auxiliary, order), memory

    def frame_forward(self, embeds: Tensor) -> Tensor:
        """Every frame as if it were the first of a video.

        Args:
            embeds: (B, T, Q, C) of the segmenter.

        Returns:
            (B, T, Q, C) normalised, in the segmenter's order.
        """
        frames = embeds.flatten(0, 1)
        layers = self._frame(frames, frames, None)
        return self.decoder_norm(layers[-1]).unflatten(0, embeds.shape[:2])

    def _run(
        self, embeds: Tensor, state: ReferringMemory | None
    ) -> tuple[Tensor, Tensor, ReferringMemory]:
        """(B, T, Q, C) -> all layers (L, B, T, Q, C), the order (B, T, Q), the memory."""
        batch, _, count, _ = embeds.shape
        order = torch.arange(count, device=embeds.device).expand(batch, count)
        aligned = None if state is None else state.aligned
        reference = None if state is None else state.reference
        frames, orders = [], []
        for frame in embeds.unbind(1):
            if aligned is not None:
                order = self._match(aligned, frame)
            aligned = frame.gather(1, order.unsqueeze(-1).expand_as(frame))
            layers = self._frame(frame, aligned, reference)
            reference = layers[-1]
            frames.append(torch.stack(layers))
            orders.append(order)
        memory = ReferringMemory(aligned.detach(), reference.detach())
        return torch.stack(frames, dim=2), torch.stack(orders, dim=1), memory

    def _match(self, previous: Tensor, current: Tensor) -> Tensor:
        order = match_queries(previous, current)
        return order.argsort(dim=-1) if self.legacy_inverse_match else order

    def _frame(self, frame: Tensor, initial: Tensor, reference: Tensor | None) -> list[Tensor]:
        """The outputs of all layers for one frame.

        Args:
            frame: (B, Q, C) the segmenter's queries in any order, what is looked at.
            initial: (B, Q, C) the same in track order, what is updated.
            reference: (B, Q, C) the tracks of the frame before; None = the tracks themselves.
        """
        tracked, outputs = initial, []
        for cross, own, ffn in zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        ):
            tracked = cross(tracked, tracked if reference is None else reference, frame)
            tracked = ffn(own(tracked))
            outputs.append(tracked)
        return outputs

    def _tracks(
        self, queries: FrameQueries, layer: Tensor, depth: Tensor | None = None
    ) -> TrackedQueries:
        if depth is None:
            depth = self._frame_depth(queries)
        batch, _, count, _ = layer.shape
        track_ids = torch.arange(count, device=layer.device).expand(batch, count)
        embeds = self.frame_forward(queries.query_embeds) if self.memory_for_refiner else None
        predicted = self._predict(queries, layer, depth)
        return TrackedQueries.from_frames(predicted, track_ids, frame_embeds=embeds)

    def _frame_depth(self, queries: FrameQueries) -> Tensor | None:
        """(B, T, mask_dim) embedding of the global depth."""
        if self.global_depth is None:
            return None
        embeds = queries.query_embeds
        return self.global_depth(embeds.flatten(0, 1)).unflatten(0, embeds.shape[:2])

    def _predict(
        self, queries: FrameQueries, layer: Tensor, global_depth: Tensor | None
    ) -> FrameQueries:
        """The heads on one layer, with the segmenter's features."""
        features = queries.mask_features
        dtype = features.dtype
        # Heads are small and their results are compared and thresholded: no half precision.
        with torch.autocast(layer.device.type, enabled=False):
            embeds = self.decoder_norm(layer.to(self.decoder_norm.weight.dtype))
            depth = None if self.depth_embed is None else self.depth_embed(embeds).to(dtype)
            return FrameQueries(
                class_logits=self.class_embed(embeds),
                mask_features=features,
                mask_embeds=self.mask_embed(embeds).to(dtype),
                query_embeds=embeds,
                depth_embeds=depth,
                global_depth=None if global_depth is None else global_depth.to(dtype),
            )
