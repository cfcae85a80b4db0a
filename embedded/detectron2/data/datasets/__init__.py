"""Reading common annotation formats. No data set is registered by importing this."""

from detectron2._subset import absent as _absent

from .coco import convert_to_coco_json, load_coco_json, load_sem_seg, register_coco_instances
from .coco_panoptic import register_coco_panoptic, register_coco_panoptic_separated

get_lvis_instances_meta = _absent("detectron2.data.datasets.get_lvis_instances_meta")
load_lvis_json = _absent("detectron2.data.datasets.load_lvis_json")
load_voc_instances = _absent("detectron2.data.datasets.load_voc_instances")
register_lvis_instances = _absent("detectron2.data.datasets.register_lvis_instances")
register_pascal_voc = _absent("detectron2.data.datasets.register_pascal_voc")

__all__ = [
    "convert_to_coco_json",
    "get_lvis_instances_meta",
    "load_coco_json",
    "load_lvis_json",
    "load_sem_seg",
    "load_voc_instances",
    "register_coco_instances",
    "register_coco_panoptic",
    "register_coco_panoptic_separated",
    "register_lvis_instances",
    "register_pascal_voc",
]
