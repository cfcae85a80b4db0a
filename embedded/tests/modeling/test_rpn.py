"""The region proposal network against reference values."""

import numpy as np
import pytest
import torch

from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.proposal_generator.proposal_utils import (
    add_ground_truth_to_proposals,
    find_top_rpn_proposals,
)
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

SIZES = [(32, 48), (28, 40)]


def make_rpn(fill_waves, **kwargs):
    options = {"batch_size_per_image": 1000, "smooth_l1_beta": 0.0, **kwargs}
    return fill_waves(
        RPN(
            in_features=["p2", "p3"],
            head=StandardRPNHead(in_channels=8, num_anchors=3),
            anchor_generator=DefaultAnchorGenerator(
                sizes=[[16], [32]], aspect_ratios=[[0.5, 1, 2]], strides=[4, 8], offset=0.0
            ),
            anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
            box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
            positive_fraction=0.5,
            pre_nms_topk=(60, 40),
            post_nms_topk=(20, 10),
            nms_thresh=0.7,
            **options,
        )
    )


@pytest.fixture
def inputs(wave):
    features = {
        "p2": wave((2, 8, 8, 12), 0, 3, torch.float32),
        "p3": wave((2, 8, 4, 6), 1, 3, torch.float32),
    }
    return ImageList(torch.zeros(2, 3, 32, 48), SIZES), features


@pytest.fixture
def truth(read_records):
    boxes = read_records("b_modeling")["rpn"]["gt"]
    return [
        Instances(size, gt_boxes=Boxes(torch.tensor(one)))
        for size, one in zip(SIZES, boxes, strict=True)
    ]


def test_proposals_equal_the_recorded_ones(read_records, fill_waves, inputs):
    record = read_records("b_modeling")["rpn"]
    rpn = make_rpn(fill_waves).eval()
    assert {k: list(v.shape) for k, v in rpn.state_dict().items()} == record["state_dict"]
    proposals, losses = rpn(*inputs)
    assert losses == {}
    for found, expected in zip(proposals, record["eval_proposals"], strict=True):
        np.testing.assert_allclose(
            found.proposal_boxes.tensor, expected["boxes"], atol=1e-3, rtol=1e-5
        )
        np.testing.assert_allclose(found.objectness_logits, expected["logits"], atol=1e-5)


def test_losses_equal_the_recorded_ones(read_records, fill_waves, inputs, truth):
    record = read_records("b_modeling")["rpn"]
    rpn = make_rpn(fill_waves).train()
    with EventStorage() as storage:
        proposals, losses = rpn(*inputs, truth)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(record["losses"], rel=1e-5)
    for name in ("num_pos_anchors", "num_neg_anchors"):
        assert storage.latest()[f"rpn/{name}"][0] == record[name]
    assert [len(one) for one in proposals] == record["train_proposals_count"]
    sums = [one.proposal_boxes.tensor.sum().item() for one in proposals]
    assert sums == pytest.approx(record["train_proposals_box_sum"], rel=1e-5)


def test_sampling_and_the_order_of_random_numbers(read_records, fill_waves, inputs, truth):
    expected = read_records("b_modeling")["rpn"]["losses_batch_16_torch_seed_0"]
    rpn = make_rpn(fill_waves, batch_size_per_image=16).train()
    torch.manual_seed(0)
    with EventStorage():
        _, losses = rpn(*inputs, truth)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("giou", {"box_reg_loss_type": "giou"}),
        ("diou", {"box_reg_loss_type": "diou"}),
        ("ciou", {"box_reg_loss_type": "ciou"}),
        ("smooth_l1_beta_1_9", {"smooth_l1_beta": 1 / 9}),
    ],
)
def test_other_regression_losses(read_records, fill_waves, inputs, truth, name, options):
    expected = read_records("b_modeling")["rpn"][f"loss_rpn_loc_{name}"]
    with EventStorage():
        _, losses = make_rpn(fill_waves, **options).train()(*inputs, truth)
    assert losses["loss_rpn_loc"].item() == pytest.approx(expected, rel=1e-4)


