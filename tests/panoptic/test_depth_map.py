"""Depth at output size, on maps that can be worked out by hand."""

import pytest
import torch

from dvps_d2.panoptic.depth_map import (
    UPSAMPLINGS,
    compose_depth,
    logits_then_metres,
    metres_then_bilinear,
    nearest_metres,
)
from dvps_d2.structures import TrackedQueries

LOGITS = torch.tensor([[[0.0, 2.0]]])
TWICE = ((1, 2), (1, 2), (1, 4))  # nothing padded, twice as wide


def square(logits):
    return logits**2


def test_metres_or_logits_are_averaged_or_the_nearest_taken():
    # Bilinear weights of the four pixels: (1, 0), (3/4, 1/4), (1/4, 3/4), (0, 1).
    assert metres_then_bilinear(LOGITS, square, TWICE).tolist() == [[[0.0, 1.0, 3.0, 4.0]]]
    assert logits_then_metres(LOGITS, square, TWICE).tolist() == [[[0.0, 0.25, 2.25, 4.0]]]
    assert nearest_metres(LOGITS, square, TWICE).tolist() == [[[0.0, 0.0, 4.0, 4.0]]]


def test_nearest_skips_the_padding():
    # A grid of 1 x 4 cells over a frame of 2 x 8, of which the left 6 columns are image; wanted
    # at half that width, so output column j looks at the middle of columns 2 j and 2 j + 1.
    logits = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    out = nearest_metres(logits, square, ((2, 8), (2, 6), (2, 3)))
    assert out.tolist() == [[[0.0, 1.0, 4.0]] * 2]


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_no_segment_and_no_resize_is_the_global_map(upsampling):
    frame = TrackedQueries(
        class_logits=torch.zeros(1, 1, 1, 2),
        mask_features=torch.tensor([[[[[3.0, 4.0]]]]]),
        mask_embeds=torch.zeros(1, 1, 1, 1),
        query_embeds=torch.zeros(1, 1, 1, 1),
        depth_embeds=torch.full((1, 1, 1, 1), 2.0),
        global_depth=torch.ones(1, 1, 1),
        track_ids=torch.zeros(1, 1, dtype=torch.int64),
    )
    sizes = ((1, 2), (1, 2), (1, 2))
    nobody = torch.full((1, 1, 2), -1)
    queries = torch.tensor([0])
    depth = compose_depth(frame, queries[:0], nobody, sizes, square, upsampling)
    assert depth.tolist() == [[[9.0, 16.0]]]
    owner = torch.tensor([[[0, -1]]])
    depth = compose_depth(frame, queries, owner, sizes, square, upsampling)
    assert depth.tolist() == [[[36.0, 16.0]]]
