"""Whole models, end to end, against reference values and published key lists."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    META_ARCH_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    Backbone,
    SemanticSegmentor,
    build_model,
    detector_postprocess,
)
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage


def rcnn_fpn_cfg(meta_architecture):
    """The values of the published Mask R-CNN and Panoptic FPN configs."""
    cfg = get_cfg()
    model = cfg.MODEL
    cfg.MODEL.DEVICE = "cpu"
    model.META_ARCHITECTURE = meta_architecture
    model.MASK_ON = True
    model.BACKBONE.NAME = "build_resnet_fpn_backbone"
    model.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
    model.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.PRE_NMS_TOPK_TEST = 2000, 1000
    model.RPN.POST_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TEST = 1000, 1000
    model.ROI_HEADS.NAME = "StandardROIHeads"
    model.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    model.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    model.ROI_BOX_HEAD.NUM_FC = 2
    model.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    model.ROI_MASK_HEAD.NUM_CONV = 4
    model.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
    model.SEM_SEG_HEAD.LOSS_WEIGHT = 0.5
    return cfg


def tiny_cfg(meta_architecture):
    cfg = rcnn_fpn_cfg(meta_architecture)
    model = cfg.MODEL
    model.RESNETS.DEPTH, model.RESNETS.RES2_OUT_CHANNELS = 18, 64
    model.RESNETS.NORM = "BN"
    model.BACKBONE.FREEZE_AT = 0
    model.FPN.OUT_CHANNELS = 16
    model.ROI_HEADS.NUM_CLASSES = 3
    model.ROI_BOX_HEAD.FC_DIM = 24
    model.ROI_MASK_HEAD.CONV_DIM, model.ROI_MASK_HEAD.NUM_CONV = 8, 2
    model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.PRE_NMS_TOPK_TEST = 200, 100
    model.RPN.POST_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TEST = 60, 30
    model.RPN.BATCH_SIZE_PER_IMAGE = 4096
    cfg.TEST.DETECTIONS_PER_IMAGE = 6
    model.SEM_SEG_HEAD.CONVS_DIM, model.SEM_SEG_HEAD.NUM_CLASSES = 32, 4
    model.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 200
    model.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.2
    return cfg


@pytest.fixture(scope="module")
def tiny_model(fill_waves):
    @functools.cache
    def make(meta_architecture):
        model = fill_waves(build_model(tiny_cfg(meta_architecture)))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.startswith("backbone.") and parameter.dim() == 4:
                    parameter *= 4 / parameter[0].numel() ** 0.5
                if name.startswith("roi_heads.box_predictor.cls_score."):
                    parameter *= 30
        return model

    return make


@pytest.fixture
def two_images(wave):
    first = 127.5 + 127.5 * wave((3, 96, 128), 0, 1, torch.float32)
    second = 127.5 + 127.5 * wave((3, 80, 100), 2, 1, torch.float32)
    return [{"image": first, "height": 192, "width": 256}, {"image": second}]


def add_truth(inputs):
    for item, boxes, classes in zip(
        inputs,
        ([[8.0, 10, 60, 70], [50, 20, 120, 90]], [[5.0, 5, 70, 60]]),
        ([0, 2], [1]),
        strict=True,
    ):
        height, width = item["image"].shape[1:]
        masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
        for mask, (x0, y0, x1, y1) in zip(masks, np.array(boxes, int).tolist(), strict=True):
            mask[y0:y1, x0:x1] = True
            mask[y0 : y0 + 8, x0 : x0 + 8] = False
        item["instances"] = Instances(
            (height, width),
            gt_boxes=Boxes(torch.tensor(boxes)),
            gt_classes=torch.tensor(classes),
            gt_masks=BitMasks(masks),
        )
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        item["sem_seg"] = (y // 20 + x // 30) % 4
        item["sem_seg"][:4] = 255
    return inputs


BOTH = pytest.mark.parametrize("name", ["GeneralizedRCNN", "PanopticFPN"])


@BOTH
def test_features_and_proposals_equal_the_recorded_ones(
    read_records, tiny_model, two_images, check, name
):
    record = read_records("b_modeling")[f"tiny_{name}"]
    model = tiny_model(name).eval()
    assert len(model.state_dict()) == record["n_keys"]
    assert sum(p.numel() for p in model.parameters()) == record["n_params"]
    with torch.no_grad():
        images = model.preprocess_image(two_images)
        features = model.backbone(images.tensor)
        proposals, _ = model.proposal_generator(images, features)
    for level, expected in record["features"].items():
        check(features[level], expected, rel=1e-4)
    for found, expected in zip(proposals, record["proposals"], strict=True):
        assert len(found) == expected["n"]
        np.testing.assert_allclose(
            found.proposal_boxes.tensor[:3], expected["first_boxes"], atol=2e-2
        )
        np.testing.assert_allclose(found.objectness_logits[:5], expected["first_logits"], atol=1e-4)
        assert found.proposal_boxes.tensor.sum().item() == pytest.approx(
            expected["box_sum"], rel=1e-4
        )


@BOTH
def test_detections_equal_the_recorded_ones(read_records, tiny_model, two_images, check, name):
    record = read_records("b_modeling")[f"tiny_{name}"]
    model = tiny_model(name).eval()
    with torch.no_grad():
        outputs = model(two_images)
    for output, expected in zip(outputs, record["detections"], strict=True):
        found = output["instances"]
        assert list(found.image_size) == expected["image_size"]
        np.testing.assert_allclose(found.pred_boxes.tensor, expected["boxes"], atol=2e-2)
        np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-4)
        assert found.pred_classes.tolist() == expected["classes"]
        assert found.pred_masks.dtype == torch.bool
        areas = found.pred_masks.flatten(1).sum(1).tolist()
        assert areas == pytest.approx(expected["mask_areas"], rel=5e-3, abs=2)
    if name != "PanopticFPN":
        return
    for output, scores, panoptic in zip(
        outputs, record["sem_seg"], record["panoptic"], strict=True
    ):
        check(output["sem_seg"], scores, rel=1e-4)
        ids, segments = output["panoptic_seg"]
        assert ids.dtype == torch.int32
        for segment, expected in zip(segments, panoptic["segments_info"], strict=True):
            assert list(segment) == list(expected)
            for key, value in expected.items():
                assert segment[key] == pytest.approx(value, rel=5e-3), key
        for label, area in panoptic["areas"].items():
            assert (ids == int(label)).sum().item() == pytest.approx(area, rel=1e-2, abs=3)


@BOTH
def test_losses_equal_the_recorded_ones(read_records, tiny_model, two_images, name):
    record = read_records("b_modeling")[f"tiny_{name}"]["train"]
    model = tiny_model(name).train()
    torch.manual_seed(0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with EventStorage() as storage:
        losses = model(add_truth(two_images))
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.load_state_dict(before)  # batch statistics have moved, and others use this model too
    assert list(losses) == record["order"]
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(record["losses"], rel=1e-4)
    for key, value in record["logged"].items():
        assert storage.latest()[key][0] == pytest.approx(value, rel=1e-3), key


@pytest.mark.parametrize(
    ("name", "table", "parameters", "trainable"),
    [
        ("GeneralizedRCNN", "b_mask_rcnn_R_50_FPN_coco", 44_343_216, 44_120_816),
        ("PanopticFPN", "b_panoptic_fpn_R_50_coco", 45_973_990, 45_751_590),
    ],
)
def test_published_models_have_the_published_keys(read_records, name, table, parameters, trainable):
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get(name)(rcnn_fpn_cfg(name))
    assert {k: list(v.shape) for k, v in model.state_dict().items()} == read_records(table)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable


def test_masks_for_given_boxes(tiny_model, two_images):
    model = tiny_model("GeneralizedRCNN").eval()
    with torch.no_grad():
        full = model.inference(two_images, do_postprocess=False)
        given = [
            Instances(one.image_size, pred_boxes=one.pred_boxes, pred_classes=one.pred_classes)
            for one in full
        ]
        again = model.inference(two_images, detected_instances=given, do_postprocess=False)
    torch.testing.assert_close(again[1].pred_masks, full[1].pred_masks)
    assert again[0].pred_masks.shape == (6, 1, 28, 28)


def test_sem_seg_head_equals_the_recorded_one(read_records, wave, fill_waves, check):
    record = read_records("b_modeling")["sem_seg_fpn_head"]
    head = SemSegFPNHead(
        {f"p{i}": ShapeSpec(channels=4, stride=2**i) for i in (2, 3, 4, 5)},
        num_classes=5,
        conv_dims=32,
        common_stride=4,
        norm="GN",
        ignore_value=255,
        loss_weight=0.5,
    )
    head = fill_waves(head.double())
    assert {k: list(v.shape) for k, v in head.state_dict().items()} == record["state_dict"]
    features = {f"p{i}": wave((2, 4, 64 >> i, 96 >> i), i) for i in (2, 3, 4, 5)}
    scores, losses = head.eval()(features)
    assert losses == {}
    check(scores, record["logits_full_size"])
    targets = torch.floor(2.49 * wave((2, 64, 96), 1) + 2.5).long()
    targets[:, :5] = 255
    nothing, losses = head.train()(features, targets)
    assert nothing is None
    assert losses["loss_sem_seg"].item() == pytest.approx(record["loss_sem_seg"], rel=1e-5)
    assert losses["loss_sem_seg"].dtype == torch.float32


def test_detections_scaled_to_the_output(read_records, mask_probabilities):
    expected = read_records("b_modeling")["mask_head"]["detector_postprocess_to_36x56"]
    boxes = Boxes(torch.tensor([[2.0, 2, 14, 16], [0, 3, 20.5, 22]]))
    found = Instances((24, 28), pred_boxes=boxes, pred_masks=mask_probabilities)
    scaled = detector_postprocess(found, 36, 56)
    assert scaled.pred_boxes.tensor.tolist() == expected["boxes"]
    assert list(scaled.pred_masks.shape) == expected["mask_shape"]
    assert str(scaled.pred_masks.dtype) == expected["mask_dtype"]
    assert scaled.pred_masks.flatten(1).sum(1).tolist() == expected["mask_areas"]
    # The boxes that went in are scaled too.
    assert boxes.tensor.tolist() == expected["boxes"]


@pytest.fixture
def mask_probabilities(wave, fill_waves):
    from detectron2.modeling.roi_heads import MaskRCNNConvUpsampleHead

    head = fill_waves(
        MaskRCNNConvUpsampleHead(ShapeSpec(4, 6, 6), num_classes=3, conv_dims=[5, 5, 6])
    )
    with torch.no_grad():
        logits = head.layers(wave((3, 4, 6, 6), 0, 3, torch.float32))
    return logits[[0, 1], [2, 0]][:, None].sigmoid()


def test_empty_boxes_are_dropped_from_the_output():
    boxes = Boxes(torch.tensor([[0.0, 0, 4, 4], [30, 30, 40, 40]]))
    found = Instances((24, 28), pred_boxes=boxes, scores=torch.tensor([0.9, 0.8]))
    assert detector_postprocess(found, 24, 28).scores.tolist() == pytest.approx([0.9])


def test_class_scores_resized_to_the_output(read_records, wave, check):
    record = read_records("b_modeling")["sem_seg_postprocess"]
    check(sem_seg_postprocess(wave((3, 16, 24)), (14, 20), 28, 45), record["output"])


def test_combination_equals_the_recorded_one(read_records):
    record = read_records("b_modeling")["panoptic_combine"]
    y, x = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    masks = [
        (y < 12) & (x < 10),
        (y < 10) & (x >= 4) & (x < 14),
        (y >= 6) & (y < 20) & (x >= 20),
        (y > 22) & (x < 2),
        y < 0,
        (y >= 14) & (x < 8),
    ]
    found = Instances(
        (24, 32),
        scores=torch.tensor([0.6, 0.95, 0.8, 0.4, 0.9, 0.5]),
        pred_classes=torch.tensor([3, 1, 0, 2, 2, 1]),
        pred_masks=torch.stack(masks),
    )
    ids, segments = combine_semantic_and_instance_outputs(
        found, y // 8 + 2 * (x // 16), 0.5, 60, 0.5
    )
    assert segments == record["segments_info"]
    assert {str(k): (ids == k).sum().item() for k in range(8)} == record["areas"]
    assert str(ids.dtype) == record["dtype"]


class Pixels(Backbone):
    """The image itself, as a feature map."""

    _out_features = ("p0",)
    _out_feature_channels = {"p0": 3}  # noqa: RUF012
    _out_feature_strides = {"p0": 1}  # noqa: RUF012

    @property
    def size_divisibility(self):
        return 4

    def forward(self, x):
        return {"p0": x}


class FirstTwoChannels(nn.Module):
    """Channels 0 and 1 as scores of two classes."""

    ignore_value = 255

    def forward(self, features, targets=None):
        if self.training:
            return None, {"loss": (targets == 255).sum().float()}
        return features["p0"][:, :2], {}


def make_segmentor():
    return SemanticSegmentor(
        backbone=Pixels(),
        sem_seg_head=FirstTwoChannels(),
        pixel_mean=[1.0, 2.0, 3.0],
        pixel_std=[2.0, 1.0, 1.0],
    )


def test_segmentor_normalises_crops_and_resizes():
    model = make_segmentor().eval()
    image = torch.tensor([5, 2, 0], dtype=torch.uint8)[:, None, None].expand(3, 3, 5)
    first, second = model([{"image": image, "height": 6, "width": 10}, {"image": image}])
    assert first["sem_seg"].shape == (2, 6, 10)
    assert second["sem_seg"].shape == (2, 3, 5)
    assert first["sem_seg"][0].unique().tolist() == [2.0]  # (5 - 1) / 2
    assert first["sem_seg"][1].unique().tolist() == [0.0]
    assert model.device == torch.device("cpu")
    assert list(model.state_dict()) == []


def test_segmentor_pads_labels_with_the_ignored_value():
    model = make_segmentor().train()
    item = {"image": torch.zeros(3, 3, 5), "sem_seg": torch.zeros(3, 5, dtype=torch.long)}
    assert model([item])["loss"].item() == 4 * 8 - 3 * 5


def test_build_model_uses_registry_and_device():
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "NoSuchModel"
    with pytest.raises(KeyError, match="No object named 'NoSuchModel' found in 'META_ARCH'"):
        build_model(cfg)
    assert "SemSegFPNHead" in SEM_SEG_HEADS_REGISTRY
    assert get_cfg().MODEL.DEVICE == "cuda"
