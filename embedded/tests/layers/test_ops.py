"""RoIAlign, suppression, deformable convolution, mask pasting and box losses."""

import pytest
import torch

from detectron2.layers import (
    DeformConv,
    ModulatedDeformConv,
    ROIAlign,
    batched_nms,
    ciou_loss,
    diou_loss,
    nms,
    paste_masks_in_image,
)
from detectron2.structures import Boxes


def test_roi_align_equals_the_recorded_one(read_records, wave):
    record = read_records("b_layers")["roi_align"]
    rois = torch.tensor(
        [[0, 1, 1, 6.5, 5], [0, -2, 0.5, 3, 9], [1, 2.3, 2.7, 2.9, 3.1], [1, 0, 0, 10, 8]],
        dtype=torch.float64,
    )
    for case in record["cases"]:
        align = ROIAlign((2, 3), case["spatial_scale"], case["sampling_ratio"], case["aligned"])
        y = align(wave((2, 2, 8, 10)), rois)
        assert list(y.shape) == case["output"]["shape"]
        assert y.sum().item() == pytest.approx(case["output"]["sum"], rel=1e-7)
        assert y.abs().sum().item() == pytest.approx(case["output"]["abs_sum"], rel=1e-8)
        first = case["output"]["first"]
        assert y.flatten()[: len(first)].tolist() == pytest.approx(first, rel=1e-7)


def test_roi_align_takes_rois_of_another_dtype_and_refuses_other_shapes():
    align = ROIAlign(1, 1.0, 1)
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    assert align(x, torch.tensor([[0.0, 0, 0, 2, 2]])).tolist() == [[[[1.0]]]]
    with pytest.raises(AssertionError):
        align(x, torch.zeros(1, 4))


def test_suppression_equals_the_recorded_one(read_records):
    record = read_records("b_layers")["batched_nms"]
    boxes, scores = torch.tensor(record["boxes"]), torch.tensor(record["scores"])
    groups = torch.tensor(record["idxs"])
    for threshold, keep in record["keep"].items():
        assert batched_nms(boxes, scores, groups, float(threshold)).tolist() == keep
        assert batched_nms(boxes.half(), scores, groups, float(threshold)).tolist() == keep


def test_suppression_of_nothing_and_without_groups():
    assert batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), 0.5).numel() == 0
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]])
    assert nms(boxes, torch.tensor([0.1, 0.2, 0.3]), 0.5).tolist() == [2, 1]


def test_deformable_convolution_equals_the_recorded_one(read_records, wave):
    record = read_records("b_layers")["deform_conv_v1"]["output"]
    conv = DeformConv(4, 6, 3, padding=1)
    assert list(conv.state_dict()) == ["weight"]
    with torch.no_grad():
        conv.weight.copy_(wave((6, 4, 3, 3), 3, 0.3))
        offset = wave((1, 18, 6, 7), 1, 1.5, torch.float32)
        y = conv(wave((1, 4, 6, 7), 0, 1, torch.float32), offset)
    assert list(y.shape) == record["shape"]
    assert y.sum().item() == pytest.approx(record["sum"], abs=1e-5 * record["abs_sum"])
    assert y.flatten()[:6].tolist() == pytest.approx(record["first"], rel=1e-4)


def test_deformable_convolution_on_a_cpu_has_limits():
    with pytest.raises(AssertionError):
        DeformConv(4, 4, 3, bias=True)
    x = torch.zeros(1, 4, 5, 5)
    with pytest.raises(NotImplementedError):
        DeformConv(4, 4, 3, padding=1, deformable_groups=2)(x, torch.zeros(1, 36, 5, 5))
    modulated = ModulatedDeformConv(4, 4, 3, padding=1)
    assert list(modulated.state_dict()) == ["weight", "bias"]
    with pytest.raises(NotImplementedError):
        modulated(x, torch.zeros(1, 18, 5, 5), torch.ones(1, 9, 5, 5))


@pytest.fixture
def masks(wave):
    return wave((2, 6, 6), dtype=torch.float32).sigmoid()


BOXES = torch.tensor([[3.3, 4.1, 20.7, 15.2], [-4.0, 10.0, 12.0, 31.0]])


def test_pasted_masks_equal_the_recorded_ones(read_records, masks):
    record = read_records("b_layers")["paste_masks_in_image"]
    hard = paste_masks_in_image(masks, Boxes(BOXES), (24, 28), threshold=0.5)
    assert list(hard.shape) == record["threshold_0.5"]["shape"]
    assert hard.flatten(1).sum(1).tolist() == record["threshold_0.5"]["area_per_mask"]
    assert hard[0].sum(1).tolist() == record["threshold_0.5"]["row_areas_mask_0"]
    soft = paste_masks_in_image(masks, BOXES, (24, 28), threshold=-1)
    assert soft.sum().item() == record["threshold_-1_uint8"]["sum"]
    assert [str(hard.dtype), str(soft.dtype)] == record["dtype"]


def test_pasting_no_masks():
    nothing = paste_masks_in_image(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 7))
    assert nothing.shape == (0, 5, 7)
    assert nothing.dtype == torch.uint8


def test_box_losses_equal_the_recorded_ones(read_records):
    record = read_records("b_layers")["losses_diou_ciou"]
    first = torch.tensor(record["boxes1"], dtype=torch.float32)
    second = torch.tensor(record["boxes2"], dtype=torch.float32)
    assert diou_loss(first, second).tolist() == pytest.approx(record["diou"], rel=1e-5)
    assert ciou_loss(first, second).tolist() == pytest.approx(record["ciou"], rel=1e-5)
    total = sum(record["ciou"])
    assert ciou_loss(first, second, reduction="sum").item() == pytest.approx(total, rel=1e-5)
    assert diou_loss(first[:0], second[:0], reduction="mean").item() == 0
