"""Stacked ground truth: one sample per frame, shares of grid cells, what vanishes."""

import pytest
import torch

from dvps_d2.losses import FrameTargets
from dvps_d2.structures import ClipTargets
from dvps_d2.testing import draw_targets

ROAD, CAR = 0, 1
CLASSES = {"R": ROAD, "C": CAR}

# Frame 0 shows road and a car of one pixel, frame 1 the road alone.
TWO_FRAMES = ["RRRR RRRC", "RRRR RRRR"]


def test_every_frame_is_a_sample_with_the_segments_it_shows():
    targets = FrameTargets.from_clips([draw_targets(TWO_FRAMES, CLASSES)])
    assert targets.class_ids.tolist() == [[CAR, ROAD], [CAR, ROAD]]
    assert targets.present.tolist() == [[True, True], [False, True]]
    assert targets.areas.tolist() == [[1, 7], [0, 8]]
    assert targets.count() == 3
    assert targets.count(per_clip=True) == 2
    assert targets.num_frames == 2


def test_absent_segments_can_be_kept_as_empty_masks():
    targets = FrameTargets.from_clips([draw_targets(TWO_FRAMES, CLASSES)], keep_absent=True)
    assert targets.present.all()
    assert targets.visible((2, 4), min_cells=0.3).all()
    assert targets.count() == 4


def test_clips_with_fewer_segments_are_padded():
    one = draw_targets(["RR RR"], {"R": ROAD})
    two = draw_targets(["RC RR"], CLASSES)
    none = draw_targets([".. .."], {})
    targets = FrameTargets.from_clips([one, two, none], keep_absent=True)
    assert targets.present.tolist() == [[True, False], [True, True], [False, False]]
    assert not targets.masks[0, 1].any()
    assert not targets.masks[2].any()


def test_cells_hold_the_share_that_a_segment_covers():
    # 2 x 4 pixels on a 1 x 2 grid: each cell is 2 x 2 pixels.
    targets = FrameTargets.from_clips([draw_targets(["RRRC RRRR"], CLASSES)])
    car, road = targets.soft_masks((1, 2))[0]
    assert car.tolist() == [[0.0, 0.25]]
    assert road.tolist() == [[1.0, 0.75]]


def test_shares_on_a_grid_that_does_not_divide_the_frame():
    # 1 x 3 pixels on a 1 x 2 grid: the middle pixel belongs to both cells.
    targets = FrameTargets.from_clips([draw_targets(["RRC"], CLASSES)])
    assert targets.soft_masks((1, 2))[0].tolist() == [[[0.0, 0.5]], [[1.0, 0.5]]]


@pytest.mark.parametrize(
    ("min_cells", "expected"),
    [
        pytest.param(0.25, [True, True], id="a quarter of a cell is enough"),
        pytest.param(0.3, [False, True], id="the car is smaller than that"),
    ],
)
def test_segments_vanish_on_coarse_grids(min_cells, expected):
    targets = FrameTargets.from_clips([draw_targets(["RRRC RRRR"], CLASSES)])
    assert targets.visible((1, 2), min_cells)[0].tolist() == expected


def test_owner_and_depth_are_those_of_the_cell_centre():
    depth = torch.arange(1.0, 9).view(1, 2, 4)
    targets = FrameTargets.from_clips([draw_targets(["RRR. RRRC"], CLASSES, depth)])
    assert targets.owner((2, 4))[0].tolist() == [[1, 1, 1, -1], [1, 1, 1, 0]]
    # On the 1 x 2 grid the centres fall on pixels (1, 1) and (1, 3).
    assert targets.owner((1, 2))[0].tolist() == [[1, 0]]
    assert targets.depth_at((1, 2))[0].tolist() == [[6.0, 8.0]]


def test_frames_without_any_segment():
    targets = FrameTargets.from_clips([draw_targets([".. .."], {})])
    assert targets.soft_masks((1, 1)).shape == (1, 0, 1, 1)
    assert targets.owner((2, 2)).tolist() == [[[-1, -1], [-1, -1]]]
    assert targets.count() == 0


def test_what_is_stacked_stays():
    targets = FrameTargets.from_clips([draw_targets(TWO_FRAMES, CLASSES)], keep_absent=True)
    assert FrameTargets.of(targets) is targets


def test_clips_of_one_batch_must_be_alike():
    one, two = draw_targets(["RR"], {"R": ROAD}), draw_targets(["RRR"], {"R": ROAD})
    with pytest.raises(
        ValueError, match=r"must share \(T, H, W\), got \[\(1, 1, 2\), \(1, 1, 3\)\]"
    ):
        FrameTargets.from_clips([one, two])
    deep = ClipTargets(one.class_ids, one.track_ids, one.masks, torch.ones(1, 1, 2))
    with pytest.raises(ValueError, match="depth is given for 1 of 2 clips"):
        FrameTargets.from_clips([one, deep])
    with pytest.raises(ValueError, match="at least one clip"):
        FrameTargets.from_clips([])
