"""Anchors, offsets, matching, sampling and pooling."""

import numpy as np
import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_anchor_generator
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import (
    Box2BoxTransform,
    Box2BoxTransformLinear,
    _dense_box_regression_loss,
)
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes


def close(tensor, values, abs=1e-4, rel=1e-5):
    np.testing.assert_allclose(tensor.numpy(), values, atol=abs, rtol=rel)


def anchors(offset=0.0, sizes=((32,), (64,)), strides=(8, 16)):
    return DefaultAnchorGenerator(
        sizes=[list(one) for one in sizes],
        aspect_ratios=[[0.5, 1, 2]],
        strides=list(strides),
        offset=offset,
    )


def test_anchors_equal_the_recorded_ones(read_records):
    record = read_records("b_modeling")["anchors"]
    features = [torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 2)]
    generator = anchors()
    for cell, expected in zip(generator.cell_anchors, record["cell_anchors"], strict=True):
        close(cell, expected)
    levels = generator(features)
    assert all(isinstance(level, Boxes) for level in levels)
    close(levels[0].tensor, record["offset_0.0_level0"])
    close(levels[1].tensor, record["offset_0.0_level1"])
    close(anchors(offset=0.5)(features)[0].tensor[:4], record["offset_0.5_level0_first_4"])
    assert generator.num_anchors == record["num_anchors"]
    assert list(generator.state_dict()) == record["state_dict_keys"]
    flat = DefaultAnchorGenerator(
        sizes=[32, 64], aspect_ratios=[0.5, 1, 2], strides=[8], offset=0.0
    )
    close(next(iter(flat.cell_anchors)), record["flat_sizes_32_64_order_per_cell"])


def test_anchors_from_the_config_have_no_offset():
    generator = build_anchor_generator(get_cfg(), [ShapeSpec(stride=16)])
    assert generator.num_anchors == [15]
    assert generator.box_dim == 4
    first = generator([torch.zeros(1, 1, 1, 1)])[0]
    close(first.get_centers(), np.zeros((15, 2)))


def test_lists_of_sizes_must_fit_the_levels():
    with pytest.raises(AssertionError):
        anchors(sizes=((32,), (64,)), strides=(4, 8, 16))


def test_offsets_equal_the_recorded_ones(read_records):
    record = read_records("b_modeling")["box2box"]
    transform = Box2BoxTransform(weights=(10, 10, 5, 5))
    source, target = torch.tensor(record["src"]), torch.tensor(record["dst"])
    deltas = transform.get_deltas(source, target)
    close(deltas, record["deltas"])
    close(transform.apply_deltas(deltas, source), record["apply_deltas"], abs=1e-5)
    clamped = record["clamped"]
    two_classes = torch.tensor(clamped["deltas (two classes)"])
    box = torch.tensor([clamped["box"]], dtype=torch.float32)
    close(transform.apply_deltas(two_classes, box), clamped["result"])


def test_offsets_need_boxes_with_a_width():
    with pytest.raises(AssertionError):
        Box2BoxTransform((1, 1, 1, 1)).get_deltas(torch.zeros(1, 4), torch.ones(1, 4))


def test_offsets_are_applied_in_float32():
    transform = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))
    moved = transform.apply_deltas(torch.zeros(1, 4).half(), torch.tensor([[0.0, 0, 2049, 1]]))
    assert moved.dtype == torch.float32
    assert moved.tolist() == [[0, 0, 2049, 1]]


def test_distances_equal_the_recorded_ones(read_records):
    records = read_records("b_modeling")
    source = torch.tensor(records["box2box"]["src"])
    target = torch.tensor(records["box2box"]["dst"])
    transform = Box2BoxTransformLinear()
    deltas = transform.get_deltas(source, target)
    close(deltas, records["box2box_linear"]["deltas"])
    close(transform.apply_deltas(deltas, source), records["box2box_linear"]["apply"])
    in_pixels = Box2BoxTransformLinear(normalize_by_size=False)
    assert in_pixels.get_deltas(source, target)[0].tolist() == [4, 12, 7, 5]


def test_regression_loss_sums_over_the_foreground():
    boxes = [Boxes(torch.tensor([[0.0, 0, 10, 10], [5, 5, 9, 9]]))]
    truth = [torch.tensor([[1.0, 0, 11, 10], [5, 5, 9, 9]])]
    deltas = [torch.zeros(1, 2, 4)]
    transform = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))

    def loss(mask, kind="smooth_l1", beta=0.0):
        return _dense_box_regression_loss(
            boxes, transform, deltas, truth, torch.tensor([mask]), kind, beta
        ).item()

    assert loss([True, True]) == pytest.approx(0.1)  # dx = 1 pixel / 10 pixels
    assert loss([True, True], beta=1.0) == pytest.approx(0.5 * 0.1**2)
    assert loss([False, True]) == 0
    iou = 90 / 110
    assert loss([True, True], "giou") == pytest.approx(1 - iou, abs=1e-5)
    assert loss([True, True], "diou") == pytest.approx(1 - iou + 1 / (121 + 100), abs=1e-5)
    with pytest.raises(ValueError, match="Invalid dense box regression loss type"):
        loss([True, True], "l2")


