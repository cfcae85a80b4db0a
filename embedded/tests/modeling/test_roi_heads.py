"""Box head, box predictor and mask head against reference values."""

import numpy as np
import pytest
import torch

from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.roi_heads import (
    FastRCNNConvFCHead,
    FastRCNNOutputLayers,
    MaskRCNNConvUpsampleHead,
    ROIHeads,
    select_foreground_proposals,
)
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.modeling.roi_heads.mask_head import mask_rcnn_inference, mask_rcnn_loss
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage


def test_box_head_equals_the_recorded_one(read_records, wave, fill_waves):
    record = read_records("b_modeling")["box_head"]
    head = fill_waves(
        FastRCNNConvFCHead(ShapeSpec(4, 7, 7), conv_dims=[5], fc_dims=[6, 7]).double()
    )
    assert {k: list(v.shape) for k, v in head.state_dict().items()} == record["state_dict"]
    assert head.output_shape == ShapeSpec(channels=7)
    output = head(wave((3, 4, 7, 7), 0, 2)).detach()
    np.testing.assert_allclose(output, record["output"], rtol=1e-6, atol=1e-9)


def make_predictor(fill_waves, **kwargs):
    predictor = FastRCNNOutputLayers(
        ShapeSpec(channels=6),
        box2box_transform=Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0)),
        num_classes=3,
        test_score_thresh=0.2,
        test_nms_thresh=0.5,
        test_topk_per_image=4,
        **kwargs,
    )
    return fill_waves(predictor)


@pytest.fixture
def box_record(read_records):
    return read_records("b_modeling")["fast_rcnn"]


@pytest.fixture
def proposals(box_record):
    return [
        Instances(
            (32, 40),
            proposal_boxes=Boxes(torch.tensor(boxes)),
            gt_boxes=Boxes(torch.tensor(truth)),
            gt_classes=torch.tensor(classes),
        )
        for boxes, truth, classes in zip(
            box_record["proposal_boxes"],
            box_record["gt_boxes"],
            box_record["gt_classes"],
            strict=True,
        )
    ]


@pytest.fixture
def vectors(wave):
    return wave((8, 6), 0, 8, torch.float32)


def items(losses):
    return {name: loss.item() for name, loss in losses.items()}


def test_scores_and_losses_equal_the_recorded_ones(
    box_record, proposals, vectors, fill_waves, check
):
    predictor = make_predictor(fill_waves)
    assert {k: list(v.shape) for k, v in predictor.state_dict().items()} == box_record["state_dict"]
    scores, deltas = predictor(vectors)
    check(scores, box_record["scores"])
    check(deltas, box_record["deltas"])
    with EventStorage() as storage:
        losses = predictor.losses((scores, deltas), proposals)
    assert items(losses) == pytest.approx(box_record["losses"], rel=1e-5)
    logged = {name: value for name, (value, _) in storage.latest().items()}
    assert logged == pytest.approx(box_record["logged"])


def test_other_losses_equal_the_recorded_ones(box_record, proposals, vectors, fill_waves):
    with EventStorage():
        predictor = make_predictor(fill_waves, use_sigmoid_ce=True)
        losses = predictor.losses(predictor(vectors), proposals)
        assert losses["loss_cls"].item() == pytest.approx(
            box_record["sigmoid_ce_loss_cls"], rel=1e-5
        )
        weights = {"loss_box_reg": 2.0}
        predictor = make_predictor(fill_waves, smooth_l1_beta=1.0, loss_weight=weights)
        losses = predictor.losses(predictor(vectors), proposals)
        assert losses["loss_box_reg"].item() == pytest.approx(
            box_record["smooth_l1_beta_1_weight_2_loss_box_reg"], rel=1e-5
        )
        for one in proposals:
            one.gt_classes[:] = 3
        predictor = make_predictor(fill_waves)
        losses = predictor.losses(predictor(vectors), proposals)
        assert items(losses) == pytest.approx(box_record["all_background"], rel=1e-5)


def check_detections(found, expected):
    for one, record in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.pred_boxes.tensor, record["boxes"], atol=1e-4)
        np.testing.assert_allclose(one.scores, record["scores"], atol=1e-6)
        assert one.pred_classes.tolist() == record["classes"]


def test_detections_equal_the_recorded_ones(box_record, proposals, vectors, fill_waves):
    predictor = make_predictor(fill_waves).eval()
    with torch.no_grad():
        predictions = predictor(vectors)
    for probs, expected in zip(
        predictor.predict_probs(predictions, proposals), box_record["probs"], strict=True
    ):
        np.testing.assert_allclose(probs, expected, atol=1e-6)
    found, kept = predictor.inference(predictions, proposals)
    check_detections(found, box_record["inference"])
    assert [one.tolist() for one in kept] == [
        one["kept_proposal"] for one in box_record["inference"]
    ]


def test_class_agnostic_boxes_equal_the_recorded_ones(box_record, proposals, vectors, fill_waves):
    predictor = make_predictor(fill_waves, cls_agnostic_bbox_reg=True)
    assert predictor.bbox_pred.weight.shape == (4, 6)
    with EventStorage(), torch.no_grad():
        predictions = predictor(vectors)
        losses = predictor.losses(predictions, proposals)
    assert items(losses) == pytest.approx(box_record["class_agnostic"]["losses"], rel=1e-5)
    found, _ = predictor.inference(predictions, proposals)
    check_detections(found, box_record["class_agnostic"]["inference"])


