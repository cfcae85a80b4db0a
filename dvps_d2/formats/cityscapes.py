"""Cityscapes as released: single labelled images, each with the raw frames around it.

``gtFine/SPLIT/<city>/<city>_SSSSSS_FFFFFF_gtFine_instanceIds.png`` (16 bit: label id, or
label id x 1000 + instance in things) belongs to ``<city>_SSSSSS_FFFFFF_leftImg8bit.png`` in
``leftImg8bit/SPLIT/<city>``. Neighbours are taken from ``leftImg8bit_sequence/SPLIT/<city>``, where
it was downloaded. Every labelled image is a video of its own.

Source: Cordts et al., "The Cityscapes Dataset", CVPR 2016.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import FormatError, TreeError, tree_error
from dvps_d2.formats.files import image_size
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.png import read_depth_png, read_png
from dvps_d2.formats.records import (
    FrameRecord,
    VideoRecord,
    check_split,
    drop_excluded,
    frame_record,
    require_depth,
    require_label,
)

logger = logging.getLogger(__name__)

LABEL_DIVISOR = 1000
# Label id of every class, in the order of the class table; all others are void.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LARGEST_LABEL_ID = 33
NAME = re.compile(r"((.+_\d{6})_(\d{6}))_gtFine_instanceIds\.png")
EXPECTED = (
    "gtFine/{train,val}/<city>/<city>_SSSSSS_FFFFFF_gtFine_instanceIds.png, "
    "leftImg8bit/{train,val}/<city>/<city>_SSSSSS_FFFFFF_leftImg8bit.png"
)


class Cityscapes:
    """Reader of the released tree.

    Args:
        reach: raw frames on either side of a labelled image that its record lists.
    """

    name = "cityscapes"
    splits = ("train", "val")
    categories = class_table("cityscapes")

    def __init__(self, reach: int = 1) -> None:
        self.reach = reach
        values = np.arange(1 << 16)
        label_ids = np.where(values < LABEL_DIVISOR, values, values // LABEL_DIVISOR)
        class_of = np.full(256, VOID, dtype=np.uint8)
        class_of[list(LABEL_IDS)] = range(len(LABEL_IDS))
        self._semantic_of = class_of[np.minimum(label_ids, 255)]
        things = self.categories.is_thing[self._semantic_of]
        # A thing without an instance number is a group that was not told apart.
        self._is_crowd = things & (values < LABEL_DIVISOR)
        self._track_of = np.where(things & ~self._is_crowd, values, 0).astype(np.int32)
        self._unknown = label_ids > LARGEST_LABEL_ID

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        folders = [Path(root) / "gtFine" / split for split in self.splits]
        return any(next(f.glob("*/*_gtFine_instanceIds.png"), None) is not None for f in folders)

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All images of "train" or "val", each with its raw neighbours; see `DatasetReader`.

        Images without a frame before them are counted in the log.

        Raises:
            TreeError: wrong folder, or a label without its image.
        """
        check_split(split, self.splits, "Cityscapes")
        folder = Path(root) / "gtFine" / split
        labels = sorted(folder.glob("*/*.png"))
        found = [(path, match) for path in labels if (match := NAME.fullmatch(path.name))]
        if not found:
            raise tree_error("Cityscapes", Path(root), EXPECTED)
        records = [self._record(Path(root), split, path, match) for path, match in found]
        alone = [r["video_id"] for r in records if r["frames"][0]["labelled"]]
        if alone:
            logger.warning(
                "%d of %d images have no frame before them in leftImg8bit_sequence/%s, first: %s",
                *(len(alone), len(records), split, alone[0]),
            )
        return drop_excluded(records, exclude)

    def _record(self, root: Path, split: str, label: Path, match: re.Match[str]) -> VideoRecord:
        video_id, sequence, number = match[1], match[2], int(match[3])
        city = label.parent.name
        image = root / "leftImg8bit" / split / city / f"{video_id}_leftImg8bit.png"
        if not image.is_file():
            raise TreeError(f"{label} has no image: expected {image}")
        raw = root / "leftImg8bit_sequence" / split / city
        frames = []
        for frame_id in range(number - self.reach, number + self.reach + 1):
            neighbour = raw / f"{sequence}_{frame_id:06d}_leftImg8bit.png"
            if frame_id == number:
                frames.append(frame_record(image, frame_id, label=label))
            elif neighbour.is_file():
                frames.append(frame_record(neighbour, frame_id))
        height, width = image_size(str(image))
        return VideoRecord(video_id=video_id, height=height, width=width, frames=frames)

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode an instance map; groups of things are void, as for VPSNet."""
        values = self._read(frame)
        class_ids = np.where(self._is_crowd[values], VOID, self._semantic_of[values])
        return PanopticLabel(class_ids.astype(np.uint8), self._track_of[values])

    def read_semantic(self, frame: FrameRecord, label: PanopticLabel) -> np.ndarray:
        """(H, W) uint8 class ids; groups of things have their class."""
        return self._semantic_of[self._read(frame)]

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """Cityscapes has disparities only: always an error that says so."""
        return read_depth_png(require_depth(frame))

    def _read(self, frame: FrameRecord) -> np.ndarray:
        path = require_label(frame)
        values = read_png(path, channels=1, bits=16)
        unknown = values[self._unknown[values]]
        if unknown.size:
            raise FormatError(
                f"{path} holds {unknown[0]} in {unknown.size} pixels: label ids are 0 to "
                f"{LARGEST_LABEL_ID}, times {LABEL_DIVISOR} in instances"
            )
        return values
