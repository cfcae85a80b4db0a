"""Sampling at points, and the colour jitter that came with it."""

from detectron2._subset import absent
from detectron2.modeling import ROI_MASK_HEAD_REGISTRY, SEM_SEG_HEADS_REGISTRY

from . import point_features
from .color_augmentation import ColorAugSSDTransform
from .config import add_pointrend_config

ImplicitPointRendMaskHead = absent("detectron2.projects.point_rend.ImplicitPointRendMaskHead")
PointRendMaskHead = absent("detectron2.projects.point_rend.PointRendMaskHead")
PointRendSemSegHead = absent("detectron2.projects.point_rend.PointRendSemSegHead")
# Known by name, as in Detectron2, and refused when built.
SEM_SEG_HEADS_REGISTRY.register(PointRendSemSegHead)
for _outside in (ImplicitPointRendMaskHead, PointRendMaskHead):
    ROI_MASK_HEAD_REGISTRY.register(_outside)

__all__ = [
    "ColorAugSSDTransform",
    "ImplicitPointRendMaskHead",
    "PointRendMaskHead",
    "PointRendSemSegHead",
    "add_pointrend_config",
    "point_features",
]