def test_the_box_of_the_true_class():
    predictor = FastRCNNOutputLayers(
        ShapeSpec(channels=2),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        num_classes=2,
    )
    proposal = Instances(
        (9, 9),
        proposal_boxes=Boxes(torch.tensor([[0.0, 0, 2, 2]])),
        gt_classes=torch.tensor([1]),
    )
    deltas = torch.tensor([[0.0, 0, 0, 0, 1, 0.5, 0, 0]])  # class 1: one box to the right
    (boxes,) = predictor.predict_boxes_for_gt_classes((torch.zeros(1, 3), deltas), [proposal])
    assert boxes.tolist() == [[2, 1, 4, 3]]


def test_detections_that_are_not_finite_are_dropped():
    boxes = [torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, float("inf")], [5, 5, 8, 8]])]
    scores = [torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])]
    (found,), (kept,) = fast_rcnn_inference(boxes, scores, [(9, 9)], 0.5, 0.5, -1)
    assert found.pred_boxes.tensor.tolist() == [[0, 0, 4, 4], [5, 5, 8, 8]]
    assert kept.tolist() == [0, 1]  # counted among the finite ones


MASK_BOXES = [[2.0, 2, 14, 16], [0, 3, 20.5, 22], [5.5, 1, 27, 23]]


def mask_instances(gt_masks):
    return [
        Instances(
            (24, 28),
            gt_classes=torch.tensor(classes),
            proposal_boxes=Boxes(torch.tensor(MASK_BOXES)[rows]),
            gt_masks=gt_masks[rows],
        )
        for rows, classes in ((slice(0, 2), [0, 2]), (slice(2, 3), [1]))
    ]


@pytest.fixture
def mask_record(read_records):
    return read_records("b_modeling")["mask_head"]


@pytest.fixture
def mask_logits(wave, fill_waves, mask_record):
    head = fill_waves(
        MaskRCNNConvUpsampleHead(ShapeSpec(4, 6, 6), num_classes=3, conv_dims=[5, 5, 6])
    )
    assert {k: list(v.shape) for k, v in head.state_dict().items()} == mask_record["state_dict"]
    with torch.no_grad():
        return head.layers(wave((3, 4, 6, 6), 0, 3, torch.float32))


def test_mask_logits_and_loss_equal_the_recorded_ones(mask_record, mask_logits, wave, check):
    check(mask_logits, mask_record["logits"])
    expected = mask_record["loss"]
    with EventStorage() as storage:
        loss = mask_rcnn_loss(mask_logits, mask_instances(BitMasks(wave((3, 24, 28), 2) > 0)))
    assert loss.item() == pytest.approx(expected["loss_mask"], rel=1e-5)
    logged = {name: value for name, (value, _) in storage.latest().items()}
    assert logged == pytest.approx(expected["logged"], rel=1e-6)


def test_mask_loss_with_polygons(mask_record, mask_logits):
    expected = mask_record["loss_polygons"]
    masks = PolygonMasks([[np.array(p) for p in one] for one in expected["polygons"]])
    with EventStorage():
        loss = mask_rcnn_loss(mask_logits, mask_instances(masks))
    assert loss.item() == pytest.approx(expected["loss_mask"], rel=1e-4)


def test_mask_loss_without_foreground_is_zero(mask_logits):
    nothing = Instances((24, 28), gt_classes=torch.zeros(0).long())
    assert mask_rcnn_loss(mask_logits[:0], [nothing]).item() == 0


def test_masks_of_the_predicted_class(mask_record, mask_logits, check):
    expected = mask_record["inference"]
    found = [
        Instances((24, 28), pred_classes=torch.tensor(classes))
        for classes in expected["pred_classes"]
    ]
    mask_rcnn_inference(mask_logits, found)
    for one, record in zip(found, expected["pred_masks"], strict=True):
        check(one.pred_masks, record)


class Sampler(ROIHeads):
    """Only matching and sampling."""

    def forward(self, images, features, proposals, targets=None):
        return self.label_and_sample_proposals(proposals, targets), {}


def test_sampled_proposals_know_what_they_should_be():
    heads = Sampler(
        num_classes=5,
        batch_size_per_image=4,
        positive_fraction=0.5,
        proposal_matcher=Matcher([0.5], [0, 1]),
    )
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 2, 2], [40, 0, 50, 10]])
    proposals = [
        Instances(
            (60, 60),
            proposal_boxes=Boxes(boxes.clone()),
            objectness_logits=torch.zeros(4),
        )
        for _ in range(2)
    ]
    targets = [
        Instances(
            (60, 60),
            gt_boxes=Boxes(torch.tensor([[0.0, 0, 10, 9]])),
            gt_classes=torch.tensor([2]),
            gt_names=torch.tensor([7]),
            other=torch.tensor([1]),
        ),
        Instances((60, 60), gt_boxes=Boxes(torch.zeros(0, 4)), gt_classes=torch.zeros(0).long()),
    ]
    with EventStorage() as storage:
        (first, second), _ = heads(None, None, proposals, targets)
    # The first has its own box and the appended truth as foreground, which comes first.
    assert first.gt_classes.tolist() == [2, 2, 5, 5]
    assert first.gt_names.tolist() == [7] * 4
    assert not first.has("other")
    assert second.gt_classes.tolist() == [5] * 4
    assert not second.has("gt_boxes")
    assert storage.latest()["roi_head/num_fg_samples"][0] == 1.0
    assert storage.latest()["roi_head/num_bg_samples"][0] == 3.0
    foreground, masks = select_foreground_proposals([first, second], 5)
    assert [len(one) for one in foreground] == [2, 0]
    assert masks[0].tolist() == [True, True, False, False]
