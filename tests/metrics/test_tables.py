"""Contingency tables, and what ids mean."""

from __future__ import annotations

import numpy as np
import pytest

from dvps_d2.metrics import ChannelCoding, Coding, LabelMap, Listing, frame_table, joint_map
from dvps_d2.metrics.tables import CROWD, HIDDEN, REGULAR, UNLISTED, VOID, count_pairs


def pairs(truth, pred, levels=None, num_levels=1):
    """{(truth, pred): pixels by level}."""
    counts = count_pairs(np.array(truth), np.array(pred), levels, num_levels)
    columns = zip(counts.truth.tolist(), counts.pred.tolist(), counts.pixels.tolist(), strict=True)
    return {(t, p): pixels for t, p, pixels in columns}


def test_pairs_of_a_drawing():
    found = pairs([[1, 1, 2, 2], [1, 1, 2, 2]], [[7, 8, 8, 8], [7, 7, 7, 8]])
    assert found == {(1, 7): [3], (1, 8): [1], (2, 7): [1], (2, 8): [3]}


def test_pairs_by_level():
    levels = np.array([[0, 1, 2, 2]], np.uint8)
    assert pairs([[1, 1, 1, 1]], [[7, 7, 7, 8]], levels, 3) == {
        (1, 7): [1, 1, 1],
        (1, 8): [0, 0, 1],
    }


@pytest.mark.parametrize(
    "high", [255, 2**16 - 1, 2**24, 2**31, 2**32 - 1, 2**32, 2**40], ids=lambda v: f"{v:#x}"
)
def test_pairs_with_large_ids(high):
    assert pairs([[0, high, high]], [[high, high, 3]]) == {
        (0, high): [1],
        (high, high): [1],
        (high, 3): [1],
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_pairs_of_every_integer_type(dtype):
    values = np.array([[1, 2], [1, 2]], dtype)
    counts = count_pairs(values, values)
    assert (counts.truth.tolist(), counts.pixels.tolist()) == ([1, 2], [[2], [2]])
    assert counts.truth.dtype == np.int64


def test_many_pairs_with_levels_do_not_overflow():
    """More cells than 16 bits can number."""
    ids = np.arange(300 * 300).reshape(300, 300)
    levels = (ids % 2).astype(np.uint8)
    counts = count_pairs(ids, ids, levels, 2)
    assert counts.pixels.sum() == ids.size
    assert (counts.pixels[np.arange(ids.size), counts.truth % 2] == 1).all()


def test_no_pixels():
    assert pairs(np.zeros((0, 4), int), np.zeros((0, 4), int)) == {}


@pytest.mark.parametrize(
    ("truth", "pred", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "3 x 2 but truth is 2 x 3"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), r"truth must be an \(H, W\) integer map"),
        (np.zeros((2, 3), int), np.zeros((2, 3, 1), int), "prediction must be"),
    ],
)
def test_maps_are_checked(truth, pred, message):
    with pytest.raises(ValueError, match=message):
        count_pairs(truth, pred)


def test_a_coding_splits_class_and_instance():
    coding = Coding(1000, void_classes=(32,), crowd_classes=(13,), num_classes=19)
    segments, rows = coding.read(np.array([7000, 13000, 13002, 32000, 32005]), np.arange(1, 6))
    assert segments.class_ids.tolist() == [7, 13, 13]
    assert segments.tracks.tolist() == [0, 0, 2]
    assert segments.areas.tolist() == [1, 2, 3]
    assert segments.roles.tolist() == [REGULAR, CROWD, REGULAR]
    assert rows.tolist() == [0, 1, 2, VOID, VOID]


def test_a_class_can_be_void_and_hidden():
    coding = Coding(1000, void_classes=(32,), hidden_classes=(32,))
    segments, rows = coding.read(np.array([32000, 32005]), np.array([1, 1]))
    assert (rows.tolist(), segments.roles.tolist()) == ([VOID, 0], [HIDDEN])


@pytest.mark.parametrize(
    ("coding", "track"),
    [
        pytest.param(ChannelCoding(), 2 * 256 + 3, id="green and blue"),
        pytest.param(ChannelCoding(green_only=True), None, id="blue must be 0"),
    ],
)
def test_channels(coding, track):
    ids = np.array([13 + 256 * 2 + 65536 * 3])
    if track is None:
        with pytest.raises(ValueError, match="third channel must be 0"):
            coding.read(ids, np.array([1]))
        return
    segments, _ = coding.read(ids, np.array([1]))
    assert (segments.class_ids[0], segments.tracks[0]) == (13, track)


