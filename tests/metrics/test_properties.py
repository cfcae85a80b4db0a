"""What must hold for every drawing, with drawings chosen by hypothesis."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.detection import panoptic_quality

from dvps_d2.metrics import (
    ClassSet,
    VideoCounter,
    bootstrap,
    get_protocol,
    joint_map,
    summarize,
)

STUFF, THINGS = (0, 1), (2, 3)
CLASSES = ClassSet(("road", "sky", "car", "bus"), THINGS)
VOID = 255
# (class, track) of one pixel
PIXELS = [(VOID, 0), (0, 0), (1, 0), (2, 1), (2, 2), (2, 3), (3, 1), (3, 4)]
SIZE = (3, 4)
PROTOCOLS = {
    "vps": get_protocol("cityscapes_vps", metrics=("vpq", "stq")),
    "viper": get_protocol("viper", windows=(1, 2), min_truth_pixels=3, metrics=("vpq", "stq")),
    "dvps": get_protocol("cityscapes_dvps", metrics=("vpq", "dvpq", "stq", "depth")),
}

maps = st.lists(st.sampled_from(PIXELS), min_size=12, max_size=12).map(
    lambda cells: np.array(cells).reshape(*SIZE, 2)
)
depths = st.lists(st.sampled_from([0.0, 8.0, 9.0, 10.0, 14.0]), min_size=12, max_size=12).map(
    lambda values: np.array(values).reshape(SIZE)
)
frames = st.tuples(maps, maps, depths, depths)
videos = st.lists(frames, min_size=1, max_size=4)
datasets = st.lists(videos, min_size=1, max_size=3)


def count(video, protocol):
    counter = VideoCounter(protocol, CLASSES)
    for truth, pred, truth_depth, pred_depth in video:
        counter.count(
            joint_map(truth[..., 0], truth[..., 1]),
            joint_map(pred[..., 0], pred[..., 1]),
            truth_depth=truth_depth,
            pred_depth=pred_depth + 0.5,  # never 0
        )
    return counter.counts()


def score(dataset, protocol):
    counts = reduce(add, (count(video, protocol) for video in dataset))
    return summarize(counts, protocol, CLASSES)


def flat(value, prefix=""):
    """Numbers of a nested result by path."""
    if isinstance(value, dict):
        return {
            k: v for name, item in value.items() for k, v in flat(item, f"{prefix}/{name}").items()
        }
    return {prefix: value}


def assert_same(first, second):
    first, second = flat(first), flat(second)
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, float):
            assert second[key] == pytest.approx(value, abs=1e-12), key
        else:
            assert second[key] == value, key


many = settings(max_examples=25, deadline=None, database=None)


@pytest.mark.parametrize("name", PROTOCOLS)
@many
@given(dataset=datasets, data=st.data())
def test_relabelling_tracks_changes_nothing(name, dataset, data):
    new = data.draw(st.permutations(range(1, 60)))

    def relabel(side):
        return np.stack(
            [side[..., 0], np.where(side[..., 1] > 0, np.take(new, side[..., 1]), 0)], -1
        )

    changed = [[(t, relabel(p), *rest) for t, p, *rest in video] for video in dataset]
    assert_same(score(dataset, PROTOCOLS[name]), score(changed, PROTOCOLS[name]))


@pytest.mark.parametrize("name", PROTOCOLS)
@many
@given(dataset=datasets, data=st.data())
def test_order_of_videos_and_pixels_changes_nothing(name, dataset, data):
    order = data.draw(st.permutations(range(len(dataset))))
    place = data.draw(st.permutations(range(12)))

    def shuffle(side):
        return side.reshape(12, -1)[place].reshape(side.shape)

    changed = [[tuple(map(shuffle, frame)) for frame in dataset[i]] for i in order]
    assert_same(score(dataset, PROTOCOLS[name]), score(changed, PROTOCOLS[name]))


@pytest.mark.parametrize("name", PROTOCOLS)
@many
@given(dataset=datasets)
def test_scored_against_itself_is_1(name, dataset):
    same = [[(t, t, g, np.maximum(g, 1) - 0.5) for t, _, g, _ in video] for video in dataset]
    result = score(same, PROTOCOLS[name])
    cells = [cell for key, cell in result["vpq"].items() if key != "mean"]
    cells += [
        c for part in result.get("dvpq", {}).values() for c in part.values() if isinstance(c, dict)
    ]
    for cell in cells:
        for values in cell.get("per_class", {}).values():
            assert values["fn"] == 0
            # VIPER: a prediction on truth that is too small to count is a false positive.
            assert name == "viper" or values["fp"] == 0
            assert values["sq"] == (1 if values["tp"] else 0)
    assert result["stq"]["sq"] in (1, None)
    assert result["stq"]["aq"] is None or result["stq"]["aq"] == pytest.approx(1)


@pytest.mark.parametrize("name", PROTOCOLS)
@many
@given(dataset=datasets)
def test_a_void_frame_as_a_video_of_its_own_adds_nothing(name, dataset):
    nothing = np.broadcast_to(np.array([VOID, 0]), (*SIZE, 2))
    blank = [(nothing, nothing, np.zeros(SIZE), np.zeros(SIZE))]
    before, after = (score(d, PROTOCOLS[name]) for d in (dataset, [*dataset, blank]))
    for result in (before, after):
        for key in ("frames", "videos"):
            result.pop(key)
        result.get("depth", {}).pop("skipped", None)
    assert_same(before, after)


@many
@given(dataset=datasets)
def test_values_are_shares(dataset):
    result = score(dataset, PROTOCOLS["dvps"])
    for key, value in flat(result).items():
        if key.rsplit("/", 1)[-1] in ("pq", "sq", "rq", "stq", "aq", "all", "things", "stuff"):
            assert value is None or 0 <= value <= 1 + 1e-12


@many
@given(video=st.lists(frames, min_size=3, max_size=4))
def test_windows_of_one_frame_are_videos_of_one_frame(video):
    protocol = get_protocol("cityscapes_vps", windows=(1,))
    assert_same(
        score([video], protocol)["vpq"], score([[frame] for frame in video], protocol)["vpq"]
    )


@many
@given(truth=maps, pred=maps)
def test_panoptic_quality_agrees_with_torchmetrics(truth, pred):
    """Void aside: torchmetrics has no such thing for truth and prediction alike."""
    truth, pred = (np.where(side == VOID, 0, side) for side in (truth, pred))
    expected = panoptic_quality(
        torch.tensor(pred)[None],
        torch.tensor(truth)[None],
        things=set(THINGS),
        stuffs=set(STUFF),
        return_per_class=True,
        return_sq_and_rq=True,
    )
    frame = (truth, pred, np.zeros(SIZE), np.zeros(SIZE))
    protocol = get_protocol("cityscapes_vps", windows=(1,))
    cell = score([[frame]], protocol)["vpq"]["1"]
    # Its classes come things first in ascending order, then stuff.
    for row, class_id in zip(expected.tolist(), (*sorted(THINGS), *sorted(STUFF)), strict=True):
        ours = cell["per_class"].get(str(class_id))
        if ours is None:
            assert row == [0, 0, 0]
        else:
            assert [ours[k] for k in ("pq", "sq", "rq")] == pytest.approx(row, abs=1e-6)


@many
@given(dataset=st.lists(videos, min_size=2, max_size=3))
def test_intervals_hold_the_scores_of_drawn_videos(dataset):
    protocol = PROTOCOLS["vps"]
    counts = [count(video, protocol) for video in dataset]
    intervals = bootstrap(counts, protocol, CLASSES, samples=30)
    rng = np.random.default_rng(0).integers(len(counts), size=(30, len(counts)))
    drawn = [summarize(reduce(add, (counts[i] for i in row)), protocol, CLASSES) for row in rng]
    for name, value in (
        ("1", lambda r: r["vpq"]["1"]["all"]["pq"]),
        ("mean", lambda r: r["vpq"]["mean"]["all"]),
    ):
        values = [value(result) for result in drawn]
        if None in values:
            assert intervals["vpq"][name]["all"] is None
        else:
            assert intervals["vpq"][name]["all"] == pytest.approx(
                np.quantile(values, (0.025, 0.975)).tolist()
            )
    aqs = [result["stq"]["aq"] for result in drawn]
    expected = None if None in aqs else pytest.approx(np.quantile(aqs, (0.025, 0.975)).tolist())
    assert intervals["stq"]["aq"] == expected
