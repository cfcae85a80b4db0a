"""TC on a 4 x 4 drawing; the numbers are those of the published script's functions."""

from __future__ import annotations

import numpy as np
import pytest

from dvps_d2.metrics import ConsistencyCounts, count_consistency

NOW = np.array([[10] * 4, [0, 13, 13, 0], [0, 13, 13, 0], [0] * 4])
NEXT = np.array([[10] * 4, [0, 0, 13, 13], [0, 0, 13, 13], [0] * 4])


def moved(dx, dy=0.0):
    return np.broadcast_to(np.array([dx, dy]), (4, 4, 2))


@pytest.mark.parametrize(
    ("dx", "expected"),
    [
        pytest.param(1, 12.7193, id="the true flow"),
        pytest.param(0, 10.1754, id="no flow"),
        pytest.param(0.5, 10.9649, id="half a pixel invents class 6"),
    ],
)
def test_bilinear_warp_gives_the_published_numbers(dx, expected):
    counts = count_consistency(NOW, NEXT, moved(dx), 19, warp="bilinear")
    assert round(100 * counts.score(), 4) == expected


def test_mean_over_classes_that_occur():
    counts = count_consistency(NOW, NEXT, moved(1), 19)
    # road 6/8, sky 4/4, car 4/6
    assert counts.score(absent_as_zero=False) == pytest.approx((6 / 8 + 1 + 4 / 6) / 3)


def test_nearest_warp_invents_no_class():
    counts = count_consistency(NOW, NEXT, moved(0.4), 19)
    assert sorted(np.flatnonzero(counts.union)) == [0, 10, 13]


def test_ignored_pixels_count_nowhere():
    blind = np.where(NEXT == 13, 255, NEXT)
    counts = count_consistency(NOW, blind, moved(0), 19)
    # Two of NOW's four car pixels face ignored ones; the other two face road, beside 6 of road.
    assert counts.union[13] == 2
    assert (counts.common[0], counts.union[0]) == (6, 8)


def test_counts_add_over_pairs():
    pair = count_consistency(NOW, NEXT, moved(1), 19)
    twice = ConsistencyCounts.zeros(19) + pair + pair
    assert twice.score() == pytest.approx(pair.score())
    assert twice.union.sum() == 2 * pair.union.sum()


def test_nothing_counted_is_not_a_number():
    assert np.isnan(ConsistencyCounts.zeros(3).score(absent_as_zero=False))


def test_sizes_and_warp_are_checked():
    with pytest.raises(ValueError, match=r"flow \(3, 4, 2\)"):
        count_consistency(NOW, NEXT, np.zeros((3, 4, 2)), 19)
    with pytest.raises(ValueError, match="'cubic'"):
        count_consistency(NOW, NEXT, moved(0), 19, warp="cubic")
