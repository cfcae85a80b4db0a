"""Files on disk <-> records and label maps. NumPy, OpenCV and Pillow; no torch.

``READERS[name]`` reads one dataset as people download it: `load_records` lists videos without
decoding anything, `read_panoptic` and `read_depth` decode one frame.
"""

from __future__ import annotations

from dvps_d2.formats.cityscapes import Cityscapes
from dvps_d2.formats.cityscapes_dvps import CityscapesDVPS
from dvps_d2.formats.cityscapes_vps import CityscapesVPS
from dvps_d2.formats.classes import STREET_CLASSES, VOID, ClassTable, class_table
from dvps_d2.formats.errors import FormatError, TreeError
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.records import DatasetReader, FrameRecord, VideoRecord
from dvps_d2.formats.semkitti_dvps import SemKITTIDVPS
from dvps_d2.formats.video_panoptic import VideoPanopticReader
from dvps_d2.formats.viper import VIPER
from dvps_d2.formats.vipseg import VIPSeg

READERS: dict[str, DatasetReader] = {}


def add_reader(reader: DatasetReader) -> str:
    """Make a reader known by its name and return the name.

    Raises:
        ValueError: another kind of reader has that name.
    """
    known = READERS.get(reader.name)
    if known is not None and type(known) is not type(reader):
        raise ValueError(f"reader name {reader.name!r} belongs to {type(known).__name__}")
    READERS[reader.name] = reader
    return reader.name


for _reader in (
    Cityscapes(),
    CityscapesDVPS(),
    CityscapesVPS(),
    VIPER(),
    VIPSeg(),
    SemKITTIDVPS(),
):
    add_reader(_reader)

__all__ = [
    "READERS",
    "STREET_CLASSES",
    "VIPER",
    "VOID",
    "Cityscapes",
    "CityscapesDVPS",
    "CityscapesVPS",
    "ClassTable",
    "DatasetReader",
    "FormatError",
    "FrameRecord",
    "PanopticLabel",
    "SemKITTIDVPS",
    "TreeError",
    "VIPSeg",
    "VideoPanopticReader",
    "VideoRecord",
    "add_reader",
    "class_table",
]
