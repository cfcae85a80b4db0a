"""The depth decoder: one depth query per segmentation query, and one for the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dvps_d2.layers import MLP
from dvps_d2.segmenter.transformer import MaskedTransformer

# What has no counterpart in the segmentation decoder.
OWN_PARAMETERS = ("depth_embed.", "feature_embed.", "global_depth_")


class DepthPrediction(NamedTuple):
    """Depth embeddings of one supervised layer.

    Attributes:
        depth_embeds: (N, Q, Cm), entry i belongs to segmentation query i.
        global_depth: (N, Cm), for depth anywhere in the frame; None without a global query.
    """

    depth_embeds: Tensor
    global_depth: Tensor | None


class DepthDecoder(MaskedTransformer):
    """A second decoder beside the segmentation decoder, with queries of its own.

    Depth query i reads where segmentation query i read in the layer of the same index (its mask,
    without gradient); the global depth query reads everything. The result is embeddings: their dot
    product with the mask features becomes metres elsewhere.

    Args:
        hidden_dim: channels C of queries and memory.
        num_queries: Q, as in the segmentation decoder.
        num_layers: as in the segmentation decoder.
        num_heads: heads of both attentions.
        feedforward_dim: channels inside the feed-forward blocks.
        mask_dim: channels Cm of the mask features.
        num_levels: feature maps that are read in turn.
        in_channels: channels of the feature maps, if not ``hidden_dim``.
        global_query: whether there is a query for the whole frame beside those of segments.
        masked_attention: False lets every depth query read the whole frame.
        head_layers: linear layers of the head, after a norm.
        feature_layers: layers of a perceptron on every cell of the mask features before the dot
            product with depth embeddings; 0 shares the features with the masks.

    Source: Ji-Yeon et al., 2023 (MinDVPS), section 3.3. Left open there and chosen here: the number
    of layers, masked attention, the norm before the head, a three-layer head.
    """

    def __init__(
        self,
        *,
        hidden_dim: int = 256,
        num_queries: int = 100,
        num_layers: int = 9,
        num_heads: int = 8,
        feedforward_dim: int = 2048,
        mask_dim: int = 256,
        num_levels: int = 3,
        in_channels: int | None = None,
        global_query: bool = True,
        masked_attention: bool = True,
        head_layers: int = 3,
        feature_layers: int = 0,
    ) -> None:
        super().__init__(
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_dim=feedforward_dim,
            num_levels=num_levels,
            in_channels=in_channels,
        )
        self.num_queries = num_queries
        self.masked_attention = masked_attention
        self.query_feat = nn.Embedding(num_queries, hidden_dim)
        self.query_embed = nn.Embedding(num_queries, hidden_dim)
        self.global_depth_feat = nn.Embedding(1, hidden_dim) if global_query else None
        self.global_depth_embed = nn.Embedding(1, hidden_dim) if global_query else None
        self.depth_embed = MLP(hidden_dim, hidden_dim, mask_dim, head_layers)
        self.feature_embed = None
        if feature_layers > 0:
            self.feature_embed = MLP(mask_dim, mask_dim, mask_dim, feature_layers)

    def forward(
        self, levels: Sequence[Tensor], attention_masks: Sequence[Tensor]
    ) -> tuple[DepthPrediction, ...]:
        """Decode N frames.

        Args:
            levels: feature maps (N, in_channels, h, w), coarsest first.
            attention_masks: bool (N, Q, S) per layer, from the segmentation decoder.

        Returns:
            Predictions of the learned queries themselves and after each layer.

        Raises:
            ValueError: not one attention mask per layer and query.
        """
        if len(attention_masks) != self.num_layers:
            raise ValueError(
                f"attention_masks must be one per layer ({self.num_layers}), got "
                f"{len(attention_masks)}; both decoders need the same num_layers"
            )
        if attention_masks and attention_masks[0].shape[1] != self.num_queries:
            raise ValueError(
                f"attention_masks must have {self.num_queries} queries, got "
                f"{attention_masks[0].shape[1]}; both decoders need the same num_queries"
            )
        memories = self.memories(levels)
        frames = len(levels[0])
        queries, position = self.query_feat.weight, self.query_embed.weight
        if self.global_depth_feat is not None:
            queries = torch.cat((queries, self.global_depth_feat.weight))
            position = torch.cat((position, self.global_depth_embed.weight))
        queries = queries.expand(frames, -1, -1)  # (N, Q + 1, C), the global query is the last
        predictions = [self._predict(queries)]
        for index, mask in enumerate(attention_masks):
            allowed = mask.new_ones(frames, queries.shape[1], mask.shape[-1])
            if self.masked_attention:
                allowed[:, : self.num_queries] = mask
            queries = self.layer(index, queries, position, memories, allowed)
            predictions.append(self._predict(queries))
        return tuple(predictions)

    def features(self, mask_features: Tensor) -> Tensor | None:
        """(N, Cm, h, w) that depth embeddings are meant for; None = the mask features."""
        if self.feature_embed is None:
            return None
        return self.feature_embed(mask_features.movedim(1, -1)).movedim(-1, 1)

    def _predict(self, queries: Tensor) -> DepthPrediction:
        with torch.autocast(queries.device.type, enabled=False):
            queries = queries.to(self.decoder_norm.weight.dtype)
            embeds = self.depth_embed(self.decoder_norm(queries))
        own = embeds[:, : self.num_queries]
        return DepthPrediction(own, None if self.global_depth_feat is None else embeds[:, -1])

    @torch.no_grad()
    def copy_from(self, decoder: MaskedTransformer) -> None:
        """Start from a (trained) segmentation decoder of the same sizes.

        Layers, level embeddings, norm and queries are copied. The head, the perceptron on features
        and the global depth query, which have no counterpart there, stay as they are.

        Raises:
            ValueError: a size differs; names the parameter.
        """
        source = decoder.state_dict()
        for name, parameter in self.named_parameters():
            if name.startswith(OWN_PARAMETERS):
                continue
            if name not in source or source[name].shape != parameter.shape:
                found = tuple(source[name].shape) if name in source else "nothing"
                raise ValueError(
                    f"cannot copy {name}: it is {tuple(parameter.shape)} here and {found} in the "
                    "given decoder; both need the same sizes"
                )
            parameter.copy_(source[name])
