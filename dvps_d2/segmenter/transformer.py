"""What the segmentation and the depth decoder have in common: queries that read feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from dvps_d2.layers import CrossAttentionLayer, FeedForwardLayer, SelfAttentionLayer, sine_position


class Memory(NamedTuple):
    """One feature map as the attention layers read it.

    Attributes:
        keys: (N, S, C), values with the position of each cell added.
        values: (N, S, C).
    """

    keys: Tensor
    values: Tensor


class MaskedTransformer(nn.Module):
    """Layers of masked cross-attention, self-attention and a feed-forward block.

    Layer i reads level i mod L. Subclasses hold the queries and the heads.

    Args:
        hidden_dim: channels of queries and memory.
        num_layers: number of layers; a multiple of ``num_levels`` visits all levels equally.
        num_heads: heads of both attentions.
        feedforward_dim: channels inside the feed-forward blocks.
        num_levels: feature maps L that are read in turn.
        in_channels: channels of the feature maps, if not ``hidden_dim``.

    Source: Cheng et al., 2022 (Mask2Former), section 3.2 and figure 2 (right).
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        feedforward_dim: int,
        num_levels: int,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.num_levels = num_levels
        self.level_embed = nn.Embedding(num_levels, hidden_dim)
        # Without parameters where nothing needs to change, as in published checkpoints.
        same = in_channels is None or in_channels == hidden_dim
        self.input_proj = nn.ModuleList(
            nn.Identity() if same else nn.Conv2d(in_channels, hidden_dim, 1)
            for _ in range(num_levels)
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            CrossAttentionLayer(hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.transformer_self_attention_layers = nn.ModuleList(
            SelfAttentionLayer(hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(
            FeedForwardLayer(hidden_dim, feedforward_dim) for _ in range(num_layers)
        )
        self.decoder_norm = nn.LayerNorm(hidden_dim)

    def memories(self, levels: Sequence[Tensor]) -> list[Memory]:
        """Prepare the feature maps once for all layers.

        Args:
            levels: L maps (N, in_channels, h, w), coarsest first.

        Raises:
            ValueError: another number of maps than ``num_levels``.
        """
        if len(levels) != self.num_levels:
            raise ValueError(f"levels must be {self.num_levels} feature maps, got {len(levels)}")
        prepared = []
        for projection, level, embed in zip(
            self.input_proj, levels, self.level_embed.weight, strict=True
        ):
            values = projection(level).flatten(2).transpose(1, 2) + embed.to(level.dtype)
            height, width = level.shape[-2:]
            position = sine_position(
                height, width, embed.shape[0], device=embed.device, dtype=embed.dtype
            )
            prepared.append(Memory(values + position.to(values.dtype), values))
        return prepared

    def layer(
        self,
        index: int,
        queries: Tensor,
        position: Tensor,
        memories: Sequence[Memory],
        allowed: Tensor,
        self_allowed: Tensor | None = None,
    ) -> Tensor:
        """Run one layer.

        Args:
            index: which layer; reads ``memories[index mod L]``.
            queries: (N, Q, C).
            position: (Q, C) or (N, Q, C), learned position of the queries.
            memories: from `memories`.
            allowed: bool (N, Q, S), the cells each query may read.
            self_allowed: bool (N, Q, Q), the queries each query may read; None = all.

        Returns:
            (N, Q, C).
        """
        memory = memories[index % self.num_levels]
        queries = self.transformer_cross_attention_layers[index](
            queries, memory.keys, memory.values, position=position, allowed=allowed[:, None]
        )
        queries = self.transformer_self_attention_layers[index](
            queries,
            position=position,
            allowed=None if self_allowed is None else self_allowed[:, None],
        )
        return self.transformer_ffn_layers[index](queries)
