"""Own data from other forms: COCO panoptic files, videos with masks -> one JSON and PNGs.

The result is what `dvps_d2.formats.video_panoptic` describes, below one folder::

    OUT/NAME.json
    OUT/NAME/frames/<video>/<frame>.jpg (or .png)
    OUT/NAME/labels/<video>/<frame>.png
    OUT/NAME/depth/<video>/<frame>.png      where depth is given
"""

from __future__ import annotations

from dvps_d2.formats.importers.categories import read_categories
from dvps_d2.formats.importers.coco_panoptic import import_coco_panoptic
from dvps_d2.formats.importers.grouping import Grouping
from dvps_d2.formats.importers.target import ImportTarget
from dvps_d2.formats.importers.video_masks import MaskCoding, import_video_masks

__all__ = [
    "Grouping",
    "ImportTarget",
    "MaskCoding",
    "import_coco_panoptic",
    "import_video_masks",
    "read_categories",
]
