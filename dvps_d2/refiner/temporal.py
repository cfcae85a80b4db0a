"""Refinement of tracks over a whole clip.

Source: Zhang et al., "DVIS: Decoupled Video Instance Segmentation Framework", ICCV 2023, section
3.3, and "1st Place Solution for the 2nd PVUW challenge, VPS track", 2023, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dvps_d2.layers import MLP, CrossAttentionLayer, FeedForwardLayer, SelfAttentionLayer
from dvps_d2.structures import Clip, FrameQueries, TrackedQueries

from .memory import RefinerMemory

# Kernels of the two convolutions over time: motion over five frames, then smoothing over three.
TIME_KERNELS = (5, 3)


@dataclass(frozen=True, eq=False)
class Refinement:
    """Everything the refiner computes; inference needs ``tracks`` alone.

    Attributes:
        tracks: the last layer.
        auxiliary: the earlier layers in order.
    """

    tracks: TrackedQueries
    auxiliary: tuple[FrameQueries, ...]


class TemporalRefiner(nn.Module):
    """Tracks exchange information over time and with one another.

    Each layer attends over all frames of a track, convolves over neighbouring frames, attends
    over the tracks of a frame, and reads the frame as the tracker saw it without memory. A
    track's class is predicted once for the clip, from a learned weighting of its frames.

    Args:
        hidden_dim: channels C of the tracks.
        num_classes: K, without "no object".
        mask_dim: channels of the mask features.
        num_layers: number of layers.
        num_heads: heads of every attention.
        feedforward_dim: channels inside the feed-forward blocks.
        feature_store: how a stream's mask features wait for the end of the video, one of
            :data:`dvps_d2.refiner.FEATURE_STORES`.
        depth: predict depth embeddings for the tracks; the global depth is the tracker's.

    Source: as above, equation 3 for the classes. Differs from it by: depth.
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
        feature_store: str = "half",
        depth: bool = False,
    ) -> None:
        super().__init__()
        self.feature_store = feature_store

        def layers(kind: type[nn.Module], *args: int) -> nn.ModuleList:
            return nn.ModuleList(kind(hidden_dim, *args) for _ in range(num_layers))

        self.transformer_time_self_attention_layers = layers(SelfAttentionLayer, num_heads)
        self.conv_short_aggregate_layers = layers(_TimeConvolutions)
        self.conv_norms = layers(nn.LayerNorm)
        self.transformer_obj_self_attention_layers = layers(SelfAttentionLayer, num_heads)
        self.transformer_cross_attention_layers = layers(CrossAttentionLayer, num_heads)
        self.transformer_ffn_layers = layers(FeedForwardLayer, feedforward_dim)
        self.decoder_norm = nn.LayerNorm(hidden_dim)
        self.class_embed = nn.Linear(hidden_dim, num_classes + 1)
        self.mask_embed = MLP(hidden_dim, hidden_dim, mask_dim)
        self.activation_proj = nn.Linear(hidden_dim, 1)
        self.depth_embed = MLP(hidden_dim, hidden_dim, mask_dim) if depth else None

    def forward(
        self, tracks: TrackedQueries, clip: Clip, state: RefinerMemory | None
    ) -> tuple[None, RefinerMemory]:
        """Remember a window; nothing can be said before the video has ended.

        Source: Zhang et al., 2023 (the whole video is one sample at inference).
        """
        return None, (state or RefinerMemory()).add(tracks, clip, self.feature_store)

    @torch.no_grad()
    def finish(self, state: RefinerMemory | None) -> Iterator[tuple[TrackedQueries, Clip]]:
        """Refine the video, and give its windows back one after the other.

        Device memory holds T x Q x C numbers and the features of one window.
        """
        if state is None or not state.windows:
            return
        windows = list(state.windows)
        del state  # each window is dropped as soon as it has been given back
        device = self.class_embed.weight.device
        dtype = self.class_embed.weight.dtype
        x = torch.cat([tracks.query_embeds for tracks, _ in windows], dim=1).to(device, dtype)
        memory = torch.cat([_frame_embeds(tracks) for tracks, _ in windows], dim=1)
        *_, last = self._layers(x, memory.to(device, dtype))
        embeds, classes = self._normed_and_classes(last)
        start = 0
        while windows:
            tracks, clip = windows.pop(0)
            tracks = replace(tracks.to(device), track_ids=tracks.track_ids.to(device))
            part = slice(start, start + tracks.num_frames)
            yield self._refined(tracks, embeds[:, part], classes[:, part]), clip
            start += tracks.num_frames

    def refine(self, tracks: TrackedQueries) -> Refinement:
        """Refine a clip that is there as a whole, with all layers (training).

        Args:
            tracks: (B, T, Q, ...) of the tracker, with ``frame_embeds``.

        Raises:
            ValueError: the tracks carry no ``frame_embeds``.
        """
        outputs = []
        for layer in self._layers(tracks.query_embeds, _frame_embeds(tracks)):
            outputs.append(self._refined(tracks, *self._normed_and_classes(layer)))
        return Refinement(outputs[-1], tuple(outputs[:-1]))

    def _layers(self, x: Tensor, memory: Tensor) -> Iterator[Tensor]:
        """(B, T, Q, C) tracks and memory -> the output of every layer."""
        batch, _, count, _ = x.shape
        frames = memory.flatten(0, 1)  # (B * T, Q, C)
        for time, convolve, norm, objects, cross, ffn in zip(
            self.transformer_time_self_attention_layers,
            self.conv_short_aggregate_layers,
            self.conv_norms,
            self.transformer_obj_self_attention_layers,
            self.transformer_cross_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        ):
            tracks = time(x.transpose(1, 2).flatten(0, 1))  # (B * Q, T, C)
            tracks = norm(tracks + convolve(tracks.transpose(1, 2)).transpose(1, 2))
            by_frame = tracks.unflatten(0, (batch, count)).transpose(1, 2).flatten(0, 1)
            by_frame = cross(objects(by_frame), frames, frames)  # (B * T, Q, C)
            x = ffn(by_frame).unflatten(0, (batch, -1))
            yield x

    def _normed_and_classes(self, layer: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, Q, C) -> the same normalised, and (B, T, Q, K+1), equal in every frame."""
        # Heads are small and their results are compared and thresholded: no half precision.
        with torch.autocast(layer.device.type, enabled=False):
            embeds = self.decoder_norm(layer.to(self.decoder_norm.weight.dtype))
            weights = self.activation_proj(embeds).softmax(dim=1)
            pooled = (weights * embeds).sum(dim=1, keepdim=True)
            return embeds, self.class_embed(pooled).expand(-1, layer.shape[1], -1, -1)

    def _refined(self, tracks: TrackedQueries, embeds: Tensor, classes: Tensor) -> TrackedQueries:
        """The heads on one layer; the tracker's classes stay as the second opinion."""
        dtype = tracks.mask_embeds.dtype
        with torch.autocast(embeds.device.type, enabled=False):
            depth = None if self.depth_embed is None else self.depth_embed(embeds).to(dtype)
            return replace(
                tracks,
                class_logits=classes,
                mask_embeds=self.mask_embed(embeds).to(dtype),
                query_embeds=embeds,
                depth_embeds=depth,
                frame_embeds=None,
                second_class_logits=tracks.class_logits,
            )


class _TimeConvolutions(nn.Sequential):
    """Two convolutions over (N, C, T); the first and last frame repeat beyond the ends."""

    def __init__(self, dim: int) -> None:
        wide, narrow = (
            nn.Conv1d(dim, dim, kernel, padding=kernel // 2, padding_mode="replicate")
            for kernel in TIME_KERNELS
        )
        super().__init__(wide, nn.ReLU(inplace=True), narrow)
        for conv in (wide, narrow):
            nn.init.xavier_uniform_(conv.weight)


def _frame_embeds(tracks: TrackedQueries) -> Tensor:
    if tracks.frame_embeds is None:
        raise ValueError(
            "these tracks have no frame_embeds for the refiner to read; build the tracker with "
            "memory_for_refiner=True"
        )
    return tracks.frame_embeds
