"""Rules for saved depth: 0 means "no estimate" before and after."""

import torch

from dvps_d2.depth import clip_depth, fill_gaps, sky_to_max

INF, NAN = float("inf"), float("nan")


def test_clip_keeps_missing_estimates_missing():
    depth = torch.tensor([0.0, 0.2, 30.0, 500.0, INF, NAN, -1.0])
    clipped = clip_depth(depth, 0.5, 80.0)
    assert clipped.tolist() == [0.0, 0.5, 30.0, 80.0, 80.0, 0.0, 0.0]


def test_gaps_are_filled_and_estimates_kept():
    depth = torch.tensor([0.0, 3.0, NAN, INF])
    filled = fill_gaps(depth, torch.tensor([7.0, 7.0, 8.0, 9.0]))
    assert filled.tolist() == [7.0, 3.0, 8.0, 9.0]


def test_sky_is_as_far_as_can_be():
    depth = torch.tensor([[5.0, 6.0], [0.0, 7.0]])
    is_sky = torch.tensor([[True, False], [True, False]])
    assert sky_to_max(depth, is_sky, 80.0).tolist() == [[80.0, 6.0], [80.0, 7.0]]
    assert depth[0, 0] == 5.0  # not in place
