"""Whole models."""

from detectron2._subset import absent

from .build import META_ARCH_REGISTRY, build_model
from .panoptic_fpn import PanopticFPN
from .rcnn import GeneralizedRCNN
from .semantic_seg import SEM_SEG_HEADS_REGISTRY, SemanticSegmentor, build_sem_seg_head

FCOS = absent("detectron2.modeling.meta_arch.FCOS")
DenseDetector = absent("detectron2.modeling.meta_arch.DenseDetector")
ProposalNetwork = absent("detectron2.modeling.meta_arch.ProposalNetwork")
RetinaNet = absent("detectron2.modeling.meta_arch.RetinaNet")
# Known by name, as in Detectron2, and refused when built.
for _outside in (ProposalNetwork, RetinaNet):
    META_ARCH_REGISTRY.register(_outside)

__all__ = [
    "FCOS",
    "META_ARCH_REGISTRY",
    "SEM_SEG_HEADS_REGISTRY",
    "DenseDetector",
    "GeneralizedRCNN",
    "PanopticFPN",
    "ProposalNetwork",
    "RetinaNet",
    "SemanticSegmentor",
    "build_model",
    "build_sem_seg_head",
]
