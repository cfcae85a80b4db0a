"""The segmentation decoder: learned queries -> classes and mask embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers import MLP, open_empty_rows
from dvps_d2.segmenter.denoising import first_attention_mask, self_attention_mask
from dvps_d2.segmenter.transformer import MaskedTransformer
from dvps_d2.structures import DenoisingQueries


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one supervised layer says; N frames.

    Attributes:
        class_logits: (N, Q, K+1).
        mask_embeds: (N, Q, Cm).
        query_embeds: (N, Q, C), the normalised queries.
        mask_features: (N, Cm, h, w) that the embeddings of this layer are meant for.
    """

    class_logits: Tensor
    mask_embeds: Tensor
    query_embeds: Tensor
    mask_features: Tensor

    def split(self, count: int) -> tuple[Prediction, Prediction]:
        """The first ``count`` queries, and the rest."""

        def part(places: slice) -> Prediction:
            return Prediction(
                self.class_logits[:, places],
                self.mask_embeds[:, places],
                self.query_embeds[:, places],
                self.mask_features,
            )

        return part(slice(None, count)), part(slice(count, None))


@dataclass(frozen=True, eq=False)
class DecoderOutput:
    """Everything the decoder predicts.

    Attributes:
        layers: predictions of the learned queries themselves and after each layer.
        attention_masks: bool (N, Q, S) per layer, the cells each query could read, True = open.
        denoising: as ``layers`` for the denoising queries; () without.
    """

    layers: tuple[Prediction, ...]
    attention_masks: tuple[Tensor, ...]
    denoising: tuple[Prediction, ...] = ()