def test_an_image_without_objects(read_records, fill_waves, inputs, truth):
    expected = read_records("b_modeling")["rpn"]["losses_second_image_without_gt"]
    truth[1] = Instances(SIZES[1], gt_boxes=Boxes(torch.zeros(0, 4)))
    with EventStorage():
        _, losses = make_rpn(fill_waves).train()(*inputs, truth)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-5)


def test_loss_weights_apply_to_each_loss(fill_waves, inputs, truth):
    weights = {"loss_rpn_cls": 2.0, "loss_rpn_loc": 0.0}
    with EventStorage():
        _, plain = make_rpn(fill_waves).train()(*inputs, truth)
        _, weighted = make_rpn(fill_waves, loss_weight=weights).train()(*inputs, truth)
    assert weighted["loss_rpn_cls"].item() == pytest.approx(2 * plain["loss_rpn_cls"].item())
    assert weighted["loss_rpn_loc"].item() == 0


def test_a_boundary_leaves_anchors_outside_the_image_out(fill_waves, inputs, truth):
    with EventStorage() as storage:
        make_rpn(fill_waves, anchor_boundary_thresh=0).train()(*inputs, truth)
    assert storage.latest()["rpn/num_neg_anchors"][0] < 200


def test_head_with_several_convolutions():
    head = StandardRPNHead(in_channels=4, num_anchors=2, conv_dims=[6, -1])
    assert list(head.state_dict())[:4] == [
        "conv.conv0.weight",
        "conv.conv0.bias",
        "conv.conv1.weight",
        "conv.conv1.bias",
    ]
    logits, deltas = head([torch.zeros(1, 4, 3, 5)])
    assert logits[0].shape == (1, 2, 3, 5)
    assert deltas[0].shape == (1, 8, 3, 5)


def test_values_that_are_not_finite():
    boxes = [torch.tensor([[[0.0, 0, 4, 4], [0, 0, float("nan"), 4]]])]
    scores = [torch.tensor([[1.0, 2.0]])]
    arguments = (boxes, scores, [(8, 8)], 0.7, 10, 10, 0.0)
    assert len(find_top_rpn_proposals(*arguments, False)[0]) == 1
    with pytest.raises(FloatingPointError):
        find_top_rpn_proposals(*arguments, True)


def test_topk_before_suppression_is_per_level_and_after_it_per_image():
    boxes = [torch.tensor([[[0.0, 0, 4, 4], [10, 10, 14, 14]]]), torch.tensor([[[0.0, 0, 4, 4]]])]
    scores = [torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0]])]
    (one,) = find_top_rpn_proposals(boxes, scores, [(20, 20)], 0.5, 1, 5, 0.0, False)
    assert one.objectness_logits.tolist() == [3.0, 2.0]
    (one,) = find_top_rpn_proposals(boxes, scores, [(20, 20)], 0.5, 9, 2, 0.0, False)
    assert one.objectness_logits.tolist() == [3.0, 2.0]
    (one,) = find_top_rpn_proposals(boxes, scores, [(20, 20)], 0.5, 9, 9, 4.0, False)
    assert len(one) == 0  # sides of exactly 4 are not longer than 4


def test_truth_joins_the_proposals_with_a_high_score():
    proposals = Instances(
        (8, 8), proposal_boxes=Boxes(torch.zeros(1, 4)), objectness_logits=torch.zeros(1)
    )
    truth = Instances((8, 8), gt_boxes=Boxes(torch.ones(2, 4)))
    (joined,) = add_ground_truth_to_proposals([truth], [proposals])
    assert len(joined) == 3
    assert joined.objectness_logits.tolist() == pytest.approx([0, 23.0259, 23.0259], abs=1e-3)
