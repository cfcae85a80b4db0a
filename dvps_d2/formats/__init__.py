"""Files on disk <-> records and label maps. NumPy, OpenCV and Pillow; no torch.

``READERS[name]`` reads one dataset as people download it: `load_records` lists videos without
decoding anything, `read_panoptic` and `read_depth` decode one frame.
"""

from __future__ import annotations

from dvps_d2.formats.cityscapes_dvps import CityscapesDVPS
from dvps_d2.formats.classes import VOID, ClassTable, class_table
from dvps_d2.formats.errors import FormatError, TreeError
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.records import DatasetReader, FrameRecord, VideoRecord

READERS: dict[str, DatasetReader] = {reader.name: reader for reader in (CityscapesDVPS(),)}

__all__ = [
    "READERS",
    "VOID",
    "ClassTable",
    "DatasetReader",
    "FormatError",
    "FrameRecord",
    "PanopticLabel",
    "TreeError",
    "VideoRecord",
    "class_table",
]
