"""What is outside the subset can be imported and named, and says so when it is used."""

import importlib

import pytest

pytest.importorskip("detectron2._subset", reason="not the embedded package")

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    build_anchor_generator,
    build_model,
    build_proposal_generator,
    build_roi_heads,
)
from detectron2.modeling.poolers import ROIPooler

OFFICIAL = "official"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("detectron2.layers", "ROIAlignRotated"),
        ("detectron2.layers", "nms_rotated"),
        ("detectron2.modeling", "GeneralizedRCNNWithTTA"),
        ("detectron2.modeling", "RetinaNet"),
        ("detectron2.modeling", "SwinTransformer"),
        ("detectron2.modeling.roi_heads", "CascadeROIHeads"),
        ("detectron2.engine.hooks", "TorchProfiler"),
        ("detectron2.evaluation", "COCOEvaluator"),
        ("detectron2.projects.deeplab", "DeepLabV3Head"),
        ("detectron2.projects.point_rend", "PointRendMaskHead"),
    ],
)
def test_names_can_be_imported_but_not_used(module, name):
    outside = getattr(importlib.import_module(module), name)
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        outside()


@pytest.mark.parametrize("name", ["RetinaNet", "ProposalNetwork"])
def test_models(name):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = name
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        build_model(cfg)


def test_the_default_heads_of_the_config():
    with pytest.raises(NotImplementedError, match="Res5ROIHeads"):
        build_roi_heads(get_cfg(), {"res4": ShapeSpec(channels=4, stride=16)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.KEYPOINT_ON", True),
        ("MODEL.ROI_BOX_HEAD.USE_FED_LOSS", True),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlignRotated"),
    ],
)
def test_options_of_heads(key, value):
    cfg = get_cfg()
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_BOX_HEAD.NAME, cfg.MODEL.ROI_BOX_HEAD.NUM_FC = "FastRCNNConvFCHead", 1
    cfg.merge_from_list([key, value])
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        build_roi_heads(cfg, {"res4": ShapeSpec(channels=4, stride=16)})


def test_rotated_parts_and_precomputed_proposals():
    cfg = get_cfg()
    shape = {"res4": ShapeSpec(channels=4, stride=16)}
    cfg.MODEL.ANCHOR_GENERATOR.NAME = "RotatedAnchorGenerator"
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        build_anchor_generator(cfg, list(shape.values()))
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "RRPN"
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        build_proposal_generator(cfg, shape)
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "PrecomputedProposals"
    assert build_proposal_generator(cfg, shape) is None
    with pytest.raises(NotImplementedError, match=OFFICIAL):
        ROIPooler(7, [1 / 16], 0, "ROIAlignRotated")
