"""Padding images to a common size."""

import pytest
import torch

from detectron2.structures import ImageList


def test_padding_equals_the_recorded_one(read_records, wave):
    for case in read_records("a_structures")["image_list"]["cases"]:
        constraints = case.get("padding_constraints")
        batch = ImageList.from_tensors(
            [wave(tuple(shape)) for shape in case["shapes"]],
            case.get("size_divisibility", 0),
            pad_value=0.0 if constraints else 7.0,
            padding_constraints=constraints,
        )
        assert list(batch.tensor.shape) == case["tensor_shape"]
        if "sum" in case:
            assert batch.image_sizes == [tuple(size) for size in case["image_sizes"]]
            assert batch.tensor.sum().item() == pytest.approx(case["sum"], rel=1e-8)


def test_padding_is_right_and_bottom():
    batch = ImageList.from_tensors([torch.ones(1, 1, 2), torch.ones(1, 2, 1)], pad_value=5)
    assert batch.tensor.tolist() == [[[[1, 1], [5, 5]]], [[[1, 5], [1, 5]]]]
    assert [batch[index].shape for index in range(len(batch))] == [(1, 1, 2), (1, 2, 1)]


def test_leading_dimensions_must_agree():
    with pytest.raises(AssertionError):
        ImageList.from_tensors([torch.ones(3, 2, 2), torch.ones(1, 2, 2)])


def test_to_keeps_the_sizes():
    batch = ImageList.from_tensors([torch.ones(3, 2, 2)]).to(dtype=torch.float64)
    assert batch.tensor.dtype == torch.float64
    assert batch.image_sizes == [(2, 2)]
    assert batch.device.type == "cpu"
