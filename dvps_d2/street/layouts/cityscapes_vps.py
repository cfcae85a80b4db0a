"""Cityscapes-VPS as its preparation leaves it: five frames apart, every fifth one labelled.

Source: Kim et al., "Video Panoptic Segmentation", CVPR 2020, section 5.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.cityscapes_vps import (
    INSTANCE_SUFFIX,
    LABEL_DIVISOR,
    LABEL_SUFFIX,
    LABELLED_PER_VIDEO,
    STEP,
)
from dvps_d2.formats.classes import class_table, read_shipped_table
from dvps_d2.formats.files import write_json
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.street.config import VOID, StreetConfig
from dvps_d2.street.layouts.cityscapes_dvps import CITY
from dvps_d2.street.layouts.tree import VideoTree
from dvps_d2.street.video import StreetFrame, StreetVideo

# The fourth labelled frame is the one that Cityscapes itself had labelled, and is named so.
_CITYSCAPES_FRAME = 3
_TRAIN_DIGITS = (1, 2, 3, 4, 6, 7, 8, 9)
# Four digits hold six labelled frames of this many videos.
_MAX_VIDEO = 9999 // LABELLED_PER_VIDEO


class CityscapesVPS:
    """Labelled frames in ``img`` with five codings of their labels, all frames in ``img_all``."""

    name = "cityscapes_vps"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._table = class_table("cityscapes")
        self._ids = PanopticIds(self._table)
        shipped = read_shipped_table("cityscapes")["classes"]
        self._shipped = shipped
        self._colours = np.zeros((256, 3), np.uint8)
        self._colours[: len(self._table)] = self._table.colors
        self._cityscapes_ids = np.zeros(256, np.int32)
        self._cityscapes_ids[: len(shipped)] = [entry["cityscapes_id"] for entry in shipped]

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Five frames for each labelled one.

        Raises:
            ValueError: more labelled frames than a video of this dataset can have.
        """
        if config.frames > LABELLED_PER_VIDEO:
            raise ValueError(
                f"a video of {self.name} has at most {LABELLED_PER_VIDEO} labelled frames, "
                f"got {config.frames}"
            )
        return replace(config, frames=config.frames * STEP, interval=config.interval / STEP)

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """Four digits; of train only every fifth frame is stored."""
        return f"{video_number(split, index):04d}", {t: t for t in stored(split, frames)}

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """Train has the labelled frames only, val and test all of them."""
        number = video_number(split, index)
        images, all_images, instances = [], [], []
        everything = split != "train"
        for t in stored(split, len(video)):
            frame = video.render(t)
            cityscapes_id = f"{CITY}_{number:06d}_{t:06d}"
            if everything:
                name = f"{cityscapes_id}_leftImg8bit.png"
                tree.png(f"{split}/img_all/{name}", frame.image)
                all_images.append(_image_entry(number * 10_000 + t + 1, name, frame))
            if t % STEP == STEP - 1:
                place = t // STEP
                labelled = LABELLED_PER_VIDEO * (number - 1) + place + 1
                image_id = f"{number:04d}_{labelled:04d}_{cityscapes_id}"
                own = place == _CITYSCAPES_FRAME
                entry = self._write_labelled(tree, split, image_id, own, frame)
                images.append(entry)
                instances.append(self._instances(entry["image"], image_id, frame))
        return {"images": images, "all_images": all_images, "instances": instances}

    def _write_labelled(
        self, tree: VideoTree, split: str, image_id: str, own: bool, frame: StreetFrame
    ) -> dict[str, Any]:
        suffix = "leftImg8bit" if own else "newImg8bit"
        image, label = f"{image_id}_{suffix}.png", f"{image_id}_{LABEL_SUFFIX[suffix]}.png"
        tree.png(f"{split}/img/{image}", frame.image)
        tree.png(f"{split}/cls/{label}", self._colours[frame.class_ids])
        raw = self._cityscapes_ids[frame.class_ids]
        raw = np.where(frame.track_ids > 0, raw * LABEL_DIVISOR + frame.track_ids, raw)
        instance = f"{image_id}_{INSTANCE_SUFFIX[suffix]}.png"
        tree.png(f"{split}/inst/{instance}", raw.astype(np.uint16))
        tree.png(f"{split}/labelmap/{label}", frame.class_ids)
        tree.png(f"{split}/panoptic_inst/{label}", encode_instances(frame))
        # Thing ids are unique over the split: no video has a thousand tracks.
        numbers = np.where(
            frame.track_ids > 0, int(image_id[:4]) * LABEL_DIVISOR + frame.track_ids, 0
        )
        rgb, segments = encode_label(frame.class_ids, numbers, self._ids)
        tree.png(f"{split}/panoptic_video/{label}", rgb)
        return {
            "image": _image_entry(image_id, image, frame),
            "annotation": {"image_id": image_id, "file_name": label, "segments_info": segments},
        }

    def _instances(
        self, image: dict[str, Any], image_id: str, frame: StreetFrame
    ) -> dict[str, Any]:
        """Things as in COCO, with run lengths."""
        number = int(image_id[:9].replace("_", ""))
        annotations = []
        for track in np.unique(frame.track_ids)[1:]:
            mask = frame.track_ids == track
            class_id = int(frame.class_ids[mask][0])
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            annotations.append(
                {
                    "image_id": number,
                    "category_id": class_id,
                    "fcn_id": class_id,
                    "inst_id": class_id * LABEL_DIVISOR + int(track),
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "bbox": [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
                    "segmentation": run_lengths(mask),
                    "width": image["width"],
                    "height": image["height"],
                }
            )
        return {"image": {**image, "id": number}, "annotations": annotations}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """The lists of images, segments, instances and of all frames."""
        videos = sorted(videos, key=lambda video: video["images"][0]["image"]["id"])
        entries = [entry for video in videos for entry in video["images"]]
        images = [entry["image"] for entry in entries]
        categories = [self._category(entry) for entry in self._shipped]
        listing = {"images": images, "categories": categories}
        write_json(root / f"panoptic_im_{split}_city_vps.json", listing)
        annotations = [entry["annotation"] for entry in entries]
        write_json(
            root / f"panoptic_gt_{split}_city_vps.json",
            {"images": images, "annotations": annotations, "categories": categories},
        )
        self._write_instances(root, split, videos)
        if split != "train":
            everything = [image for video in videos for image in video["all_images"]]
            write_json(
                root / f"im_all_info_{split}_city_vps.json",
                {"images": everything, "categories": categories},
            )

    def _write_instances(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        frames = [frame for video in videos for frame in video["instances"]]
        annotations = [annotation for frame in frames for annotation in frame["annotations"]]
        things = [self._category(e) for e in self._shipped if e["is_thing"]]
        content = {
            "info": {},
            "licenses": [],
            "categories": things,
            "images": [frame["image"] for frame in frames],
            "annotations": [{"id": i + 1, **entry} for i, entry in enumerate(annotations)],
        }
        write_json(root / f"instances_{split}_city_vps_rle.json", content)

    @staticmethod
    def _category(entry: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": entry["id"],
            "name": entry["name"],
            "supercategory": entry["supercategory"],
            "isthing": int(entry["is_thing"]),
            "instance_eval": int(entry["is_thing"]),
            "trainid": entry["id"],
            "ori_id": entry["cityscapes_id"],
            "color": entry["color"],
        }


def stored(split: str, frames: int) -> range:
    """Rendered frames that are stored: of train the labelled ones, else all."""
    return range(STEP - 1, frames, STEP) if split == "train" else range(frames)


def video_number(split: str, index: int) -> int:
    """Number of a video over all splits: val ends in 5, test in 0, train in the other digits.

    Raises:
        ValueError: the names of the dataset have no room for it.
    """
    if split == "train":
        number = index // len(_TRAIN_DIGITS) * 10 + _TRAIN_DIGITS[index % len(_TRAIN_DIGITS)]
    else:
        number = index * 10 + {"val": 5, "test": 10}[split]
    if number > _MAX_VIDEO:
        raise ValueError(
            f"{split} video {index} would be number {number}; Cityscapes-VPS has four digits for "
            f"frames, enough for {_MAX_VIDEO} videos: ask for fewer"
        )
    return number


def encode_instances(frame: StreetFrame) -> np.ndarray:
    """(H, W) uint16: class of stuff, class x 1000 + track of things, 255 void."""
    single = frame.track_ids > 0
    values = frame.class_ids.astype(np.int32)
    values = np.where(single, values * LABEL_DIVISOR + frame.track_ids, values)
    return np.where(frame.class_ids == VOID, VOID, values).astype(np.uint16)


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed COCO run lengths: columns first, beginning with a run of zeros."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    counts = np.diff(bounds).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)}


def _image_entry(image_id: int | str, name: str, frame: StreetFrame) -> dict[str, Any]:
    height, width = frame.depth.shape
    return {"id": image_id, "width": width, "height": height, "file_name": name}
