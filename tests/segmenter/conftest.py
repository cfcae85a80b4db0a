"""A tiny segmenter and a tiny clip, built the same way in every test."""

import pytest
import torch

from dvps_d2.layers import CompactResNet
from dvps_d2.segmenter import DepthDecoder, MaskedAttentionDecoder, PixelDecoder, QuerySegmenter
from dvps_d2.structures import Clip, DenoisingQueries

QUERIES, CLASSES, HIDDEN, MASK = 5, 3, 16, 8


@pytest.fixture
def make_segmenter():
    """Build a tiny segmenter; arguments switch its parts."""

    def make(*, depth=True, stride_two=False, denoising=False, full_precision=True):
        torch.manual_seed(0)
        backbone = CompactResNet(16, (1, 1, 1, 1))
        shapes = backbone.output_shapes()
        pixel_decoder = PixelDecoder(
            {name: channels for name, (channels, _) in shapes.items()},
            {name: stride for name, (_, stride) in shapes.items()},
            hidden_dim=HIDDEN,
            mask_dim=MASK,
            encoder_layers=1,
            num_heads=2,
            feedforward_dim=24,
            num_points=2,
            fpn_levels=("res2", "stem") if stride_two else ("res2",),
            full_precision=full_precision,
        )
        sizes = {
            "hidden_dim": HIDDEN,
            "num_queries": QUERIES,
            "num_layers": 3,
            "num_heads": 2,
            "feedforward_dim": 24,
            "mask_dim": MASK,
        }
        decoder = MaskedAttentionDecoder(
            num_classes=CLASSES, coarse_auxiliary=stride_two, denoising=denoising, **sizes
        )
        return QuerySegmenter(
            backbone, pixel_decoder, decoder, DepthDecoder(**sizes) if depth else None
        )

    return make


@pytest.fixture
def make_clip():
    """Build a clip of seeded noise."""

    def make(batch, frames, size=(32, 64), dtype=torch.float32):
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(batch, frames, 3, *size, generator=generator, dtype=dtype)
        return Clip(
            images=images,
            valid_sizes=(size,) * batch,
            original_sizes=(size,) * batch,
            frame_ids=(tuple(range(frames)),) * batch,
            video_ids=tuple(map(str, range(batch))),
        )

    return make


@pytest.fixture
def make_denoising():
    """Build two groups of two noised segments per frame; the second slot of each may be padding."""

    def make(frames, *, second_valid=True, seed=2):
        generator = torch.Generator().manual_seed(seed)
        valid = torch.tensor([True, second_valid]).expand(frames, 2, 2)
        return DenoisingQueries(
            class_ids=torch.randint(CLASSES, (frames, 2, 2), generator=generator),
            masks=torch.rand(frames, 2, 2, 8, 16, generator=generator) > 0.7,
            valid=valid,
        )

    return make
