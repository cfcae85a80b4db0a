"""Backbones: ResNet, and FPN over it."""

from detectron2._subset import absent

from .backbone import Backbone
from .build import BACKBONE_REGISTRY, build_backbone
from .fpn import FPN
from .resnet import (
    BasicStem,
    BottleneckBlock,
    ResNet,
    ResNetBlockBase,
    build_resnet_backbone,
    make_stage,
)

MViT = absent("detectron2.modeling.backbone.MViT")
RegNet = absent("detectron2.modeling.backbone.RegNet")
SimpleFeaturePyramid = absent("detectron2.modeling.backbone.SimpleFeaturePyramid")
SwinTransformer = absent("detectron2.modeling.backbone.SwinTransformer")
ViT = absent("detectron2.modeling.backbone.ViT")
get_vit_lr_decay_rate = absent("detectron2.modeling.backbone.get_vit_lr_decay_rate")

__all__ = [
    "BACKBONE_REGISTRY",
    "FPN",
    "Backbone",
    "BasicStem",
    "BottleneckBlock",
    "MViT",
    "RegNet",
    "ResNet",
    "ResNetBlockBase",
    "SimpleFeaturePyramid",
    "SwinTransformer",
    "ViT",
    "build_backbone",
    "build_resnet_backbone",
    "get_vit_lr_decay_rate",
    "make_stage",
]
