"""Numbers that the published evaluation scripts give on the drawing of conftest.py.

Each was computed once with the script that the test names and is written here to all its digits.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from dvps_d2.metrics import (
    ClassSet,
    VideoCounter,
    depth_measures,
    empty_counts,
    get_protocol,
    summarize,
)

FIRST, SECOND = 0, 1


def score(toy, protocol, videos, draw=None, classes=None, scale=1, depths=None):
    """Score videos given as lists of frame numbers of the drawing."""
    classes = classes or toy.classes
    total = empty_counts(protocol, classes)
    for video in videos:
        counter = VideoCounter(protocol, classes)
        for position, frame in enumerate(video):
            if draw is None:
                truth, pred = (toy.draw(side[frame], scale) for side in (toy.truth, toy.pred))
            else:
                truth, pred = draw(toy.truth[frame]), draw(toy.pred[frame])
            depth = {} if depths is None else depths(position)
            counter.count(truth, pred, **depth)
        total = total + counter.counts()
    return summarize(total, protocol, classes)


def groups(values, digits):
    """All, things, stuff in percent."""
    picked = [values[g]["pq"] if isinstance(values[g], dict) else values[g] for g in GROUPS]
    return tuple(round(100 * v, digits) for v in picked)


GROUPS = ("all", "things", "stuff")


@pytest.mark.parametrize("listed", [True, False], ids=["segment lists", "coded ids"])
def test_cityscapes_vps_one_short_video(toy, listed):
    protocol = get_protocol("cityscapes_vps")
    result = score(toy, protocol, [[0, 1]], toy.draw_listed if listed else None)["vpq"]
    assert groups(result["1"], 4) == (92.5, 100.0, 88.75)
    assert groups(result["2"], 3) == (58.333, 0.0, 87.5)
    per_class = result["1"]["per_class"]
    assert per_class[str(toy.road)]["pq"] == pytest.approx(0.9)
    assert per_class[str(toy.sky)]["pq"] == pytest.approx(0.875)
    assert per_class[str(toy.car)]["pq"] == pytest.approx(1.0)
    assert result["2"]["per_class"][str(toy.car)]["fn"] == 2
    assert result["2"]["per_class"][str(toy.car)]["fp"] == 2
    assert result["2"]["without_tp"] == ["13"]
    assert result["3"]["all"]["pq"] is None
    assert "no tube" in result["3"]["all"]["reason"]


def test_pq_on_two_images(toy):
    """panopticapi's numbers."""
    result = score(toy, get_protocol("pq"), [[0], [1]], toy.draw_listed)["vpq"]
    assert groups(result["mean"], 4) == (92.5, 100.0, 88.75)


@pytest.mark.parametrize("as_published", [True, False])
def test_cityscapes_vps_two_videos_of_six_frames(toy, as_published):
    protocol = get_protocol("cityscapes_vps", as_published=as_published)
    result = score(toy, protocol, [[0, 1] * 3] * 2, toy.draw_listed)["vpq"]
    assert groups(result["1"], 4) == (92.5, 100.0, 88.75)
    assert groups(result["2"], 4) == (58.3333, 0.0, 87.5)
    assert groups(result["3"], 4) == (67.3096, 26.6667, 87.6311)
    assert groups(result["4"], 4) == (58.3333, 0.0, 87.5)
    assert groups(result["mean"], 4) == (69.1191, 31.6667, 87.8453)


def test_viper_skips_small_truth(toy):
    protocol = get_protocol("viper", windows=(1, 2))
    result = score(toy, protocol, [[0, 1]], scale=16)["vpq"]
    assert groups(result["1"], 4) == (75.5159, 85.7143, 70.4167)
    assert groups(result["2"], 4) == (58.3333, 0.0, 87.5)
    car = result["1"]["per_class"][str(toy.car)]
    assert (car["tp"], car["fp"], car["fn"]) == (3, 1, 0)


VIPSEG_VIDEOS = [[0, 1], [0, 1, 0, 1, 0, 1, 0, 1, 0]]


def test_vipseg_default_windows(toy):
    result = score(toy, get_protocol("vipseg"), VIPSEG_VIDEOS, toy.draw_listed)["vpq"]
    assert groups(result["1"], 4) == (93.1818, 100.0, 89.7727)
    for length in ("2", "4", "6"):
        assert groups(result[length], 4) == (58.3333, 0.0, 87.5)
    assert groups(result["mean"], 4)[0] == 67.0455


def test_vipseg_as_published_averages_five_windows(toy):
    """The first listed truth segment of a video is the sky, so STQ is not affected by it."""
    protocol = get_protocol("vipseg", as_published=True)
    result = score(toy, protocol, VIPSEG_VIDEOS, toy.draw_listed)
    assert groups(result["vpq"]["mean"], 4) == (65.303, 20.0, 87.9545)


