"""Cityscapes-DVPS as released: one flat folder per split, three PNGs per labelled frame.

``video_sequence/{train,val}/SSSSSS_FFFFFF_<city>_<sequence>_<frame>_<kind>.png`` with kind
``leftImg8bit`` (image), ``gtFine_instanceTrainIds`` (16 bit, class x 1000 + instance, void 32000)
and ``depth`` (16 bit, 1/256 m, 0 = none). Only the six labelled frames of a video are present.

Source: Qiao et al., "ViP-DeepLab", CVPR 2021, section 4.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import (
    FormatError,
    TreeError,
    absent,
    describe_folder,
    tree_error,
)
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.png import read_depth_png, read_png
from dvps_d2.formats.records import (
    FrameRecord,
    SemanticOfPanoptic,
    VideoRecord,
    check_split,
    complete_videos,
    drop_excluded,
    frame_record,
    make_record,
    require_depth,
    require_label,
)

logger = logging.getLogger(__name__)

LABEL_DIVISOR = 1000
VOID_CLASS = 32
KINDS = {"image": "leftImg8bit", "label": "gtFine_instanceTrainIds", "depth": "depth"}
PATTERN = re.compile(r"(\d{6})_(\d{6})_(?:.+_)?(" + "|".join(KINDS.values()) + r")\.png")
EXPECTED = (
    "video_sequence/{train,val}/SSSSSS_FFFFFF_<city>_<sequence>_<frame>_"
    "{leftImg8bit,gtFine_instanceTrainIds,depth}.png"
)


def find_split_folder(root: str | Path, split: str) -> Path:
    """The folder of one split, whether ``root`` is the dataset, its parent or video_sequence."""
    root = Path(root)
    for folder in (root / "video_sequence", root / "cityscapes-dvps" / "video_sequence", root):
        if (folder / split).is_dir():
            return folder / split
    raise tree_error("Cityscapes-DVPS", root, EXPECTED)


def index_files(folder: Path) -> dict[str, dict[int, dict[str, str]]]:
    """File names of a split: video id -> frame number -> kind -> path."""
    videos: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for name in sorted(os.listdir(folder)):
        match = PATTERN.fullmatch(name)
        if match is None:
            continue
        video_id, number, kind = match.groups()
        files = videos[video_id][int(number)]
        if kind in files:
            told = f"two files for video {video_id}, frame {number}: {files[kind]} and {name}"
            absent(TreeError(told))
        files[kind] = str(folder / name)
    return videos


class CityscapesDVPS(SemanticOfPanoptic):
    """Reader of the released tree."""

    name = "cityscapes_dvps"
    splits = ("train", "val")
    categories = class_table("cityscapes")

    def __init__(self) -> None:
        values = np.arange(1 << 16)
        classes = np.minimum(values // LABEL_DIVISOR, 255)
        # 255 = "no such class", told apart from void while decoding.
        lookup = self.categories.lookup(256)
        lookup[VOID_CLASS] = VOID
        self._class_of = lookup[classes]
        things = self.categories.is_thing[self._class_of]
        # The whole value names the object: instance 0 exists, and ids repeat between classes.
        self._track_of = np.where(things, values, 0).astype(np.int32)
        self._unknown = (self._class_of == VOID) & (classes != VOID_CLASS)

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        for split in self.splits:
            folder = Path(root) / "video_sequence" / split
            if folder.is_dir() and any(KINDS["label"] in name for name in os.listdir(folder)):
                return True
        return False

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All videos of "train" or "val"; see `DatasetReader.load_records`.

        Frames without depth are kept with ``depth_file_name`` None and counted in the log.

        Raises:
            TreeError: wrong folder, or an image without its label.
        """
        check_split(split, self.splits, "Cityscapes-DVPS")
        folder = find_split_folder(root, split)
        videos = index_files(folder)
        if not videos:
            raise TreeError(
                f"no Cityscapes-DVPS frame in {folder}\n  expected: {EXPECTED}\n"
                f"  found:    {describe_folder(folder)}"
            )
        records = complete_videos(self._record(*video) for video in videos.items())
        missing = [f["file_name"] for r in records for f in r["frames"] if not f["depth_file_name"]]
        if missing:
            logger.warning("%d frames have no depth PNG, first: %s", len(missing), missing[0])
        return drop_excluded(records, exclude)

    def _record(self, video_id: str, frames: dict[int, dict[str, str]]) -> VideoRecord | None:
        entries = []
        for number, files in sorted(frames.items()):
            lacking = [kind for kind in (KINDS["image"], KINDS["label"]) if kind not in files]
            if lacking:
                told = f"video {video_id}, frame {number} has no *_{lacking[0]}.png beside "
                absent(TreeError(told + ", ".join(files.values())))
                continue
            entries.append(
                frame_record(
                    files[KINDS["image"]],
                    number,
                    label=files[KINDS["label"]],
                    depth=files.get(KINDS["depth"]),
                )
            )
        return make_record(video_id, entries)

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode class x 1000 + instance; track id = the whole value in things."""
        path = require_label(frame)
        values = read_png(path, channels=1, bits=16)
        class_ids = self._class_of[values]
        if (class_ids == VOID).any():
            unknown = values[self._unknown[values]]
            if unknown.size:
                raise FormatError(
                    f"{path} holds {unknown[0]} in {unknown.size} pixels: class "
                    f"{unknown[0] // LABEL_DIVISOR} does not exist; classes are 0..18, void is 32"
                )
        return PanopticLabel(class_ids, self._track_of[values])

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """(H, W) float32 metres, 0 where stereo gave nothing."""
        return read_depth_png(require_depth(frame))
