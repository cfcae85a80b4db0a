import numpy as np
import pytest

from dvps_d2.visualize import DepthScale, draw_depth, draw_scale_bar
from dvps_d2.visualize.depth import HATCH
from dvps_d2.visualize.palette import rgb_to_oklab


def test_scale_is_logarithmic_and_ends_at_near_and_far():
    scale = DepthScale(near=2, far=32)
    assert scale.place(np.array([1, 2, 8, 32, 99])).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert scale.ticks() == [2, 5, 10, 20, 32]


def test_near_is_brighter_than_far_all_the_way():
    drawn = draw_depth(np.geomspace(3, 80, 64, dtype=np.float32)[None])
    lightness = rgb_to_oklab(drawn[0])[:, 0]
    assert (np.diff(lightness) < 0.004).all()
    assert lightness[0] > 0.9
    assert lightness[-1] < 0.4


def test_no_depth_is_hatched_grey():
    metres = np.full((20, 20), 10, np.float32)
    metres[:, 10:] = 0
    metres[0, 0], metres[1, 0] = np.nan, np.inf
    drawn = draw_depth(metres)
    grey = {HATCH[0], HATCH[1]}
    assert {tuple(c) for c in drawn[:, 10:].reshape(-1, 3).tolist()} == grey
    assert tuple(drawn[0, 0].tolist()) in grey
    assert tuple(drawn[1, 0].tolist()) in grey
    assert tuple(drawn[5, 5].tolist()) not in grey


def test_scale_bar_runs_from_near_to_far_colours():
    scale = DepthScale(near=1, far=100)
    bar = draw_scale_bar(300, scale)
    assert bar.shape == (34, 300, 3)
    ends = draw_depth(np.array([[1.0, 100.0]]), scale)
    assert bar[0, 0].tolist() == ends[0, 0].tolist()
    assert bar[0, -1].tolist() == ends[0, 1].tolist()
    assert bar[25:].max() == 255  # numbers below


def test_impossible_scale_is_refused():
    with pytest.raises(ValueError, match="0 < near < far"):
        DepthScale(near=5, far=5)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        draw_depth(np.zeros((1, 2, 3)))