def cars_first(toy):
    """Segment lists whose first entry is car A: it is drawn in, then the order is changed."""

    def draw(text):
        label = toy.draw_listed(text)
        listing = label.meaning
        order = np.argsort(listing.class_ids != toy.car, kind="stable")
        listing = type(listing)(listing.ids[order], listing.class_ids[order], listing.crowd[order])
        return type(label)(label.ids, listing)

    return draw


def test_vipseg_stq_as_published_takes_the_first_listed_car_for_a_crowd(toy):
    protocol = get_protocol("vipseg", as_published=True)
    stq = score(toy, protocol, VIPSEG_VIDEOS, cars_first(toy))["stq"]
    got = [round(stq[name], 6) for name in ("stq", "aq", "sq")]
    assert got == [0.680445, 0.501435, 0.923362]


def toy_depth(position):
    """10 m everywhere but the sky row; 12 m at one pixel of frame 1, 9 m at one of the others."""
    truth = np.full((4, 4), 10.0, np.float32)
    truth[0] = 0
    pred = np.full((4, 4), 10.0, np.float32)
    if position == 0:
        pred[1, 0] = 12
    else:
        pred[3, 3] = 9
    return {"truth_depth": truth, "pred_depth": pred}


def test_cityscapes_dvps(toy):
    protocol = get_protocol("cityscapes_dvps", lambdas=(0.0, 0.5, 0.25, 0.1))
    result = score(toy, protocol, [[0, 1, 1, 1, 1, 1]], depths=toy_depth)

    def pq(lambda_, length):
        per_class = result["dvpq"][lambda_][length]["per_class"]
        return [round(per_class[str(c)]["pq"], 4) for c in (toy.road, toy.sky, toy.car)]

    for lambda_ in ("0", "0.5", "0.25"):
        assert pq(lambda_, "1") == [0.8333, 0.7917, 1.0]
    # 9 m against 10 m is an error of exactly 0.1, which is not above lambda = 0.1.
    assert pq("0.1", "1") == [0.8333, 0.7917, 0.9792]
    assert pq("0", "2") == pq("0.1", "2") == [0.815, 0.775, 0.8]
    assert groups(result["dvpq"]["0"]["1"], 4)[0] == 13.8158
    assert groups(result["dvpq"]["0.1"]["1"], 4)[0] == 13.7061
    assert groups(result["dvpq"]["0"]["2"], 4)[0] == 12.5789
    assert result["dvpq"]["0"] == result["vpq"]
    car = result["dvpq"]["0"]["2"]["per_class"][str(toy.car)]
    assert (car["tp"], car["fn"], car["fp"]) == (8, 2, 2)
    assert result["depth"]["abs_rel"] == pytest.approx((0.2 + 5 * 0.1) / 12 / 6)


def test_cityscapes_dvps_abs_rel(toy):
    """One value over all pixels of the sequence, as the paper's script takes it."""
    protocol = get_protocol("cityscapes_dvps", as_published=True)
    result = score(toy, protocol, [[0, 1, 1, 1, 1, 1]], depths=toy_depth)
    assert round(result["depth"]["abs_rel"], 6) == 0.009722


def test_cityscapes_dvps_as_published_has_no_mean_when_a_class_is_missing(toy):
    protocol = get_protocol("cityscapes_dvps", as_published=True)
    result = score(toy, protocol, [[0, 1, 1, 1, 1, 1]], depths=toy_depth)
    cell = result["dvpq"]["0.5"]["1"]
    assert cell["all"]["pq"] is None
    assert "0 by 0" in cell["all"]["reason"]
    assert round(cell["per_class"][str(toy.road)]["pq"], 4) == 0.8333


def test_cityscapes_dvps_as_published_with_wrapping_depth(toy):
    """What the script gives with Pillow >= 10.3: every under-estimate looks enormous."""
    protocol = get_protocol("cityscapes_dvps", as_published=True, wrap_depth=True)
    result = score(toy, protocol, [[0, 1, 1, 1, 1, 1]], depths=toy_depth)
    per_class = result["dvpq"]["0.5"]["1"]["per_class"]
    got = [round(per_class[str(c)]["pq"], 4) for c in (toy.road, toy.sky, toy.car)]
    assert got == [0.6667, 0.7917, 1.0]
    assert round(result["depth"]["abs_rel"], 4) == 1.7736


POLYPHONIC = {"lambdas": (0.0, 0.1), "windows": (1, 2)}


