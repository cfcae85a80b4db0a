"""What detectors take and give: boxes, masks, image batches, and their container."""

from detectron2._subset import absent as _absent

from .boxes import (
    Boxes,
    BoxMode,
    pairwise_ioa,
    pairwise_iou,
    pairwise_point_box_distance,
)
from .image_list import ImageList
from .instances import Instances
from .masks import (
    BitMasks,
    PolygonMasks,
    ROIMasks,
    polygons_to_bitmask,
)

Keypoints = _absent("detectron2.structures.Keypoints")
RotatedBoxes = _absent("detectron2.structures.RotatedBoxes")
heatmaps_to_keypoints = _absent("detectron2.structures.heatmaps_to_keypoints")
pairwise_iou_rotated = _absent("detectron2.structures.pairwise_iou_rotated")

__all__ = [
    "BitMasks",
    "BoxMode",
    "Boxes",
    "ImageList",
    "Instances",
    "Keypoints",
    "PolygonMasks",
    "ROIMasks",
    "RotatedBoxes",
    "heatmaps_to_keypoints",
    "pairwise_ioa",
    "pairwise_iou",
    "pairwise_iou_rotated",
    "pairwise_point_box_distance",
    "polygons_to_bitmask",
]
