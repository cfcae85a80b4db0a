"""Cityscapes-VPS: 500 videos of 30 frames, every fifth labelled.

``SPLIT/img`` holds the labelled frames (``VVVV_GGGG_<city>_<sequence>_<frame>_<suffix>.png``),
``SPLIT/img_all`` of val and test all 30 by their Cityscapes names. Labels are
``SPLIT/panoptic_video`` with ``panoptic_gt_SPLIT_city_vps.json`` (made by preparation), or the
16-bit ``SPLIT/panoptic_inst`` (stuff: class, things: class x 1000 + object, void 255).

Source: Kim et al., "Video Panoptic Segmentation", CVPR 2020, section 5. Differs from its text
where the files do: positions 4, 9, ..., 29 of the 30 frames are labelled, not 0, 5, ...
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import FormatError, TreeError, absent, describe_folder, tree_error
from dvps_d2.formats.files import read_json
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.lookup import decode_rgb_label
from dvps_d2.formats.png import read_png
from dvps_d2.formats.records import (
    FrameRecord,
    VideoRecord,
    check_split,
    complete_videos,
    drop_excluded,
    frame_record,
    make_record,
    require_label,
)

logger = logging.getLogger(__name__)

LABEL_DIVISOR = 1000
FRAMES_PER_VIDEO = 30
LABELLED_PER_VIDEO = 6
STEP = FRAMES_PER_VIDEO // LABELLED_PER_VIDEO
EXPECTED = "{train,val,test}/img/VVVV_GGGG_<city>_<sequence>_<frame>_{newImg8bit,leftImg8bit}.png"
IMAGE_SUFFIXES = ("newImg8bit", "leftImg8bit")
# Suffix of the labels that belong to an image suffix.
LABEL_SUFFIX = {"newImg8bit": "final_mask", "leftImg8bit": "gtFine_color"}
INSTANCE_SUFFIX = {
    "newImg8bit": "original_image_instance_greyscale",
    "leftImg8bit": "gtFine_instanceIds",
}
NAME = re.compile(r"((\d{4})_(\d{4})_(.+_\d{6}_\d{6}))_(newImg8bit|leftImg8bit)\.png")


@dataclass(frozen=True)
class FrameName:
    """The parts of ``0005_0025_frankfurt_000000_001736_newImg8bit.png``.

    Attributes:
        image_id: name without suffix, "0005_0025_frankfurt_000000_001736".
        video_id: "0005".
        labelled_index: 1-based over all labelled frames of the dataset, 25.
        cityscapes_id: "frankfurt_000000_001736".
        suffix: "newImg8bit" or "leftImg8bit".
    """

    image_id: str
    video_id: str
    labelled_index: int
    cityscapes_id: str
    suffix: str

    @property
    def frame_id(self) -> int:
        """0-based place in the video of 30 frames: 4, 9, ..., 29."""
        return (self.labelled_index - 1) % LABELLED_PER_VIDEO * STEP + STEP - 1

    @property
    def label_name(self) -> str:
        """File name in ``cls``, ``labelmap``, ``panoptic_inst`` and ``panoptic_video``."""
        return f"{self.image_id}_{LABEL_SUFFIX[self.suffix]}.png"


def parse_name(file_name: str) -> FrameName | None:
    """Take the base name of a labelled frame's image apart; None for any other name."""
    match = NAME.fullmatch(Path(file_name).name)
    if match is None:
        return None
    image_id, video_id, labelled_index, cityscapes_id, suffix = match.groups()
    return FrameName(image_id, video_id, int(labelled_index), cityscapes_id, suffix)


def list_frames(folder: Path) -> list[FrameName]:
    """All labelled frames in an ``img`` folder, in order of name."""
    names = (parse_name(name) for name in sorted(os.listdir(folder)))
    return [name for name in names if name is not None]


