"""Boxes, BoxMode and overlaps."""

import math

import numpy as np
import pytest
import torch

from detectron2.structures import (
    Boxes,
    BoxMode,
    pairwise_ioa,
    pairwise_iou,
    pairwise_point_box_distance,
)
from detectron2.structures.boxes import matched_pairwise_iou, pairwise_intersection


def test_no_boxes_have_the_right_shape():
    for empty in (torch.zeros(0), torch.zeros(0, 4), []):
        boxes = Boxes(empty)
        assert boxes.tensor.shape == (0, 4)
        assert len(boxes) == 0
        assert boxes.area().shape == (0,)
        assert boxes.nonempty().shape == (0,)


def test_boxes_are_float32_whatever_comes_in():
    for values in (torch.zeros(1, 4).double(), torch.zeros(1, 4).long(), [[0, 0, 1, 1]]):
        assert Boxes(values).tensor.dtype == torch.float32


def test_boxes_refuse_other_shapes():
    with pytest.raises(AssertionError):
        Boxes(torch.zeros(2, 5))
    with pytest.raises(AssertionError):
        Boxes(torch.zeros(4))


def test_area_and_centers():
    boxes = Boxes([[0, 0, 2, 3], [1, 1, 1, 5]])
    assert boxes.area().tolist() == [6, 0]
    assert boxes.get_centers().tolist() == [[1, 1.5], [1, 3]]


def test_clip_is_in_place_and_takes_height_first():
    boxes = Boxes([[-5, -5, 100, 100]])
    boxes.clip((10, 20))
    assert boxes.tensor.tolist() == [[0, 0, 20, 10]]


def test_clip_refuses_nan():
    with pytest.raises(AssertionError):
        Boxes([[0, 0, math.nan, 1]]).clip((10, 10))


def test_nonempty_is_strict():
    boxes = Boxes([[0, 0, 2, 2], [0, 0, 2, 0], [0, 0, 3, 3]])
    assert boxes.nonempty().tolist() == [True, False, True]
    assert boxes.nonempty(threshold=2).tolist() == [False, False, True]


def test_inside_box():
    boxes = Boxes([[0, 0, 5, 5], [0, 0, 10, 5], [-1, 0, 5, 5]])
    assert boxes.inside_box((10, 10)).tolist() == [True, False, False]
    assert boxes.inside_box((10, 10), boundary_threshold=2).tolist() == [True, True, True]


def test_scale_is_in_place():
    boxes = Boxes([[1, 2, 3, 4]])
    boxes.scale(10, 100)
    assert boxes.tensor.tolist() == [[10, 200, 30, 400]]


def test_clone_has_its_own_memory():
    boxes = Boxes([[1, 2, 3, 4]])
    boxes.clone().scale(2, 2)
    assert boxes.tensor.tolist() == [[1, 2, 3, 4]]


def test_indexing_keeps_two_dimensions():
    boxes = Boxes([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]])
    assert boxes[1].tensor.tolist() == [[0, 0, 2, 2]]
    assert boxes[1:].area().tolist() == [4, 9]
    assert boxes[torch.tensor([True, False, True])].area().tolist() == [1, 9]
    assert boxes[torch.tensor([2, 0])].area().tolist() == [9, 1]
    assert [row.tolist() for row in boxes][2] == [0, 0, 3, 3]


def test_cat():
    assert len(Boxes.cat([])) == 0
    both = Boxes.cat([Boxes([[0, 0, 1, 1]]), Boxes([[0, 0, 2, 2]])])
    assert both.area().tolist() == [1, 4]


def test_overlaps_equal_the_recorded_ones(read_records):
    record = read_records("a_structures")["pairwise"]
    first, second = Boxes(record["boxes1"]), Boxes(record["boxes2"])
    torch.testing.assert_close(pairwise_iou(first, second), torch.tensor(record["iou"]))
    torch.testing.assert_close(pairwise_ioa(first, second), torch.tensor(record["ioa"]))


def test_intersection_counts_no_extra_pixel():
    first, second = Boxes([[0, 0, 4, 4]]), Boxes([[2, 3, 9, 9], [4, 0, 8, 4]])
    assert pairwise_intersection(first, second).tolist() == [[2, 0]]


def test_matched_iou():
    first, second = Boxes([[0, 0, 2, 2], [0, 0, 4, 4]]), Boxes([[0, 0, 2, 1], [4, 4, 5, 5]])
    assert matched_pairwise_iou(first, second).tolist() == [0.5, 0]


def test_point_to_box_distances():
    distances = pairwise_point_box_distance(torch.tensor([[2.0, 3.0]]), Boxes([[0, 0, 10, 20]]))
    assert distances.tolist() == [[[2, 3, 8, 17]]]


@pytest.mark.parametrize(
    ("kind", "box"),
    [
        pytest.param(list, [1.0, 2.0, 3.0, 4.0], id="list"),
        pytest.param(tuple, (1.0, 2.0, 3.0, 4.0), id="tuple"),
        pytest.param(np.ndarray, np.array([[1.0, 2.0, 3.0, 4.0]]), id="array"),
        pytest.param(torch.Tensor, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), id="tensor"),
    ],
)
def test_mode_conversion_keeps_the_type_and_the_input(kind, box):
    before = np.asarray(box).tolist()
    converted = BoxMode.convert(box, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
    assert isinstance(converted, kind)
    assert np.asarray(converted).reshape(-1).tolist() == [1, 2, 4, 6]
    assert np.asarray(box).tolist() == before
    back = BoxMode.convert(converted, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    assert np.asarray(back).tolist() == before


def test_mode_conversion_to_the_same_mode_is_the_same_object():
    box = [1, 2, 3, 4]
    assert BoxMode.convert(box, BoxMode.XYXY_ABS, BoxMode.XYXY_ABS) is box


def test_mode_conversion_of_an_empty_array():
    empty = np.zeros((0, 4), dtype=np.float32)
    assert BoxMode.convert(empty, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS).shape == (0, 4)


def test_mode_conversion_refuses_relative_boxes():
    with pytest.raises(AssertionError):
        BoxMode.convert([0, 0, 1, 1], BoxMode.XYXY_REL, BoxMode.XYXY_ABS)


def test_hull_of_a_rotated_box():
    # 4 wide, 2 high, turned by a quarter: 2 wide, 4 high.
    hull = BoxMode.convert([5.0, 5.0, 4.0, 2.0, 90.0], BoxMode.XYWHA_ABS, BoxMode.XYXY_ABS)
    assert hull == pytest.approx([4, 3, 6, 7])


def test_mode_numbers(read_records):
    numbers = read_records("a_structures")["box_mode"]["integers"]
    assert {mode.name: int(mode) for mode in BoxMode} == numbers
