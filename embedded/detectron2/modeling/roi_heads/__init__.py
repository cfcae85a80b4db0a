"""Second stages: box and mask heads on proposals."""

from detectron2._subset import absent

from .box_head import ROI_BOX_HEAD_REGISTRY, FastRCNNConvFCHead, build_box_head
from .fast_rcnn import FastRCNNOutputLayers
from .mask_head import (
    ROI_MASK_HEAD_REGISTRY,
    BaseMaskRCNNHead,
    MaskRCNNConvUpsampleHead,
    build_mask_head,
)
from .roi_heads import (
    ROI_HEADS_REGISTRY,
    ROIHeads,
    StandardROIHeads,
    build_roi_heads,
    select_foreground_proposals,
)

BaseKeypointRCNNHead = absent("detectron2.modeling.roi_heads.BaseKeypointRCNNHead")
CascadeROIHeads = absent("detectron2.modeling.roi_heads.CascadeROIHeads")
KRCNNConvDeconvUpsampleHead = absent("detectron2.modeling.roi_heads.KRCNNConvDeconvUpsampleHead")
ROI_KEYPOINT_HEAD_REGISTRY = absent("detectron2.modeling.roi_heads.ROI_KEYPOINT_HEAD_REGISTRY")
RROIHeads = absent("detectron2.modeling.roi_heads.RROIHeads")
Res5ROIHeads = absent("detectron2.modeling.roi_heads.Res5ROIHeads")
build_keypoint_head = absent("detectron2.modeling.roi_heads.build_keypoint_head")
# Known by name, as in Detectron2, and refused when built.
for _outside in (CascadeROIHeads, RROIHeads, Res5ROIHeads):
    ROI_HEADS_REGISTRY.register(_outside)

__all__ = [
    "ROI_BOX_HEAD_REGISTRY",
    "ROI_HEADS_REGISTRY",
    "ROI_KEYPOINT_HEAD_REGISTRY",
    "ROI_MASK_HEAD_REGISTRY",
    "BaseKeypointRCNNHead",
    "BaseMaskRCNNHead",
    "CascadeROIHeads",
    "FastRCNNConvFCHead",
    "FastRCNNOutputLayers",
    "KRCNNConvDeconvUpsampleHead",
    "MaskRCNNConvUpsampleHead",
    "ROIHeads",
    "RROIHeads",
    "Res5ROIHeads",
    "StandardROIHeads",
    "build_box_head",
    "build_keypoint_head",
    "build_mask_head",
    "build_roi_heads",
    "select_foreground_proposals",
]