class CityscapesVPS:
    """Reader of the tree that the dataset's preparation leaves."""

    name = "cityscapes_vps"
    splits = ("train", "val", "test")
    categories = class_table("cityscapes")

    def __init__(self) -> None:
        values = np.arange(1 << 16)
        # Stuff is not multiplied here: 0..10 are classes, 11000.. are things, 255 is void.
        classes = np.where(values < 1000, np.minimum(values, 255), values // LABEL_DIVISOR)
        self._class_of = self.categories.lookup(256)[classes]
        things = self.categories.is_thing[self._class_of]
        self._class_of[(values < 1000) & things] = VOID
        self._class_of[(values >= 1000) & ~things] = VOID
        self._track_of = np.where(things, values, 0).astype(np.int32)
        self._track_of[self._class_of == VOID] = 0
        self._unknown = (self._class_of == VOID) & (values != VOID)

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        return any(self._has_frames(Path(root), split) for split in self.splits)

    def _has_frames(self, root: Path, split: str) -> bool:
        folder = root / split / "img"
        return folder.is_dir() and any(parse_name(name) for name in os.listdir(folder))

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All videos of "train", "val" or "test"; see `DatasetReader.load_records`.

        Where ``im_all_info_SPLIT_city_vps.json`` and ``img_all`` are there, videos have all 30
        frames, six of them labelled; else the six alone. ``frame_id`` is 0..29 either way.

        Raises:
            TreeError: wrong folder, or a file is missing.
        """
        check_split(split, self.splits, "Cityscapes-VPS")
        root = Path(root)
        if not self._has_frames(root, split):
            raise tree_error("Cityscapes-VPS", root, EXPECTED)
        labels = _Labels(root, split)
        videos: dict[str, dict[int, FrameRecord]] = {}
        names = list_frames(root / split / "img")
        for name in names:
            path = root / split / "img" / f"{name.image_id}_{name.suffix}.png"
            frames = videos.setdefault(name.video_id, {})
            frame = labels.record(name, str(path))
            if frame is not None:
                frames[name.frame_id] = frame
        _add_unlabelled(videos, root, split)
        labels.report_leftovers(names)
        records = complete_videos(
            make_record(video_id, [frames[frame_id] for frame_id in sorted(frames)])
            for video_id, frames in sorted(videos.items())
        )
        return drop_excluded(records, exclude)

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode ``panoptic_video`` (RGB and JSON) or ``panoptic_inst`` (16 bit)."""
        path = require_label(frame)
        if frame["segments_info"] is not None:
            return decode_rgb_label(path, frame["segments_info"], self.categories)
        values = read_png(path, channels=1, bits=16)
        unknown = self._unknown[values]
        if unknown.any():
            raise FormatError(
                f"{path} holds {values[unknown][0]} in {int(unknown.sum())} pixels; expected "
                f"0..10 (stuff), 11000..18999 (class x 1000 + object) or 255 (void)"
            )
        return PanopticLabel(self._class_of[values], self._track_of[values])

    def read_semantic(self, frame: FrameRecord, label: PanopticLabel) -> np.ndarray:
        """``labelmap`` where it is there: crowds, void in the panoptic label, have a class."""
        path = Path(require_label(frame))
        path = path.parents[1] / "labelmap" / path.name
        if not path.is_file():
            return label.class_ids
        return read_png(path, channels=1, bits=8, size=label.shape)

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """There is none in this dataset; raises ValueError."""
        raise ValueError(f"Cityscapes-VPS has no depth (asked for {frame['file_name']})")


class _Labels:
    """Which label a labelled frame has: the JSON's, else ``panoptic_inst``, else none (test)."""

    def __init__(self, root: Path, split: str) -> None:
        self.split = split
        self.json = root / f"panoptic_gt_{split}_city_vps.json"
        self.segments = read_ground_truth(self.json) if self.json.is_file() else None
        coding = "panoptic_inst" if self.segments is None else "panoptic_video"
        self.folder = root / split / coding
        self.present = set(os.listdir(self.folder)) if self.folder.is_dir() else None
        if self.present is None and split != "test":
            raise TreeError(
                f"{root} has no labels for {split!r}.\n  expected: {self.folder}, or "
                f"{self.json} with {split}/panoptic_video; datasets/prepare_cityscapes_vps.py "
                f"makes both\n  found:    {describe_folder(root / split)}"
            )

    def record(self, name: FrameName, image: str) -> FrameRecord | None:
        if self.present is None:
            return frame_record(image, name.frame_id)
        label = self.folder / name.label_name
        if name.label_name not in self.present:
            absent(TreeError(f"image {image} has no label {label}"))
            return None
        if self.segments is not None and name.image_id not in self.segments:
            told = f"{self.json} does not list {name.image_id}, but {image} exists"
            absent(FormatError(told))
            return None
        info = None if self.segments is None else self.segments[name.image_id]
        return frame_record(image, name.frame_id, label=label, segments_info=info)

    def report_leftovers(self, names: list[FrameName]) -> None:
        missing = set(self.segments or ()) - {name.image_id for name in names}
        if missing:
            told = (
                f"{len(missing)} frames of {self.json} have no image in {self.split}/img, first: "
            )
            absent(TreeError(told + min(missing)))


def read_ground_truth(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Image id -> segments_info of a ``panoptic_gt_*_city_vps.json``."""
    content = read_json(path)
    try:
        return {entry["image_id"]: entry["segments_info"] for entry in content["annotations"]}
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{path}: expected annotations[] with image_id and segments_info, got {error!r}"
        ) from error


def _add_unlabelled(videos: dict[str, dict[int, FrameRecord]], root: Path, split: str) -> None:
    """Add the frames of ``img_all`` that have no label."""
    info = root / f"im_all_info_{split}_city_vps.json"
    folder = root / split / "img_all"
    if not info.is_file() or not folder.is_dir():
        if split != "train":
            logger.warning(
                "%s: no %s or no img_all; videos hold the labelled frames only", root, info.name
            )
        return
    present = set(os.listdir(folder))
    for image in read_json(info)["images"]:
        video, frame_id = _place(image)
        if image["file_name"] not in present:
            absent(TreeError(f"{info} lists {image['file_name']}, which {folder} does not hold"))
            continue
        frames = videos.get(video)
        if frames is not None and frame_id not in frames:
            frames[frame_id] = frame_record(folder / image["file_name"], frame_id)


def _place(image: Mapping[str, Any]) -> tuple[str, int]:
    """(video id, 0-based frame) from an id of video x 10000 + frame, frames from 1."""
    video, frame = divmod(int(image["id"]), 10000)
    return f"{video:04d}", frame - 1
