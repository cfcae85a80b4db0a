"""Stage 1 of the query systems: frames -> queries with classes, masks and depth embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

from dvps_d2.segmenter.decoder import MaskedAttentionDecoder, Prediction
from dvps_d2.segmenter.depth_decoder import DepthDecoder, DepthPrediction
from dvps_d2.segmenter.pixel_decoder import PixelDecoder
from dvps_d2.structures import Clip, DenoisingQueries, FrameQueries, SegmenterOutput

State = TypeVar("State")


class QuerySegmenter(nn.Module):
    """Backbone, pixel decoder, segmentation decoder and, if given, depth decoder.

    Every frame is decoded by itself; frames of all clips form one batch.

    Args:
        backbone: images (N, 3, H, W) -> {name: (N, channels, h, w)}.
        pixel_decoder: features -> mask features and feature maps.
        decoder: becomes ``predictor``, its name in published checkpoints.
        depth_decoder: becomes ``depth_predictor``; None = no depth.

    Raises:
        ValueError: the decoders differ in the number of queries or layers.

    Source: Cheng et al., 2022 (Mask2Former); Huang et al., 2022 (MinVIS); Ji-Yeon et al., 2023
    (MinDVPS).
    """

    def __init__(
        self,
        backbone: nn.Module,
        pixel_decoder: PixelDecoder,
        decoder: MaskedAttentionDecoder,
        depth_decoder: DepthDecoder | None = None,
    ) -> None:
        super().__init__()
        for name in ("num_queries", "num_layers") if depth_decoder is not None else ():
            ours, theirs = getattr(decoder, name), getattr(depth_decoder, name)
            if ours != theirs:
                raise ValueError(
                    f"decoder and depth_decoder need the same {name}, got {ours} and {theirs}"
                )
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.predictor = decoder
        self.depth_predictor = depth_decoder

    def forward(
        self, clip: Clip, state: State = None, denoising: DenoisingQueries | None = None
    ) -> tuple[SegmenterOutput, State]:
        """Segment every frame.

        Args:
            clip: B clips of T frames.
            state: passed through; this stage has no memory.
            denoising: noised ground truth with B * T rows, row b * T + t for frame t of clip b.

        Returns:
            Predictions of all supervised layers, and ``state``.
        """
        features = self.backbone(clip.images.flatten(0, 1))
        mask_features, levels = self.pixel_decoder(features)
        decoded = self.predictor(mask_features, levels, denoising)
        depth: tuple[DepthPrediction | None, ...] = (None,) * len(decoded.layers)
        depth_features: tuple[Tensor | None, ...] = (None,) * len(decoded.layers)
        if self.depth_predictor is not None:
            depth = self.depth_predictor(levels, decoded.attention_masks)
            depth_features = self._depth_features(decoded.layers)
        shape = (clip.batch_size, clip.num_frames)
        *auxiliary, queries = (
            _unfold(*layer, shape)
            for layer in zip(decoded.layers, depth, depth_features, strict=True)
        )
        noised = tuple(_unfold(layer, None, None, shape) for layer in decoded.denoising)
        return SegmenterOutput(queries, tuple(auxiliary), noised), state

    def mask_features(self, clip: Clip) -> Tensor:
        """(B, T, C, h, w) mask features alone, without the decoders."""
        features, _ = self.pixel_decoder(self.backbone(clip.images.flatten(0, 1)))
        return features.unflatten(0, (clip.batch_size, clip.num_frames))

    def _depth_features(self, layers: Sequence[Prediction]) -> tuple[Tensor | None, ...]:
        """Per layer the features for depth, computed once where layers share mask features."""
        known: dict[int, Tensor | None] = {}
        for layer in layers:
            if id(layer.mask_features) not in known:
                features = self.depth_predictor.features(layer.mask_features)
                known[id(layer.mask_features)] = features
        return tuple(known[id(layer.mask_features)] for layer in layers)


def _unfold(
    prediction: Prediction,
    depth: DepthPrediction | None,
    depth_features: Tensor | None,
    shape: tuple[int, int],
) -> FrameQueries:
    """(B * T, ...) -> (B, T, ...), with embeddings in the dtype of the features they multiply."""
    features = prediction.mask_features
    per_pixel = [prediction.mask_embeds, *(depth or (None, None))]
    mask_embeds, depth_embeds, global_depth = (
        None if embeds is None else embeds.to(features.dtype).unflatten(0, shape)
        for embeds in per_pixel
    )
    return FrameQueries(
        class_logits=prediction.class_logits.unflatten(0, shape),
        mask_features=features.unflatten(0, shape),
        mask_embeds=mask_embeds,
        query_embeds=prediction.query_embeds.unflatten(0, shape),
        depth_embeds=depth_embeds,
        global_depth=global_depth,
        depth_features=None if depth_features is None else depth_features.unflatten(0, shape),
    )
