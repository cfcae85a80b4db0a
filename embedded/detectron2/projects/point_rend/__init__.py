"""Sampling at points, and the colour jitter that came with it."""

from detectron2._subset import absent

from .color_augmentation import ColorAugSSDTransform
from .config import add_pointrend_config

ImplicitPointRendMaskHead = absent("detectron2.projects.point_rend.ImplicitPointRendMaskHead")
PointRendMaskHead = absent("detectron2.projects.point_rend.PointRendMaskHead")
PointRendSemSegHead = absent("detectron2.projects.point_rend.PointRendSemSegHead")

__all__ = [
    "ColorAugSSDTransform",
    "ImplicitPointRendMaskHead",
    "PointRendMaskHead",
    "PointRendSemSegHead",
    "add_pointrend_config",
]