def test_dvpq_of_two_frames_over_all_classes(toy):
    """The same numbers as PolyphonicFormer's evaluation, which counts absent classes as 0."""
    protocol = get_protocol("cityscapes_dvps", **POLYPHONIC)
    result = score(toy, protocol, [[0, 1]], depths=toy_depth)["dvpq"]
    assert groups(result["0"]["1"], 4) == (14.6053, 12.5, 16.1364)
    assert groups(result["0.1"]["1"], 4) == (14.2763, 11.7188, 16.1364)
    assert groups(result["0"]["2"], 4) == (9.2105, 0.0, 15.9091)


def stq_of(toy, videos, **changes):
    return score(toy, get_protocol("kitti_step", **changes), videos)["stq"]


def test_stq(toy):
    stq = stq_of(toy, [[0, 1]])
    assert [round(stq[name], 6) for name in ("aq", "sq", "stq")] == [0.324134, 0.916667, 0.54509]


def test_stq_of_two_videos_of_one_frame(toy):
    stq = stq_of(toy, [[0], [1]])
    assert [round(stq[name], 6) for name in ("aq", "sq", "stq")] == [0.9375, 0.916667, 0.927025]
    first, second = stq_of(toy, [[0]]), stq_of(toy, [[1]])
    assert (first["aq"], second["aq"]) == (1.0, 0.875)
    assert (first["sq"], round(second["sq"], 6)) == (1.0, 0.85)


@pytest.mark.parametrize(
    ("as_published", "expected"),
    [
        pytest.param(True, [0.65625, 0.461208], id="predicted void is one more class"),
        pytest.param(False, [0.875, 0.532557], id="predicted void is no class"),
    ],
)
def test_stq_with_a_void_pixel_in_the_prediction(toy, as_published, expected):
    toy.pred = ("SSS./aabb/aabb/RRRR", toy.pred[1])
    stq = score(toy, get_protocol("kitti_step", as_published=as_published), [[0, 1]])["stq"]
    assert [round(stq[name], 6) for name in ("sq", "stq")] == expected


def test_stq_with_instance_0_as_crowd(toy, monkeypatch):
    monkeypatch.setitem(toy.draw.__globals__["MEANING"], "A", (toy.car, 0))
    stq = stq_of(toy, [[0, 1]])
    assert [round(stq[name], 6) for name in ("aq", "stq")] == [0.487245, 0.668312]


def test_dstq(toy):
    protocol = get_protocol("kitti_step", metrics=("stq", "dstq"))
    dstq = score(toy, protocol, [[0, 1]], depths=toy_depth)["dstq"]
    assert dstq["dq"]["1.25"] == 1.0
    assert [round(v, 6) for v in (dstq["dq"]["1.1"], dstq["dstq"])] == [0.916667, 0.657679]


# Ground truth and prediction in metres, then what PolyphonicFormer's and deeplab2's functions give.
FRAME_1 = (
    [[0, 10, 10, 20], [5, 5, 40, 40], [10, 10, 10, 10], [2, 4, 8, 16]],
    [[3, 11, 9, 20], [5, 6, 40, 60], [10, 10, 15, 8], [2, 4, 10, 16]],
)
FRAME_2 = ([[0] * 4] + [[10] * 4] * 3, [[11] * 4] * 4)
EXPECTED_1 = [0.123333, 0.92, 5.391351, 0.179224, 0.733333, 1.0, 1.0, 16.680735, 0.044167]
EXPECTED_2 = [0.1, 0.1, 1.0, 0.09531, 1.0, 1.0, 1.0, 0.0, 0.01]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(FRAME_1, EXPECTED_1, id="varied"),
        pytest.param(FRAME_2, EXPECTED_2, id="constant error: silog is 0, not nan"),
    ],
)
@pytest.mark.parametrize(
    ("dtype", "per_metre"), [(np.float32, 1), (np.float64, 1), (np.int64, 1), (np.uint16, 256)]
)
def test_depth_measures(frame, expected, dtype, per_metre):
    truth, pred = (np.array(rows, dtype) * dtype(per_metre) for rows in frame)
    values = depth_measures(pred, truth)
    # The script's silog is in float32, so its last digit differs from that of float64.
    assert list(values.values()) == pytest.approx(expected, abs=1e-6)


def test_depth_measures_average_over_images(toy):
    protocol = get_protocol("cityscapes_dvps", metrics=("depth",))
    counter = VideoCounter(protocol, ClassSet.numbered(19, ()))
    for truth, pred in (FRAME_1, FRAME_2):
        counter.count(
            toy.draw(toy.truth[0]),
            toy.draw(toy.pred[0]),
            truth_depth=np.array(truth, np.float64),
            pred_depth=np.array(pred, np.float64),
        )
    depth = summarize(counter.counts(), protocol, toy.classes)["depth"]
    expected = [0.111667, 0.51, 3.195676, 0.137267, 0.866667, 1.0, 1.0, 8.340367, 0.027083]
    assert [round(v, 6) for v in list(depth.values())[:9]] == expected
    assert math.isfinite(depth["silog"])
