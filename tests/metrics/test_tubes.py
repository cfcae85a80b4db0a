"""Rules of tube matching, one drawing each."""

from __future__ import annotations

import numpy as np
import pytest

from dvps_d2.metrics import (
    ClassSet,
    LabelMap,
    Listing,
    VideoCounter,
    WindowCounter,
    error_levels,
    get_protocol,
    joint_map,
    summarize,
)
from dvps_d2.metrics.tables import Coding, frame_table

STUFF, CAR, BUS = 0, 1, 2
CLASSES = ClassSet(("stuff", "car", "bus"), thing_ids=(CAR, BUS))
# Lower case and upper case are different objects of one class; c, d: cars, u: bus, s: stuff.
CLASS_OF = {"s": STUFF, "c": CAR, "d": CAR, "e": CAR, "u": BUS}
PLAIN = get_protocol("cityscapes_vps", windows=(1,))


def drawn(text, crowd="", classes=None, **options):
    """A label map of one row or more; ids are letters, ``classes`` overrides their class."""
    rows = text.split("/")
    ids = np.array([[0 if c == "." else ord(c) for c in row] for row in rows])
    table = CLASS_OF | (classes or {})
    info = [
        {"id": ord(c), "category_id": table[c], "iscrowd": int(c in crowd)}
        for c in dict.fromkeys(text)
        if c not in "./"
    ]
    return LabelMap(ids, Listing.from_info(info, **options))


def count(frames, protocol=PLAIN, crowd="", pred_classes=None, truth_classes=None):
    """Matches over frames of (truth, prediction), (windows, settings, K)."""
    counter = VideoCounter(protocol, CLASSES)
    for position, (truth, pred) in enumerate(frames):
        counter.count(
            drawn(truth, crowd, (truth_classes or [{}] * len(frames))[position]),
            drawn(pred, classes=(pred_classes or [{}] * len(frames))[position]),
        )
    return counter.counts().tubes


def matches(truth, pred, class_id=CAR, **options):
    """(tp, fp, fn) of one class in one frame."""
    counts = count([(truth, pred)], **options)[0, 0]
    return tuple(int(values[class_id]) for values in (counts.tp, counts.fp, counts.fn))


@pytest.mark.parametrize(
    ("truth", "pred", "expected"),
    [
        pytest.param("....", "....", (0, 0, 0), id="nothing anywhere"),
        pytest.param("cccc", "....", (0, 0, 1), id="nothing predicted"),
        pytest.param("ssss", "cccc", (0, 1, 0), id="nothing there"),
        pytest.param("cccc", "cccc", (1, 0, 0), id="the same"),
        pytest.param("cccc", "dddd", (1, 0, 0), id="ids need not agree"),
        pytest.param("cccc", "uuuu", (0, 0, 1), id="classes must agree"),
        pytest.param("ccss", "cccs", (1, 0, 0), id="2 of 3 is above one half"),
        pytest.param("cccs", "sccc", (0, 1, 1), id="2 of 4 is not above one half"),
        pytest.param("ccdd", "cccc", (0, 1, 2), id="half of each of two"),
        pytest.param("ccds", "cccs", (1, 0, 1), id="2 of 3 of one, none of the other"),
    ],
)
def test_matching(truth, pred, expected):
    assert matches(truth, pred) == expected


def test_void_of_the_truth_leaves_the_union():
    # Intersection 2, prediction 4 of which 2 on void: IoU = 2 / (4 + 2 - 2 - 2) = 1.
    counts = count([("cc..", "cccc")])[0, 0]
    assert (counts.tp[CAR], counts.iou[CAR]) == (1, 1.0)


def test_void_of_the_prediction_does_not_leave_the_union():
    counts = count([("cccc", "ccc.")])[0, 0]
    assert (counts.tp[CAR], counts.iou[CAR]) == (1, 0.75)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        pytest.param("...s", 0, id="3 of 4 on void"),
        pytest.param("..ss", 1, id="2 of 4 on void is not above one half"),
        pytest.param("..ds", 0, id="2 on void and 1 on crowd"),
        pytest.param("dd.s", 0, id="1 on void and 2 on crowd"),
        pytest.param("ddds", 0, id="3 of 4 on crowd"),
        pytest.param("ddss", 1, id="2 of 4 on crowd"),
    ],
)
def test_false_positive_on_void_or_crowd_is_excused(truth, expected):
    assert matches(truth, "cccc", crowd="d")[1] == expected


def test_crowd_is_neither_matched_nor_missed_and_excuses_its_class_only():
    assert matches("dddd", "dddd", crowd="d") == (0, 0, 0)
    assert matches("dddd", "uuuu", class_id=BUS, crowd="d") == (0, 1, 0)


def test_crowd_does_not_leave_the_union():
    # Intersection 2, union 2 + 4 - 2 = 4: no match, unlike with void.
    assert matches("ccdd", "cccc", crowd="d") == (0, 1, 1)


