"""VIPER, raw as downloaded and re-organised for video panoptic segmentation.

Raw: ``SPLIT/{img,cls,inst}/SSS/SSS_FFFFF.{jpg,png}``; ``cls`` is an indexed PNG of class numbers,
``inst`` an RGB PNG with class in red and instance = 256 G + B, 0 outside instances.

Re-organised: ``viper_panoptic_SPLIT_day_video.json`` with ``SPLIT_day/img`` and
``SPLIT_day/panoptic_video``.

Source: Richter et al., "Playing for Benchmarks", ICCV 2017; Kim et al., "Video Panoptic
Segmentation", CVPR 2020, section 5 (the re-organised form and its class order).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.classes import VOID, class_table, read_shipped_table
from dvps_d2.formats.errors import FormatError, TreeError, absent, tree_error
from dvps_d2.formats.files import read_json
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.lookup import decode_rgb_label
from dvps_d2.formats.png import read_png, rgb_to_id
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

EXPECTED_RAW = "{train,val,test}/{img,cls,inst}/SSS/SSS_FFFFF.{jpg,png}"
EXPECTED_VPS = (
    "viper_panoptic_{train,val}_day_video.json, {train,val}_day/img, "
    "{train,val}_day/panoptic_video/SSS_FFFFF.png"
)
NAME = re.compile(r"(\d{3})_(\d{5})\.(?:jpg|png)")


def json_name(split: str) -> str:
    """File name of the re-organised annotations of a split."""
    return f"viper_panoptic_{split}_day_video.json"


def raw_tables() -> tuple[np.ndarray, np.ndarray]:
    """(256,) uint8 from a class number of raw files to class id, and (256,) bool "it exists".

    Raw files number 32 classes; the evaluated 23 are in another order, stuff before things.
    """
    content = read_shipped_table("viper")
    class_of = np.full(256, VOID, np.uint8)
    known = np.zeros(256, bool)
    known[content["void_viper_ids"]] = True
    for entry in content["classes"]:
        class_of[entry["viper_id"]] = entry["id"]
        known[entry["viper_id"]] = True
    return class_of, known


class VIPER(SemanticOfPanoptic):
    """Reader of either form; the re-organised one is taken where its JSON exists.

    Args:
        sequences: ids ("001") of the raw sequences to use; None for all. Which sequences are
            "day" is on the dataset's page, not in its files.
        frame_limit: how many first frames of each sequence to use; None for all.
    """

    name = "viper"
    splits = ("train", "val", "test")
    categories = class_table("viper")

    def __init__(
        self, sequences: Collection[str] | None = None, frame_limit: int | None = None
    ) -> None:
        self.sequences = sequences
        self.frame_limit = frame_limit
        self._class_of, self._known = raw_tables()

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        root = Path(root)
        if any((root / json_name(split)).is_file() for split in self.splits):
            return True
        return any(
            (root / split / "cls").is_dir()
            and (root / split / "inst").is_dir()
            and not (root / split / "panoptic_inst").is_dir()
            for split in self.splits
        )

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All chosen sequences of a split; see `DatasetReader.load_records`.

        ``frame_id`` is the number in the file name, from 1.
        """
        check_split(split, self.splits, "VIPER")
        root = Path(root)
        if (root / json_name(split)).is_file():
            records = self._reorganised(root, split)
        elif (root / split / "img").is_dir():
            records = self.load_raw_records(root, split)
        else:
            raise tree_error("VIPER", root, f"{EXPECTED_RAW}\n        or: {EXPECTED_VPS}")
        return drop_excluded(records, exclude)

    def load_raw_records(self, root: Path, split: str) -> list[VideoRecord]:
        """The raw form, even where the re-organised one is there too."""
        folder = root / split
        if not (folder / "img").is_dir():
            raise tree_error("VIPER", root, EXPECTED_RAW)
        present = sorted(p.name for p in (folder / "img").iterdir() if p.is_dir())
        chosen = present if self.sequences is None else sorted(self.sequences)
        absent = sorted(set(chosen) - set(present))
        if absent or not chosen:
            raise TreeError(
                f"{folder / 'img'} lacks sequences {', '.join(absent) or '(all)'}; "
                f"it holds {', '.join(present[:10]) or 'nothing'}"
            )
        return complete_videos(self._raw_sequence(folder, name, split) for name in chosen)

    def _raw_sequence(self, folder: Path, sequence: str, split: str) -> VideoRecord | None:
        frames: dict[int, FrameRecord] = {}
        classes = folder / "cls" / sequence
        labels = set(os.listdir(classes)) if classes.is_dir() else set()
        # Sorted, so that the lossless .png of a frame replaces its .jpg.
        for name in sorted(os.listdir(folder / "img" / sequence)):
            match = NAME.fullmatch(name)
            if match is None:
                continue
            number = int(match.group(2))
            label = f"{Path(name).stem}.png"
            if label not in labels and split != "test":
                image = folder / "img" / sequence / name
                absent(TreeError(f"frame {image} has no {classes / label}"))
                continue
            frames[number] = frame_record(
                folder / "img" / sequence / name,
                number,
                label=classes / label if label in labels else None,
            )
        if not frames:
            told = f"{folder / 'img' / sequence} holds no {sequence}_FFFFF.jpg or .png with label"
            absent(TreeError(told))
        ordered = [frames[number] for number in sorted(frames)][: self.frame_limit]
        return make_record(sequence, ordered)

    def _reorganised(self, root: Path, split: str) -> list[VideoRecord]:
        path = root / json_name(split)
        content = read_json(path)
        try:
            return self._listed(root, split, content)
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"{path} is not laid out as VIPER's annotations: missing {error!r}"
            ) from error

    def _listed(self, root: Path, split: str, content: dict[str, Any]) -> list[VideoRecord]:
        segments = {entry["image_id"]: entry for entry in content["annotations"]}
        videos: dict[str, list[tuple[FrameRecord, dict[str, Any]]]] = defaultdict(list)
        for image in content["images"]:
            name = Path(image["file_name"])
            match = NAME.fullmatch(name.name)
            entry = segments.get(image["id"])
            if match is None or entry is None:
                told = (
                    f"{root / json_name(split)}: image {image['file_name']!r} (id "
                    f"{image['id']!r}) has no annotation or is not named SSS_FFFFF.jpg"
                )
                absent(FormatError(told))
                continue
            record = frame_record(
                root / f"{split}_day" / "img" / name,
                int(match.group(2)),
                label=root / f"{split}_day" / "panoptic_video" / f"{name.stem}.png",
                segments_info=entry["segments_info"],
            )
            videos[match.group(1)].append((record, image))
        return [
            VideoRecord(
                video_id=video_id,
                height=frames[0][1]["height"],
                width=frames[0][1]["width"],
                frames=sorted((f for f, _ in frames), key=lambda f: f["frame_id"]),
            )
            for video_id, frames in sorted(videos.items())
        ]

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode the re-organised label (RGB and JSON), or ``cls`` and the ``inst`` beside it.

        A pixel of a thing class outside every instance, or in one of another class, belongs to
        a crowd.
        """
        path = require_label(frame)
        if frame["segments_info"] is not None:
            return decode_rgb_label(path, frame["segments_info"], self.categories)
        values = read_png(path, channels=1, bits=8)
        if not self._known[values].all():
            bad = values[~self._known[values]]
            raise FormatError(
                f"{path} holds class {bad[0]} in {bad.size} pixels; VIPER's classes are 0..31"
            )
        words = rgb_to_id(read_png(instance_path(path), channels=3, bits=8, size=values.shape))
        red, instances = words & 0xFF, words & 0xFF00 | words >> 16
        class_ids = self._class_of[values]
        single = self.categories.is_thing[class_ids] & (instances > 0) & (red == values)
        if words.any() and not (red == values)[words > 0].any():
            blue = (words >> 16)[words > 0]
            hint = "; red and blue seem to be swapped" if (blue == values[words > 0]).all() else ""
            raise FormatError(
                f"{instance_path(path)}: no instance has in its red channel the class that {path} "
                f"has there{hint}"
            )
        numbers = red << 16 | instances
        return PanopticLabel(class_ids, np.where(single, numbers, 0).astype(np.int32))

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """There is none in this dataset; raises ValueError."""
        raise ValueError(f"VIPER has no depth (asked for {frame['file_name']})")


def crowd_number(class_id: int) -> int:
    """Number of the crowd of a thing class: that of its class with instance 0."""
    return read_shipped_table("viper")["classes"][class_id]["viper_id"] << 16


def instance_path(class_path: str) -> str:
    """``SPLIT/inst/SSS/x.png`` that belongs to ``SPLIT/cls/SSS/x.png``."""
    path = Path(class_path)
    return str(path.parents[2] / "inst" / path.parent.name / path.name)
