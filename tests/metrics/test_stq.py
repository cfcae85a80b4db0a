"""STQ on one-row drawings."""

from __future__ import annotations

import numpy as np
import pytest

from dvps_d2.metrics import ClassSet, StqCounts, VideoCounter, get_protocol, joint_map, summarize

ROAD, SKY, CAR, BUS = range(4)
CLASSES = ClassSet(("road", "sky", "car", "bus"), thing_ids=(CAR, BUS))
# letter -> class, track; G is a group of cars that were not told apart.
LETTERS = {
    ".": (255, 0),
    "r": (ROAD, 0),
    "s": (SKY, 0),
    "G": (CAR, 0),
    "a": (CAR, 1),
    "b": (CAR, 2),
    "A": (BUS, 1),
}


def drawn(text):
    cells = np.array([[LETTERS[c] for c in text]])
    return joint_map(cells[..., 0], cells[..., 1])


def counted(*videos, **changes):
    """STQ counts of videos given as lists of (truth, prediction)."""
    protocol = get_protocol("kitti_step", **changes)
    total = None
    for frames in videos:
        counter = VideoCounter(protocol, CLASSES)
        for truth, pred in frames:
            counter.count(drawn(truth), drawn(pred))
        total = counter.counts() if total is None else total + counter.counts()
    return total, protocol


def stq(*videos, **changes):
    total, protocol = counted(*videos, **changes)
    return summarize(total, protocol, CLASSES)["stq"]


def test_the_same_is_1():
    assert [stq([("raab", "raab")])[k] for k in ("stq", "aq", "sq")] == [1, 1, 1]


def test_numbers_need_not_agree_but_must_stay():
    assert stq([("aa", "bb"), ("aa", "bb")])["aq"] == 1
    # 2 px with each of two tubes: (2 * 2/4 + 2 * 2/4) / 4.
    assert stq([("aa", "aa"), ("aa", "bb")])["aq"] == pytest.approx(0.5)


def test_order_of_frames_does_not_matter():
    frames = [("aar", "aab"), ("rab", "rbb"), ("aaa", "rab")]
    assert stq(frames) == stq(frames[::-1])


def test_a_tube_of_the_wrong_class_still_associates():
    scores = stq([("aaaa", "AAAA")])
    assert (scores["aq"], scores["sq"], scores["stq"]) == (1, 0, 0)
    assert scores["without_tp"] == ["car", "bus"]


def test_the_class_is_part_of_a_predicted_id():
    # Bus 1 and car 1 are two tubes of two pixels each: (2 * 2/4 + 2 * 2/4) / 4.
    assert stq([("aaaa", "aaAA")])["aq"] == pytest.approx(0.5)


def test_predictions_on_stuff_and_void_enlarge_their_tube():
    assert stq([("aarr", "aaar")])["aq"] == pytest.approx(2 / 3)
    assert stq([("aa.r", "aaar")])["aq"] == pytest.approx(2 / 3)
    assert stq([("aa.r", "aaar")], drop_void=True)["aq"] == 1


def test_crowd_is_left_out_of_the_association_on_both_sides():
    scores = stq([("aaGGr", "aaaar")])
    assert (scores["aq"], scores["tubes"]) == (1, 1)
    assert scores["sq"] == 1  # but its class counts


def test_a_predicted_instance_0_is_a_tube_like_any_other():
    assert stq([("aaaa", "GGGG")])["aq"] == 1


def test_a_missed_object_counts_0():
    assert stq([("aabb", "aarr")])["aq"] == pytest.approx(1 / 2)


def test_objects_of_all_videos_weigh_the_same():
    one, two = [("aabb", "aabb")], [("aaaa", "rrrr")]
    assert stq(one, two)["aq"] == pytest.approx(2 / 3)


def test_tracks_do_not_run_on_into_another_video():
    assert stq([("aa", "aa")], [("aa", "bb")])["aq"] == 1


def test_truth_void_costs_nothing_in_sq():
    assert stq([("rr..", "rrss")])["sq"] == 1


def test_predicted_void_lowers_its_class_and_as_published_adds_one():
    assert stq([("rrrr", "rrr.")])["sq"] == pytest.approx(3 / 4)
    assert stq([("rrrr", "rrr.")], void_column=True)["sq"] == pytest.approx(3 / 8)


def test_sq_is_over_classes_that_occur_on_either_side():
    # road 3/4, sky 0/1
    assert stq([("rrrr", "rrrs")])["sq"] == pytest.approx(3 / 8)


def test_first_listed_truth_can_be_taken_for_a_crowd():
    assert stq([("ab", "aa")], first_id_is_crowd=True)["tubes"] == 1
    assert stq([("ra", "aa")], first_id_is_crowd=True)["tubes"] == 1  # road comes first: no effect


def test_nothing_to_score_gives_reasons():
    scores = stq([("rrrr", "rrrr")])
    assert (scores["aq"], scores["stq"], scores["sq"]) == (None, None, 1)
    assert "no object" in scores["reason"]
    scores = stq([("....", "aaaa")])
    assert scores["sq"] is None
    assert "no labelled pixel" in scores["reason"]


def test_many_frames_keep_only_distinct_pairs():
    """The sums are merged on the way; 100 frames give the same as their total."""
    scores = stq([("aabb", "aabr")] * 100)
    # b: 100 of 200 px are found by a tube of 100: 100 / 200 * 100 / 200.
    assert scores["aq"] == pytest.approx((1 + 1 / 4) / 2)


def test_counts_add():
    total, _ = counted([("ar", "ar")], [("br", "rr")])
    assert (total.stq.tubes, total.videos, total.frames) == (2, 2, 2)
    zero = StqCounts.zeros(len(CLASSES))
    assert (zero + total.stq).truth.tolist() == total.stq.truth.tolist()
    assert np.isnan(zero.scores()).all()
