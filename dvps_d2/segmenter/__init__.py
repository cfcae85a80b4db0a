"""Stage 1: frames -> per-frame queries, with depth embeddings where wanted."""

from dvps_d2.segmenter.decoder import DecoderOutput, MaskedAttentionDecoder, Prediction
from dvps_d2.segmenter.depth_decoder import DepthDecoder, DepthPrediction
from dvps_d2.segmenter.pixel_decoder import PixelDecoder
from dvps_d2.segmenter.query_segmenter import QuerySegmenter

__all__ = [
    "DecoderOutput",
    "DepthDecoder",
    "DepthPrediction",
    "MaskedAttentionDecoder",
    "PixelDecoder",
    "Prediction",
    "QuerySegmenter",
]
