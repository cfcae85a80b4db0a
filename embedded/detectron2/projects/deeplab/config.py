"""The configuration keys of DeepLab."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_deeplab_config(cfg: CfgNode) -> None:
    """Add the keys with their defaults."""
    # Share of an image crop that one class may fill; 1.0 sets no limit.
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    # Exponent of the polynomial schedule, and the fraction of the rate at which it stops.
    cfg.SOLVER.POLY_LR_POWER = 0.9
    cfg.SOLVER.POLY_LR_CONSTANT_ENDING = 0.0

    head = cfg.MODEL.SEM_SEG_HEAD
    head.LOSS_TYPE = "hard_pixel_mining"  # or cross_entropy
    # Low-level features that the decoder takes in, and their channels after projection.
    head.PROJECT_FEATURES = ["res2"]
    head.PROJECT_CHANNELS = [48]
    # Atrous spatial pyramid pooling.
    head.ASPP_CHANNELS = 256
    head.ASPP_DILATIONS = [6, 12, 18]
    head.ASPP_DROPOUT = 0.1
    head.USE_DEPTHWISE_SEPARABLE_CONV = False

    resnets = cfg.MODEL.RESNETS
    resnets.RES4_DILATION = 1
    # Factors on RES5_DILATION for the three blocks of res5.
    resnets.RES5_MULTI_GRID = [1, 2, 4]
    resnets.STEM_TYPE = "deeplab"  # or basic
