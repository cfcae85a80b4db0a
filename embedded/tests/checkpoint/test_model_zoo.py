"""Files in the formats of the model zoo, with random values, load without a remainder."""

import logging
import pickle

import numpy as np
import pytest
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.modeling import build_backbone, build_model

FOUR = ["res2", "res3", "res4", "res5"]


def zoo_cfg(meta_architecture):
    cfg = get_cfg()
    model = cfg.MODEL
    model.DEVICE = "cpu"
    model.META_ARCHITECTURE, model.MASK_ON = meta_architecture, True
    model.BACKBONE.NAME = "build_resnet_fpn_backbone"
    model.RESNETS.OUT_FEATURES = model.FPN.IN_FEATURES = FOUR
    model.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
    model.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    model.ROI_HEADS.NAME = "StandardROIHeads"
    model.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    model.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    model.ROI_BOX_HEAD.NUM_FC, model.ROI_BOX_HEAD.POOLER_RESOLUTION = 2, 7
    model.ROI_MASK_HEAD.NUM_CONV, model.ROI_MASK_HEAD.POOLER_RESOLUTION = 4, 14
    return cfg


@pytest.fixture
def complaints():
    """Messages of a load that left something over."""
    messages = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Handler(logging.WARNING)
    loggers = [
        logging.getLogger("fvcore.common.checkpoint"),
        logging.getLogger("detectron2.checkpoint.c2_model_loading"),
    ]
    for logger in loggers:
        logger.addHandler(handler)
    yield messages
    for logger in loggers:
        logger.removeHandler(handler)


def random_array(rng, shape):
    # A view of a small block: real values would take seconds to draw.
    block = rng.random(1024, dtype=np.float32)
    return np.resize(block, shape)


def same(model, weights, rename=lambda name: name):
    state = model.state_dict()
    for name, value in weights.items():
        np.testing.assert_array_equal(state[rename(name)].numpy(), value, err_msg=name)


@pytest.mark.parametrize(
    ("meta_architecture", "table"),
    [
        ("GeneralizedRCNN", "b_mask_rcnn_R_50_FPN_coco"),
        ("PanopticFPN", "b_panoptic_fpn_R_50_coco"),
    ],
)
def test_detectors(read_records, tmp_path, complaints, meta_architecture, table):
    rng = np.random.default_rng(0)
    weights = {k: random_array(rng, shape) for k, shape in read_records(table).items()}
    # Released files carry these, too.
    extra = {
        "pixel_mean": np.zeros((3, 1, 1), np.float32),
        "pixel_std": np.ones((3, 1, 1), np.float32),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
    }
    path = tmp_path / "model_final.pkl"
    data = {"model": {**weights, **extra}, "__author__": "Detectron2 Model Zoo"}
    path.write_bytes(pickle.dumps(data, protocol=2))
    model = build_model(zoo_cfg(meta_architecture))
    left = DetectionCheckpointer(model).load(str(path))
    same(model, weights)
    # The colours are buffers outside the state dict: a file's own are left over.
    assert all("pixel_" in message for message in complaints), complaints
    assert set(left) == {"__author__"}


def test_resnet_from_a_torchvision_file(read_records, tmp_path, complaints):
    rng = np.random.default_rng(0)
    table = read_records("b_backbone_resnet50_frozenbn")
    weights = {k: random_array(rng, shape) for k, shape in table.items()}
    path = tmp_path / "R-50.pkl"
    data = {"model": dict(weights), "__author__": "torchvision", "matching_heuristics": True}
    path.write_bytes(pickle.dumps(data))
    cfg = zoo_cfg("GeneralizedRCNN")
    model = build_backbone(cfg)
    DetectionCheckpointer(model).load(str(path))
    same(model, weights, lambda name: f"bottom_up.{name}")
    # Only the pyramid is new.
    assert len(complaints) == 1
    assert "fpn_lateral2" in complaints[0]


def to_caffe2(name):
    """Our name of a ResNet weight -> the name in MSRA's files; None for statistics."""
    if "running" in name:
        return None
    name = name.replace("stem.conv1.norm", "res_conv1_bn").replace("stem.conv1", "conv1")
    name = name.replace("norm.weight", "bn_s").replace("norm.bias", "bn_b")
    name = name.replace("bn.weight", "bn_s").replace("bn.bias", "bn_b")
    for ours, theirs in (
        ("shortcut", "branch1"),
        ("conv1", "branch2a"),
        ("conv2", "branch2b"),
        ("conv3", "branch2c"),
    ):
        if name.startswith("res") and not name.startswith("res_"):
            name = name.replace(ours, theirs)
    return name.replace(".weight", "_w").replace(".", "_")


def test_resnet_from_an_msra_file(read_records, tmp_path, complaints):
    rng = np.random.default_rng(0)
    table = read_records("b_backbone_resnet50_frozenbn")
    weights = {k: random_array(rng, s) for k, s in table.items() if to_caffe2(k)}
    blobs = {to_caffe2(k): v for k, v in weights.items()}
    assert "res_conv1_bn_s" in blobs
    assert "res2_0_branch2a_bn_b" in blobs
    assert len(blobs) == len(weights) == 159
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({**blobs, "conv1_w_momentum": np.zeros(1, np.float32)}, 2))
    cfg = zoo_cfg("GeneralizedRCNN")
    cfg.MODEL.BACKBONE.NAME = "build_resnet_backbone"
    model = build_backbone(cfg)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.fill_(9.0)
    DetectionCheckpointer(model).load(str(path))
    same(model, weights)
    # Caffe2 folds statistics into the affine map.
    assert model.stem.conv1.norm.running_mean.unique().tolist() == [0.0]
    assert model.res5[0].conv1.norm.running_var.unique().tolist() == [1.0]
    assert complaints == []
