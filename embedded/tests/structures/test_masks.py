"""BitMasks, PolygonMasks, ROIMasks."""

import numpy as np
import pytest
import torch

from detectron2.structures import (
    BitMasks,
    Boxes,
    PolygonMasks,
    ROIMasks,
    polygons_to_bitmask,
)
from detectron2.structures.masks import rasterize_polygons_within_box

SQUARE = [1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0]


@pytest.fixture
def recorded_bitmasks(wave):
    tensor = wave((3, 8, 9), dtype=torch.float32) > 0.3
    tensor[2] = False
    return BitMasks(tensor)


def test_bitmasks_equal_the_recorded_ones(read_records, recorded_bitmasks):
    record = read_records("a_structures")["bitmasks"]
    assert recorded_bitmasks.get_bounding_boxes().tensor.tolist() == record["bounding_boxes"]
    assert recorded_bitmasks.nonempty().tolist() == [bool(value) for value in record["nonempty"]]
    boxes = torch.tensor(record["crop_and_resize_boxes"], dtype=torch.float32)
    cropped = recorded_bitmasks.crop_and_resize(boxes, 5)
    assert cropped.dtype == torch.bool
    assert cropped.int().tolist() == record["crop_and_resize_size_5"]


def test_polygons_equal_the_recorded_ones(read_records):
    record = read_records("a_structures")["polygon_masks"]
    masks = PolygonMasks(record["polygons"])
    assert masks.area().tolist() == pytest.approx(record["area"])
    boxes = masks.get_bounding_boxes().tensor
    torch.testing.assert_close(boxes, torch.tensor(record["bounding_boxes"]))
    bits = BitMasks.from_polygon_masks(masks, 8, 10)
    assert bits.tensor.sum((1, 2)).tolist() == record["bitmask_8x10_areas"]
    assert bits.tensor[0].sum(1).tolist() == record["bitmask_0_rows"]
    crops = torch.tensor(record["crop_and_resize_boxes"], dtype=torch.float32)
    assert masks.crop_and_resize(crops, 6).int().tolist() == record["crop_and_resize_size_6"]


def test_no_bitmasks():
    masks = BitMasks(torch.zeros(0, 4, 5))
    assert len(masks) == 0
    assert masks.nonempty().shape == (0,)
    assert masks.get_bounding_boxes().tensor.shape == (0, 4)
    assert masks.crop_and_resize(torch.zeros(0, 4), 7).shape == (0, 7, 7)


def test_bitmasks_indexing_keeps_three_dimensions(recorded_bitmasks):
    assert recorded_bitmasks[0].tensor.shape == (1, 8, 9)
    assert len(recorded_bitmasks[1:]) == 2
    assert len(recorded_bitmasks[torch.tensor([True, False, True])]) == 2
    assert tuple(recorded_bitmasks.image_size) == (8, 9)
    assert len(BitMasks.cat([recorded_bitmasks, recorded_bitmasks[0]])) == 4


def test_bitmasks_are_bool():
    assert BitMasks(np.array([[[0, 2]]])).tensor.tolist() == [[[False, True]]]


def test_bounding_box_of_one_pixel():
    tensor = torch.zeros(1, 4, 5)
    tensor[0, 2, 3] = 1
    assert BitMasks(tensor).get_bounding_boxes().tensor.tolist() == [[3, 2, 4, 3]]


@pytest.mark.parametrize("numbers", [4, 7])
def test_a_polygon_needs_three_points(numbers):
    with pytest.raises(ValueError, match=f"Cannot create a polygon from {numbers} coordinates."):
        PolygonMasks([[list(range(numbers))]])


def test_polygon_masks_indexing():
    masks = PolygonMasks([[SQUARE], [], [SQUARE, SQUARE]])
    assert masks.nonempty().tolist() == [True, False, True]
    assert masks.polygons[0][0].dtype == np.float64
    assert len(masks[0]) == 1
    assert [len(polygons) for polygons in masks[torch.tensor([2, 1])]] == [2, 0]
    assert len(masks[masks.nonempty()]) == 2
    assert len(PolygonMasks.cat([masks, masks[0]])) == 4
    assert masks.to("cpu") is masks


def test_polygons_to_bitmask():
    assert polygons_to_bitmask([], 2, 3).tolist() == [[False] * 3] * 2
    drawn = polygons_to_bitmask([np.array(SQUARE)], 4, 4)
    assert drawn.dtype == bool
    assert drawn.sum() == 4
    assert drawn[1:3, 1:3].all()


def test_rasterizing_within_a_box_does_not_change_the_polygon():
    polygon = np.array(SQUARE)
    grid = rasterize_polygons_within_box([polygon], np.array([1.0, 1.0, 3.0, 3.0]), 4)
    assert grid.all()
    assert polygon.tolist() == SQUARE


def test_roi_masks_are_pasted_into_their_boxes():
    masks = ROIMasks(torch.ones(1, 4, 4))
    bits = masks.to_bitmasks(Boxes([[1, 2, 4, 5]]), 6, 7)
    assert isinstance(bits, BitMasks)
    assert bits.tensor[0, 2:5, 1:4].all()
    assert bits.tensor.sum() == 9


def test_roi_masks_refuse_other_shapes():
    with pytest.raises(ValueError, match="ROIMasks must"):
        ROIMasks(torch.ones(4, 4))
    assert len(ROIMasks(torch.ones(3, 4, 4))[1:]) == 2
