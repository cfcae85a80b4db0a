"""VIPSeg, raw as downloaded and converted to 720 rows.

Raw: ``imgs/<video>/<frame>.jpg``, ``panomasks/<video>/<frame>.png``, ``{train,val,test}.txt``.
A mask pixel is 0 for void; below 125 it is class + 1; from 125 on it is
(class + 1) x 100 + instance.

Converted: ``images``, ``panomasksRGB`` and ``panoptic_gt_VIPSeg_{train,val}.json``.

Source: Miao et al., "Large-scale Video Panoptic Segmentation in the Wild", CVPR 2022.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import FormatError, TreeError, absent, tree_error
from dvps_d2.formats.files import read_json
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.lookup import decode_rgb_label
from dvps_d2.formats.png import read_png
from dvps_d2.formats.records import (
    FrameRecord,
    SemanticOfPanoptic,
    VideoRecord,
    check_split,
    complete_videos,
    drop_excluded,
    frame_record,
    make_record,
    require_label,
)

logger = logging.getLogger(__name__)

CONVERTED_FOLDER = "VIPSeg_720P"  # where the preparation puts the converted form
FIRST_INSTANCE_VALUE = 125  # smaller mask values are class + 1 alone
INSTANCE_DIVISOR = 100
EXPECTED_RAW = "imgs/<video>/<frame>.jpg, panomasks/<video>/<frame>.png, {train,val,test}.txt"
EXPECTED_720P = (
    "images/<video>/<frame>.jpg, panomasksRGB/<video>/<frame>.png, "
    "panoptic_gt_VIPSeg_{train,val}.json"
)


def json_name(split: str) -> str:
    """File name of a split's converted annotations."""
    return f"panoptic_gt_VIPSeg_{split}.json"


def read_video_list(path: Path) -> list[str]:
    """Video names of a ``train.txt``; a missing last newline and blank lines are harmless."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def raw_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lookups from mask value to class id, track id, and "this value cannot be"."""
    table = class_table("vipseg")
    values = np.arange(1 << 16)
    plain = values < FIRST_INSTANCE_VALUE
    classes = np.where(plain, values - 1, values // INSTANCE_DIVISOR - 1)
    known = (classes >= 0) & (classes < len(table))
    class_of = np.where(known, classes, VOID).astype(np.uint8)
    # An "instance" of a stuff class is a slip in some files: it is that stuff. A thing class
    # without an instance number is one object; its value is no other object's.
    track_of = np.where(table.is_thing[class_of], values, 0).astype(np.int32)
    return class_of, track_of, ~known & (values != 0)


class VIPSeg(SemanticOfPanoptic):
    """Reader of either form; the converted one is taken where its JSON exists."""

    name = "vipseg"
    splits = ("train", "val", "test")
    categories = class_table("vipseg")

    def __init__(self) -> None:
        self._class_of, self._track_of, self._unknown = raw_tables()

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        root = Path(root)
        converted = any((root / json_name(split)).is_file() for split in self.splits)
        return converted or ((root / "imgs").is_dir() and (root / "panomasks").is_dir())

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All videos of a split; see `DatasetReader.load_records`.

        ``frame_id`` is the number in the frame's name; steps are irregular.

        Raises:
            TreeError: wrong folder, or a listed file is missing.
        """
        check_split(split, self.splits, "VIPSeg")
        root = Path(root)
        inside = root / CONVERTED_FOLDER
        if (inside / json_name(split)).is_file():
            root = inside
        if (root / json_name(split)).is_file():
            records = self._converted(root, split)
        elif (root / "imgs").is_dir() and (root / f"{split}.txt").is_file():
            listed = read_video_list(root / f"{split}.txt")
            records = complete_videos(self._raw(root, video, split) for video in listed)
        else:
            raise tree_error("VIPSeg", root, f"{EXPECTED_RAW}\n        or: {EXPECTED_720P}")
        return drop_excluded(records, exclude)

    def _raw(self, root: Path, video_id: str, split: str) -> VideoRecord | None:
        images, masks = root / "imgs" / video_id, root / "panomasks" / video_id
        if not images.is_dir():
            told = f"{split}.txt of {root} lists {video_id!r}, but {images} is no folder"
            absent(TreeError(told))
            return None
        labelled = set(os.listdir(masks)) if masks.is_dir() else set()
        if not labelled and split != "test":
            told = f"video {video_id!r} of split {split!r} has no masks in {masks}"
            absent(TreeError(told))
            return None
        frames = []
        for name in sorted(n for n in os.listdir(images) if n.endswith(".jpg")):
            mask = f"{Path(name).stem}.png"
            frames.append(_frame(images / name, masks / mask if mask in labelled else None, None))
        if not frames:
            absent(TreeError(f"{images} holds no .jpg frame"))
        return make_record(video_id, frames)

    def _converted(self, root: Path, split: str) -> list[VideoRecord]:
        path = root / json_name(split)
        content = read_json(path)
        try:
            segments = {
                (video["video_id"], entry["image_id"]): entry
                for video in content["annotations"]
                for entry in video["annotations"]
            }
            return complete_videos(
                self._converted_video(root, split, video, segments) for video in content["videos"]
            )
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"{path} is not laid out as VIPSeg's annotations: missing {error!r}"
            ) from error

    def _converted_video(
        self, root: Path, split: str, video: dict[str, Any], segments: dict
    ) -> VideoRecord | None:
        video_id = video["video_id"]
        if not video["images"]:
            told = f"{root / json_name(split)}: video {video_id!r} has no images"
            absent(FormatError(told))
            return None
        folder = root / "images" / video_id
        present = set(os.listdir(folder)) if folder.is_dir() else set()
        frames = []
        for image in video["images"]:
            name = f"{Path(image['file_name']).stem}.jpg"
            if name not in present:
                told = f"{root / json_name(split)} lists {video_id}/{name}, which {folder} lacks"
                absent(TreeError(told))
                continue
            entry = segments.get((video_id, image["id"]))
            # Test lists have the same layout with empty segment lists.
            if entry is None or (split == "test" and not entry["segments_info"]):
                label, info = None, None
            else:
                label = root / "panomasksRGB" / video_id / entry["file_name"]
                info = entry["segments_info"]
            frames.append(_frame(folder / name, label, info))
        frames.sort(key=lambda frame: frame["frame_id"])
        first = video["images"][0]
        return make_record(video_id, frames, (first["height"], first["width"])) if frames else None

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode a converted label (RGB and JSON) or a raw mask."""
        path = require_label(frame)
        if frame["segments_info"] is not None:
            return decode_rgb_label(path, frame["segments_info"], self.categories)
        values = read_png(path, channels=1)
        unknown = self._unknown[values]
        if unknown.any():
            raise FormatError(
                f"{path} holds {values[unknown][0]} in {int(unknown.sum())} pixels; expected 0, "
                f"1..124 or (class + 1) x 100 + instance with class 0..123"
            )
        return PanopticLabel(self._class_of[values], self._track_of[values])

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """There is none in this dataset; raises ValueError."""
        raise ValueError(f"VIPSeg has no depth (asked for {frame['file_name']})")


def _frame(
    image: Path, label: Path | None, segments_info: list[dict[str, Any]] | None
) -> FrameRecord:
    if not image.stem.isdigit():
        raise FormatError(f"{image}: expected a frame number as name, like 00000392.jpg")
    return frame_record(image, int(image.stem), label=label, segments_info=segments_info)
