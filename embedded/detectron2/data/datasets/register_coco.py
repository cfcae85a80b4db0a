"""The registration functions of COCO's formats, under the name of earlier versions."""

from .coco import register_coco_instances
from .coco_panoptic import register_coco_panoptic_separated

__all__ = ["register_coco_instances", "register_coco_panoptic_separated"]