@pytest.mark.parametrize("case", ["rpn", "rpn_no_low_quality", "roi", "roi_low_quality"])
def test_matches_equal_the_recorded_ones(read_records, case):
    record = read_records("b_modeling")["matcher"]
    quality = torch.tensor(record["quality_rows_gt_columns_pred"])
    expected = record["cases"][case]
    matcher = Matcher(
        expected["thresholds"],
        expected["labels"],
        allow_low_quality_matches=expected["allow_low_quality"],
    )
    matches, labels = matcher(quality)
    assert matches.dtype == torch.int64
    assert labels.dtype == torch.int8
    assert matches.tolist() == expected["matches"]
    assert labels.tolist() == expected["match_labels"]


def test_without_truth_all_is_background():
    matches, labels = Matcher([0.5], [0, 1])(torch.zeros(0, 4))
    assert matches.tolist() == [0] * 4
    assert labels.tolist() == [0] * 4


def test_truth_outside_of_all_anchors_promotes_every_anchor_without_overlap():
    matcher = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    _, labels = matcher(torch.tensor([[0.8, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert labels.tolist() == [1, 1, 1]


def test_matcher_refuses_bad_bands():
    with pytest.raises(AssertionError):
        Matcher([0.5], [0])
    with pytest.raises(AssertionError):
        Matcher([0.7, 0.3], [0, -1, 1])
    with pytest.raises(AssertionError):
        Matcher([0.5], [0, 2])


def test_samples_equal_the_recorded_ones(read_records):
    record = read_records("b_modeling")["subsample_labels"]
    labels = torch.tensor(record["labels"])
    for name, num, fraction in (
        ("num_6_fraction_0.5", 6, 0.5),
        ("num_4_fraction_0.25", 4, 0.25),
    ):
        torch.manual_seed(record["torch_manual_seed"])
        positive, negative = subsample_labels(labels, num, fraction, record["bg_label"])
        assert [sorted(positive.tolist()), sorted(negative.tolist())] == [
            sorted(one) for one in record[name]
        ]


def make_features(wave):
    return [wave((2, 3, 64 >> i, 80 >> i), i) for i in range(4)]


def test_pooled_boxes_equal_the_recorded_ones(read_records, wave, check):
    record = read_records("b_modeling")["pooler"]
    boxes = [Boxes(torch.tensor(one)) for one in record["boxes"]]
    levels = assign_boxes_to_levels(boxes, 2, 5, 224, 4)
    assert levels.tolist() == record["level_index"]
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    pooled = ROIPooler(3, scales, 0, "ROIAlignV2")(make_features(wave), boxes)
    check(pooled, record["ROIAlignV2_sampling_0"], rel=1e-6)
    sums = pooled.sum(dim=(1, 2, 3)).tolist()
    assert sums == pytest.approx(record["ROIAlignV2_per_box_sum"], abs=1e-6)
    old = ROIPooler(3, scales, 2, "ROIAlign")(make_features(wave), boxes)
    check(old, record["ROIAlign_sampling_2"], rel=1e-6)


def test_pooling_no_boxes(wave):
    pooler = ROIPooler(2, [1 / 4, 1 / 8, 1 / 16, 1 / 32], 0, "ROIAlignV2")
    assert pooler([x[:0] for x in make_features(wave)], []).shape == (0, 3, 2, 2)
    nothing = [Boxes(torch.zeros(0, 4))] * 2
    assert pooler(make_features(wave), nothing).shape == (0, 3, 2, 2)


def test_pooler_needs_boxes_for_every_image(wave):
    with pytest.raises(AssertionError):
        ROIPooler(3, [1 / 4], 0, "ROIAlignV2")(make_features(wave)[:1], [])


def test_pooler_refuses_other_scales_and_types():
    with pytest.raises(AssertionError):
        ROIPooler(3, [1 / 4, 1 / 16], 0, "ROIAlignV2")
    with pytest.raises(AssertionError):
        ROIPooler(3, [1 / 3], 0, "ROIAlignV2")
    with pytest.raises(ValueError, match="Unknown pooler type: ROIFoo"):
        ROIPooler(3, [1 / 4], 0, "ROIFoo")