class MaskedAttentionDecoder(MaskedTransformer):
    """Queries read the feature maps inside the masks that the layer before predicted.

    Args:
        hidden_dim: channels C of queries and memory.
        num_queries: Q.
        num_classes: K, without "no object".
        num_layers: 9 is three rounds over three levels.
        num_heads: heads of both attentions.
        feedforward_dim: channels inside the feed-forward blocks.
        mask_dim: channels Cm of the mask features.
        num_levels: feature maps that are read in turn.
        in_channels: channels of the feature maps, if not ``hidden_dim``.
        coarse_auxiliary: all supervised layers but the last predict on mask features
            average-pooled by 2. With mask features of stride 2 this keeps the cost of the
            auxiliary losses, and the attention masks, at stride 4.
        denoising: make the parameters that denoising queries need (training only).

    Source: Cheng et al., 2022 (Mask2Former), section 3.2 and its code.
    """

    def __init__(
        self,
        *,
        hidden_dim: int = 256,
        num_queries: int = 100,
        num_classes: int,
        num_layers: int = 9,
        num_heads: int = 8,
        feedforward_dim: int = 2048,
        mask_dim: int = 256,
        num_levels: int = 3,
        in_channels: int | None = None,
        coarse_auxiliary: bool = False,
        denoising: bool = False,
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
        self.num_classes = num_classes
        self.coarse_auxiliary = coarse_auxiliary
        self.query_feat = nn.Embedding(num_queries, hidden_dim)
        self.query_embed = nn.Embedding(num_queries, hidden_dim)
        self.class_embed = nn.Linear(hidden_dim, num_classes + 1)
        self.mask_embed = MLP(hidden_dim, hidden_dim, mask_dim, 3)
        if denoising:
            self.denoising_class_embed = nn.Embedding(num_classes, hidden_dim)
            self.denoising_query_embed = nn.Embedding(1, hidden_dim)
        else:
            self.denoising_class_embed = None
            self.denoising_query_embed = None

    def forward(
        self,
        mask_features: Tensor,
        levels: Sequence[Tensor],
        denoising: DenoisingQueries | None = None,
    ) -> DecoderOutput:
        """Decode N frames.

        Args:
            mask_features: (N, Cm, h, w).
            levels: feature maps (N, in_channels, h, w), coarsest first.
            denoising: noised ground truth with one row per frame, or None.

        Raises:
            ValueError: wrong number of levels, or denoising queries that do not fit the frames or
                a decoder built without ``denoising=True``.
        """
        memories = self.memories(levels)
        coarse = self._auxiliary_features(mask_features)
        sizes = [tuple(level.shape[-2:]) for level in levels]
        attention_features = resize_for_attention(coarse, sizes)
        queries, position, first_mask, self_allowed = self._start(
            len(mask_features), denoising, sizes[0]
        )
        predictions, masks = [self._predict(queries, coarse)], []
        for index in range(self.num_layers):
            allowed = attention_mask(
                predictions[-1].mask_embeds, attention_features[index % self.num_levels]
            )
            if index == 0 and first_mask is not None:
                allowed[:, self.num_queries :] = first_mask
            masks.append(allowed[:, : self.num_queries])
            queries = self.layer(index, queries, position, memories, allowed, self_allowed)
            last = index == self.num_layers - 1
            predictions.append(self._predict(queries, mask_features if last else coarse))
        if denoising is None:
            return DecoderOutput(tuple(predictions), tuple(masks))
        ordinary, noised = zip(*(p.split(self.num_queries) for p in predictions), strict=True)
        return DecoderOutput(ordinary, tuple(masks), noised)

    def _auxiliary_features(self, mask_features: Tensor) -> Tensor:
        if not self.coarse_auxiliary:
            return mask_features
        # For even sizes this is average pooling by 2. Unlike pooling, its gradient keeps the memory
        # layout that the mask products give it; converting that costs more than the layer.
        height, width = mask_features.shape[-2:]
        size = ((height + 1) // 2, (width + 1) // 2)
        return F.interpolate(mask_features, size=size, mode="bilinear")

    def _start(
        self, frames: int, denoising: DenoisingQueries | None, first_size: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Queries (N, Q', C), their position, and the masks that denoising asks for."""
        queries = self.query_feat.weight.expand(frames, -1, -1)
        position = self.query_embed.weight
        if denoising is None:
            return queries, position, None, None
        if self.denoising_class_embed is None:
            raise ValueError(
                "denoising queries came, but the decoder has no parameters for them; build it with "
                "denoising=True"
            )
        if len(denoising.class_ids) != frames:
            raise ValueError(
                f"denoising must have one row per frame ({frames}: clips x frames), got "
                f"{len(denoising.class_ids)}"
            )
        classes = denoising.class_ids.where(denoising.valid, 0).flatten(1)
        noised = self.denoising_class_embed(classes)
        shared = self.denoising_query_embed.weight.expand(classes.shape[1], -1)
        return (
            torch.cat((queries, noised), dim=1),
            torch.cat((position, shared)),
            first_attention_mask(denoising, first_size),
            self_attention_mask(self.num_queries, denoising.valid),
        )

    def _predict(self, queries: Tensor, mask_features: Tensor) -> Prediction:
        # Heads are small and their results are compared and thresholded: no half precision.
        with torch.autocast(queries.device.type, enabled=False):
            embeds = self.decoder_norm(queries.to(self.decoder_norm.weight.dtype))
            return Prediction(
                self.class_embed(embeds), self.mask_embed(embeds), embeds, mask_features
            )


@torch.no_grad()
def resize_for_attention(mask_features: Tensor, sizes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Mask features at the size of each level, for attention masks only.

    Bilinear resizing is linear in every channel, so mask logits computed from resized features are
    the resized mask logits, and one resize per frame and level serves all queries and layers.

    Args:
        mask_features: (N, Cm, h, w).
        sizes: (height, width) of each level.

    Returns:
        Per level (N, Cm, height * width), without gradient.
    """
    return [F.interpolate(mask_features, size=size, mode="bilinear").flatten(2) for size in sizes]


@torch.no_grad()
def attention_mask(mask_embeds: Tensor, features: Tensor) -> Tensor:
    """Cells where the predicted mask has probability 0.5 or more; a query without any reads all.

    Args:
        mask_embeds: (N, Q, Cm).
        features: (N, Cm, S).

    Returns:
        bool (N, Q, S), True = may be read.
    """
    logits = torch.bmm(mask_embeds.to(features.dtype), features)
    return open_empty_rows(logits >= 0)
