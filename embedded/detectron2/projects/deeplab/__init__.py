"""Polynomial schedules, dilated ResNets and, in ``loss``, hard pixel mining.

Importing this package registers ``build_resnet_deeplab_backbone``.
"""

from detectron2._subset import absent
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY

from .build_solver import build_lr_scheduler
from .config import add_deeplab_config
from .resnet import build_resnet_deeplab_backbone

DeepLabV3Head = absent("detectron2.projects.deeplab.DeepLabV3Head")
DeepLabV3PlusHead = absent("detectron2.projects.deeplab.DeepLabV3PlusHead")
# Known by name, as in Detectron2, and refused when built.
for _outside in (DeepLabV3Head, DeepLabV3PlusHead):
    SEM_SEG_HEADS_REGISTRY.register(_outside)

__all__ = [
    "DeepLabV3Head",
    "DeepLabV3PlusHead",
    "add_deeplab_config",
    "build_lr_scheduler",
    "build_resnet_deeplab_backbone",
]
