"""Polynomial schedules, dilated ResNets and hard pixel mining, by import of this package.

Importing it registers ``build_resnet_deeplab_backbone``.
"""

from detectron2._subset import absent

from .build_solver import build_lr_scheduler
from .config import add_deeplab_config
from .loss import DeepLabCE
from .lr_scheduler import WarmupPolyLR
from .resnet import DeepLabStem, build_resnet_deeplab_backbone

DeepLabV3Head = absent("detectron2.projects.deeplab.DeepLabV3Head")
DeepLabV3PlusHead = absent("detectron2.projects.deeplab.DeepLabV3PlusHead")

__all__ = [
    "DeepLabCE",
    "DeepLabStem",
    "DeepLabV3Head",
    "DeepLabV3PlusHead",
    "WarmupPolyLR",
    "add_deeplab_config",
    "build_lr_scheduler",
    "build_resnet_deeplab_backbone",
]