@pytest.mark.parametrize(("last_only", "expected"), [(False, 0), (True, 1)])
def test_two_crowds_of_a_class(last_only, expected):
    """3 of 4 predicted pixels lie on crowd, of which the script sees 1: the last listed."""
    protocol = get_protocol("cityscapes_vps", windows=(1,), last_crowd_only=last_only)
    assert matches("ddes", "cccc", protocol=protocol, crowd="de")[1] == expected


def test_the_last_listed_crowd_of_a_window_is_that_of_the_newest_id():
    """In the window d is listed first, e only in the second frame; 2 + 4 of 8 px on e excuse."""
    protocol = get_protocol("cityscapes_vps", windows=(2,), last_crowd_only=True)
    frames = [("ddss", "cccc"), ("eeed", "cccc")]
    assert count(frames, protocol, crowd="de")[0, 0].fp[CAR] == 1
    frames = [("eedd", "cccc"), ("eees", "cccc")]
    # e, d are listed in frame 1 in this order: d is last, 2 of 8 px.
    assert count(frames, protocol, crowd="de")[0, 0].fp[CAR] == 1
    frames = [("ddee", "cccc"), ("eees", "cccc")]
    assert count(frames, protocol, crowd="de")[0, 0].fp[CAR] == 0  # e: 5 of 8 px


def test_a_tube_takes_the_class_of_its_first_frame():
    protocol = get_protocol("cityscapes_vps", windows=(1, 2))
    frames = [("cccc", "cccc"), ("cccc", "cccc")]
    changes = [{"c": CAR}, {"c": BUS}]
    counts = count(frames, protocol, pred_classes=changes)
    assert [counts[0, 0].tp[CAR], counts[0, 0].fp[BUS], counts[0, 0].fn[CAR]] == [1, 1, 1]
    assert [counts[1, 0].tp[CAR], counts[1, 0].fp[BUS]] == [1, 0]
    backwards = count(frames, protocol, pred_classes=changes[::-1])
    assert [backwards[1, 0].tp[CAR], backwards[1, 0].fp[BUS]] == [0, 1]


def test_an_id_that_returns_is_one_tube():
    protocol = get_protocol("cityscapes_vps", windows=(3,))
    counts = count([("cc..", "cc.."), ("ssss", "ssss"), ("..cc", "..cc")], protocol)[0, 0]
    assert (counts.tp[CAR], counts.iou[CAR]) == (1, 1.0)


def test_windows_slide_by_one_frame_and_stay_in_the_video():
    protocol = get_protocol("cityscapes_vps", windows=(1, 2, 3, 4))
    counts = count([("cccc", "cccc")] * 3, protocol)
    assert counts.tp[:, 0, CAR].tolist() == [3, 2, 1, 0]


def test_an_identity_switch_splits_the_tube():
    protocol = get_protocol("cityscapes_vps", windows=(1, 2))
    counts = count([("cccc", "cccc"), ("cccc", "dddd")], protocol)
    assert counts.tp[:, 0, CAR].tolist() == [2, 0]
    # Two halves of four of eight pixels: none above one half.
    assert (counts.fp[1, 0, CAR], counts.fn[1, 0, CAR]) == (2, 1)


@pytest.mark.parametrize(
    ("smallest", "expected"),
    [
        pytest.param(0, (0, 1, 1), id="no limit"),
        pytest.param(2, (0, 1, 1), id="exactly the limit is large enough"),
        pytest.param(3, (0, 1, 0), id="too small to be missed, still a false positive"),
    ],
)
def test_small_truth(smallest, expected):
    protocol = get_protocol("viper", windows=(1,), min_truth_pixels=smallest)
    assert matches("ccssss", "ssscss", protocol=protocol) == expected


def test_small_truth_is_measured_over_the_window():
    protocol = get_protocol("viper", windows=(1, 2), min_truth_pixels=3)
    counts = count([("ccss", "ccss")] * 2, protocol)
    assert counts.tp[:, 0, CAR].tolist() == [0, 1]
    assert counts.fp[:, 0, CAR].tolist() == [2, 0]


def test_the_1024_pixels_of_viper():
    def square(side):
        classes = np.zeros((40, 40), np.uint8)
        tracks = np.zeros((40, 40), np.int32)
        classes[:side, :32] = CAR
        tracks[:side, :32] = 1
        return joint_map(classes, tracks)

    def missed(side):
        counter = VideoCounter(get_protocol("viper", windows=(1,)), CLASSES)
        counter.count(square(side), square(0))
        return counter.counts().tubes.fn[0, 0, CAR]

    assert (missed(31), missed(32)) == (0, 1)


CODED = Coding(1000, (32,), (), (), 3)
SCRIPT = Coding(1000, (32,), (32,), (), 3)


def dvpq_counts(truth, pred, coding, levels=None, lambdas=(0.5,)):
    protocol = get_protocol("cityscapes_dvps", metrics=("dvpq",), lambdas=lambdas, windows=(1,))
    counter = WindowCounter(protocol, len(CLASSES))
    maps = [LabelMap(np.array([ids]), c) for ids, c in ((truth, coding), (pred, CODED))]
    if levels is None:
        levels = np.zeros((1, len(truth)), np.uint8)
    counter.add(frame_table(*maps, levels, len(protocol.thresholds) + 1))
    return counter.counts[0]


