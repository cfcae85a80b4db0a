"""The configuration keys of PointRend. Its heads are outside the subset."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_pointrend_config(cfg: CfgNode) -> None:
    """Add the keys with their defaults."""
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    # ColorAugSSDTransform in training.
    cfg.INPUT.COLOR_AUG_SSD = False

    # The coarse mask head.
    mask_head = cfg.MODEL.ROI_MASK_HEAD
    mask_head.IN_FEATURES = ("p2",)
    mask_head.FC_DIM = 1024
    mask_head.NUM_FC = 2
    mask_head.OUTPUT_SIDE_RESOLUTION = 7
    mask_head.POINT_HEAD_ON = False

    cfg.MODEL.POINT_HEAD = head = CfgNode()
    head.NAME = "StandardPointHead"
    head.NUM_CLASSES = 80
    head.IN_FEATURES = ("p2",)
    # Training: points per mask, how many more are drawn first, share of uncertain ones.
    head.TRAIN_NUM_POINTS = 14 * 14
    head.OVERSAMPLE_RATIO = 3
    head.IMPORTANCE_SAMPLE_RATIO = 0.75
    # Inference: times the mask is doubled, and points refined each time.
    head.SUBDIVISION_STEPS = 5
    head.SUBDIVISION_NUM_POINTS = 28 * 28
    head.FC_DIM = 256
    head.NUM_FC = 3
    head.CLS_AGNOSTIC_MASK = False
    head.COARSE_PRED_EACH_LAYER = True
    head.COARSE_SEM_SEG_HEAD_NAME = "SemSegFPNHead"

    cfg.MODEL.IMPLICIT_POINTREND = implicit = CfgNode()
    implicit.IMAGE_FEATURE_ENABLED = True
    implicit.POS_ENC_ENABLED = True
    implicit.PARAMS_L2_REGULARIZER = 1e-5