def test_unknown_class_is_named():
    coding = Coding(1000, (32,), num_classes=19)
    with pytest.raises(ValueError, match=r"unknown class 21 \(instance 5, 3 pixels\).*0\.\.18"):
        coding.read(np.array([21005]), np.array([3]))


def listing(**options):
    info = [
        {"id": 5, "category_id": 1, "area": 3},
        {"id": 2, "category_id": 0, "iscrowd": 1, "area": 4},
        {"id": 5, "category_id": 0, "area": 10},
    ]
    return Listing.from_info(info, **options)


def test_a_listing_keeps_order_first_class_and_counts_pixels():
    segments, rows = listing().read(np.array([0, 2, 5]), np.array([7, 8, 9]))
    assert segments.ids.tolist() == [5, 2]
    assert segments.class_ids.tolist() == [1, 0]
    assert segments.areas.tolist() == [9, 8]
    assert segments.roles.tolist() == [REGULAR, CROWD]
    assert rows.tolist() == [VOID, 1, 0]


def test_a_listing_can_bring_its_own_areas():
    segments, _ = listing(published_areas=True).read(np.array([2, 5]), np.array([8, 9]))
    assert segments.areas.tolist() == [13, 4]  # a repeated id adds up


def test_a_lenient_listing_keeps_unlisted_pixels_without_a_class():
    segments, rows = listing(strict=False).read(np.array([0, 3, 5]), np.array([4, 6, 1]))
    assert rows.tolist() == [VOID, 2, 0]
    assert segments.ids.tolist() == [5, 2, 3]
    assert segments.class_ids.tolist() == [1, 0, -1]
    assert segments.areas.tolist() == [1, 0, 6]
    assert segments.roles.tolist() == [REGULAR, CROWD, UNLISTED]


def test_unlisted_pixels_add_nothing_to_the_areas_of_a_list():
    lenient = listing(strict=False, published_areas=True)
    segments, _ = lenient.read(np.array([3, 5]), np.array([6, 1]))
    assert segments.areas.tolist() == [13, 4, 0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([2, 3, 5], "id 3 has 1 pixels but is not in the segment list"),
        ([5], "id 2 is in the segment list but has no pixels"),
    ],
)
def test_list_and_pixels_must_agree(ids, message):
    with pytest.raises(ValueError, match=message):
        listing().read(np.array(ids), np.ones(len(ids), int))


def test_listing_refuses_void_and_unknown_classes():
    with pytest.raises(ValueError, match="id 0 is listed"):
        Listing.from_info([{"id": 0, "category_id": 1}])
    with pytest.raises(ValueError, match="segment 4 has unknown class 9"):
        Listing.from_info([{"id": 4, "category_id": 9}], num_classes=9)


def test_an_empty_listing_is_all_void():
    label = LabelMap(np.zeros((2, 2), int), Listing.from_info([]))
    table = frame_table(label, label)
    assert (len(table.truth), table.truth_index.tolist()) == (0, [VOID])


def test_an_offset_is_taken_off_the_distinct_ids():
    ids = np.array([[1000, 2000]], np.uint32)
    shifted = LabelMap(ids + np.uint32(255 << 24), Coding(1000), offset=255 << 24)
    table = frame_table(LabelMap(ids, Coding(1000)), shifted)
    assert table.pred.ids.tolist() == [1000, 2000]


def test_joint_map_holds_classes_and_tracks():
    classes, tracks = np.array([[0, 13, 255, 13]]), np.array([[0, 2**24, 0, 0]])
    label = joint_map(classes, tracks, crowd_classes=(13,))
    table = frame_table(label, label)
    assert table.truth.class_ids.tolist() == [0, 13, 13]
    assert table.truth.tracks.tolist() == [0, 0, 2**24]
    assert table.truth.roles.tolist() == [REGULAR, CROWD, REGULAR]
    assert (table.truth_index == VOID).sum() == 1


def test_joint_map_names_sizes_and_classes():
    with pytest.raises(ValueError, match=r"class map \(1, 2\) and track map \(2, 1\)"):
        joint_map(np.zeros((1, 2), int), np.zeros((2, 1), int))
    label = joint_map(np.array([[7]]), np.array([[0]]), num_classes=7)
    with pytest.raises(ValueError, match="prediction: unknown class 7"):
        frame_table(joint_map(np.array([[0]]), np.array([[0]])), label)
