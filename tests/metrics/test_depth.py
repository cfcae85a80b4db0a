"""Depth-error levels and depth measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dvps_d2.metrics import (
    ClassSet,
    VideoCounter,
    count_depth,
    depth_measures,
    error_levels,
    get_protocol,
    joint_map,
    summarize,
)
from dvps_d2.metrics.depth import resize_depth

THRESHOLDS = (0.1, 0.25, 0.5)


def levels(pred, truth, dtype=np.float64, **options):
    arrays = (np.array([values], dtype) for values in (pred, truth))
    return error_levels(*arrays, THRESHOLDS, **options)[0].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int32])
def test_levels_count_thresholds_that_are_exceeded(dtype):
    truth = [2560, 2560, 2560, 2560, 2560, 0]
    # Errors 0.1 exactly, just above, 0.25 exactly, 0.5 exactly, 1 (no depth), no truth.
    pred = [2304, 2303, 3200, 1280, 0, 9999]
    assert levels(pred, truth, dtype) == [0, 1, 1, 2, 3, 0]


def test_underestimates_do_not_wrap_unless_asked():
    assert levels([2559], [2560], np.uint16) == [0]
    assert levels([2559], [2560], np.uint16, wrap=True) == [3]
    assert levels([9.99], [10.0], wrap=True) == [3]
    assert levels([10.01], [10.0], wrap=True) == [0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0])
def test_a_depth_that_is_none_exceeds_everything(value):
    assert levels([value], [10.0]) == [3]
    assert levels([value], [0.0]) == [0]


def test_mixed_units_are_brought_to_metres():
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((1, 2), int), np.zeros((1, 2), int))
    protocol = get_protocol("cityscapes_dvps", windows=(1,), lambdas=(0.1,))
    counter = VideoCounter(protocol, classes)
    counter.count(
        label,
        label,
        truth_depth=np.array([[2560, 5120]], np.uint16),
        pred_depth=np.array([[10.0, 20.0]], np.float32),
    )
    result = summarize(counter.counts(), protocol, classes)
    assert result["dvpq"]["0.1"]["1"]["all"]["pq"] == 1.0
    assert result["depth"]["abs_rel"] == 0


def test_truth_can_be_clamped():
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((1, 1), int), np.zeros((1, 1), int))

    def abs_rel(max_depth):
        protocol = get_protocol("cityscapes_dvps", metrics=("depth",), max_depth=max_depth)
        counter = VideoCounter(protocol, classes)
        truth, pred = np.full((1, 1), 100.0), np.full((1, 1), 80.0)
        counter.count(label, label, truth_depth=truth, pred_depth=pred)
        return summarize(counter.counts(), protocol, classes)["depth"]["abs_rel"]

    assert (abs_rel(None), abs_rel(80.0)) == (pytest.approx(0.2), 0)


def test_delta_is_strict_and_the_inlier_ratio_is_not():
    truth, pred = np.array([[10.0]]), np.array([[8.0]])
    assert depth_measures(pred, truth)["delta1"] == 0
    assert count_depth(pred, truth, ratios=(1.25,)).inliers.tolist() == [1]


def test_missing_prediction_is_no_inlier_and_its_logarithm_is_undefined():
    truth, pred = np.array([[10.0, 10.0]]), np.array([[0.0, 10.0]])
    assert count_depth(pred, truth, ratios=(1.25,)).inliers.tolist() == [1]
    values = depth_measures(pred, truth)
    assert (values["abs_rel"], values["delta3"]) == (0.5, 0.5)
    assert not math.isfinite(values["rmse_log"])


def test_an_image_without_truth_is_skipped():
    protocol = get_protocol("cityscapes_dvps", metrics=("depth",))
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((1, 1), int), np.zeros((1, 1), int))
    counter = VideoCounter(protocol, classes)
    for truth in (0.0, 10.0):
        counter.count(
            label, label, truth_depth=np.full((1, 1), truth), pred_depth=np.full((1, 1), 11.0)
        )
    depth = summarize(counter.counts(), protocol, classes)["depth"]
    assert depth["abs_rel"] == pytest.approx(0.1)
    assert (depth["images"], depth["skipped"]) == (1, 1)


def test_no_truth_at_all_gives_a_reason():
    protocol = get_protocol("kitti_step", metrics=("dstq", "depth"))
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((1, 1), int), np.zeros((1, 1), int))
    counter = VideoCounter(protocol, classes)
    counter.count(label, label, truth_depth=np.zeros((1, 1)), pred_depth=np.ones((1, 1)))
    result = summarize(counter.counts(), protocol, classes)
    assert result["depth"]["abs_rel"] is None
    assert "no image" in result["depth"]["reason"]
    assert result["dstq"]["dstq"] is None
    assert "no pixel" in result["dstq"]["reason"]


def test_undefined_logarithm_gives_null_and_a_reason():
    protocol = get_protocol("cityscapes_dvps", metrics=("depth",))
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((1, 1), int), np.zeros((1, 1), int))
    counter = VideoCounter(protocol, classes)
    counter.count(label, label, truth_depth=np.ones((1, 1)), pred_depth=np.zeros((1, 1)))
    depth = summarize(counter.counts(), protocol, classes)["depth"]
    assert (depth["abs_rel"], depth["silog"]) == (1.0, None)
    assert "0 or negative" in depth["reason"]


def test_depth_is_asked_for_when_needed():
    counter = VideoCounter(get_protocol("cityscapes_dvps"), ClassSet(("road",), ()))
    label = joint_map(np.zeros((1, 1), int), np.zeros((1, 1), int))
    with pytest.raises(ValueError, match="truth_depth is missing"):
        counter.count(label, label)
    with pytest.raises(ValueError, match=r"pred_depth is \(2, 1\)"):
        counter.count(label, label, truth_depth=np.ones((1, 1)), pred_depth=np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"predicted depth is \(1,\)"):
        depth_measures(np.ones(1), np.ones(2))


def test_resizing_keeps_the_corners():
    small = np.array([[0.0, 4.0], [8.0, 12.0]])
    expected = [[0, 2, 4], [4, 6, 8], [8, 10, 12]]
    assert resize_depth(small, (3, 3)).tolist() == expected
    assert resize_depth(np.array(expected), (2, 2)).tolist() == small.tolist()
    assert resize_depth(small, (2, 2)).tolist() == small.tolist()


@pytest.mark.parametrize("resize", [True, False])
def test_depth_of_another_size_is_resized_only_when_the_protocol_says_so(resize):
    classes = ClassSet(("road",), ())
    label = joint_map(np.zeros((3, 3), int), np.zeros((3, 3), int))
    protocol = get_protocol("semkitti_dstq", metrics=("dstq",), resize_depth=resize)
    counter = VideoCounter(protocol, classes)
    truth, pred = np.full((3, 3), 2560, np.uint16), np.full((2, 2), 2560, np.uint16)
    if not resize:
        with pytest.raises(ValueError, match=r"pred_depth is \(2, 2\)"):
            counter.count(label, label, truth_depth=truth, pred_depth=pred)
        return
    counter.count(label, label, truth_depth=truth, pred_depth=pred)
    assert summarize(counter.counts(), protocol, classes)["dstq"]["dq"] == {"1.25": 1.0}
