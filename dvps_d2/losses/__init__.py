"""Training: which prediction answers for which segment, and what its errors cost."""

from .criterion import LossWeights, SetCriterion
from .denoising import DenoisingPlan, make_denoising
from .depth import (
    DepthLoss,
    absolute_relative_loss,
    scale_invariant_log_loss,
    square_relative_loss,
)
from .depth_supervision import DepthSupervision
from .mask import dice_loss, pairwise_dice, pairwise_sigmoid_bce, sigmoid_bce_loss
from .matcher import BY_ONE_FRAME, HungarianMatcher
from .pairs import Pairs
from .sampling import SAMPLINGS, DenseSampling, MaskSampling, PointSampling
from .targets import FrameTargets

__all__ = [
    "BY_ONE_FRAME",
    "SAMPLINGS",
    "DenoisingPlan",
    "DenseSampling",
    "DepthLoss",
    "DepthSupervision",
    "FrameTargets",
    "HungarianMatcher",
    "LossWeights",
    "MaskSampling",
    "Pairs",
    "PointSampling",
    "SetCriterion",
    "absolute_relative_loss",
    "dice_loss",
    "make_denoising",
    "pairwise_dice",
    "pairwise_sigmoid_bce",
    "scale_invariant_log_loss",
    "sigmoid_bce_loss",
    "square_relative_loss",
]