@pytest.mark.parametrize(
    ("void", "coding", "expected"),
    [
        pytest.param(32000, CODED, 1.0, id="void leaves the union"),
        pytest.param(32001, CODED, 1.0, id="void with an instance is void"),
        pytest.param(32000, SCRIPT, 1.0, id="script: void leaves the union"),
        pytest.param(32001, SCRIPT, 3 / 4, id="script: void with an instance does not"),
    ],
)
def test_void_with_an_instance(void, coding, expected):
    counts = dvpq_counts([1001, 1001, 1001, void], [1007] * 4, coding)[0]
    assert (counts.tp[CAR], counts.iou[CAR]) == (1, expected)


@pytest.mark.parametrize("coding", [CODED, SCRIPT])
def test_void_with_an_instance_excuses_in_both_modes(coding):
    counts = dvpq_counts([32001, 32002, 32003, 0], [1007] * 4, coding)[0]
    assert (counts.fp[CAR], counts.fn[CAR]) == (0, 0)


def test_pixels_of_wrong_depth_leave_the_prediction_and_not_the_truth():
    # 4 px of truth and prediction; 1 px is wrong at 0.1, 2 px at 0.25, 3 px at 0.5.
    levels = np.array([[3, 2, 1, 0]], np.uint8)
    counts = dvpq_counts([1001] * 4, [1007] * 4, CODED, levels, lambdas=(0, 0.1, 0.25, 0.5))
    # Kept: all, 1 px (level 0), 2 px (levels 0, 1), 3 px.
    assert counts.tp[:, CAR].tolist() == [1, 0, 0, 1]
    assert counts.iou[:, CAR].tolist() == [1.0, 0, 0, 0.75]
    assert counts.fn[:, CAR].tolist() == [0, 1, 1, 0]
    assert counts.fp[:, CAR].tolist() == [0, 1, 1, 0]


def test_a_prediction_without_any_right_depth_is_no_false_positive():
    counts = dvpq_counts([0] * 4, [1007] * 4, CODED, np.ones((1, 4), np.uint8))[0]
    assert counts.fp[CAR] == 0


def test_levels_and_thresholds_must_agree():
    counter = WindowCounter(get_protocol("cityscapes_dvps", lambdas=(0.5,)), len(CLASSES))
    label = joint_map(np.zeros((1, 2), int), np.zeros((1, 2), int))
    levels = error_levels(np.ones((1, 2)), np.ones((1, 2)), (0.1, 0.2))
    with pytest.raises(ValueError, match="3 depth-error levels but 1 thresholds need 2"):
        counter.add(frame_table(label, label, levels, 3))


def result_of(frames, **changes):
    protocol = get_protocol("cityscapes_vps", windows=(1,), **changes)
    counter = VideoCounter(protocol, CLASSES)
    for truth, pred in frames:
        counter.count(drawn(truth), drawn(pred))
    return summarize(counter.counts(), protocol, CLASSES)["vpq"]


def test_a_class_without_a_match_counts_0_and_is_named():
    cell = result_of([("ccuu", "cccc")])["1"]
    # car: 2 of 4 is no match either; bus is missed.
    assert (cell["all"]["pq"], cell["all"]["classes"]) == (0, 2)
    assert cell["without_tp"] == ["car", "bus"]


def test_the_mean_is_over_classes_that_occur_or_over_all():
    frames = [("ccss", "ccss")]
    assert result_of(frames)["1"]["all"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "classes": 2}
    everything = result_of(frames, mean_over="all")["1"]
    assert everything["all"]["pq"] == pytest.approx(2 / 3)
    assert everything["things"]["pq"] == pytest.approx(1 / 2)
    assert everything["without_tp"] == ["bus"]
    chosen = result_of(frames, eval_classes=(BUS, CAR))["1"]
    assert chosen["all"]["pq"] == pytest.approx(1 / 2)
    assert chosen["stuff"]["pq"] is None


def test_an_empty_group_has_no_mean_and_a_reason():
    cell = result_of([("ssss", "ssss")])["1"]
    assert cell["things"]["pq"] is None
    assert "no tube" in cell["things"]["reason"]
    assert cell["all"]["pq"] == 1.0


def test_all_void_has_no_mean_and_a_reason():
    vpq = result_of([("....", "....")])
    assert vpq["mean"]["all"] is None
    assert "all: undefined at 1" in vpq["mean"]["reason"]


def test_qualities_multiply():
    # cars: matches with IoU 2/3 and 1, one miss, no false positive.
    cell = result_of([("ccsdde", "cccdds")])["1"]
    car = cell["per_class"][str(CAR)]
    assert (car["tp"], car["fp"], car["fn"]) == (2, 0, 1)
    assert car["sq"] == pytest.approx((2 / 3 + 1) / 2)
    assert car["rq"] == pytest.approx(2 / 2.5)
    assert car["pq"] == pytest.approx(car["sq"] * car["rq"])
