"""VIPER as downloaded, and as re-organised for video panoptic segmentation.

Source: Richter et al., "Playing for Benchmarks", ICCV 2017; Kim et al., "Video Panoptic
Segmentation", CVPR 2020, section 5 (the re-organised form).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.classes import read_shipped_table
from dvps_d2.formats.files import write_json
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.viper import json_name
from dvps_d2.street.config import StreetConfig
from dvps_d2.street.layouts.classes import ClassMap
from dvps_d2.street.layouts.tree import VideoTree
from dvps_d2.street.video import StreetVideo

_NAMES = {
    "road": "road",
    "sidewalk": "sidewalk",
    "building": "building",
    "pole": "infrastructure",
    "traffic sign": "trafficsign",
    "vegetation": "tree",
    "terrain": "terrain",
    "sky": "sky",
    "person": "person",
    "rider": "person",
    "car": "car",
    "truck": "truck",
    "bus": "bus",
    "bicycle": None,  # one of the classes that the benchmark ignores
}
_MAX_SEQUENCES = 999
_TRACKS_PER_VIDEO = 1000


class VIPER:
    """``SPLIT_day`` and one JSON per split; all frames are labelled; ids are unique over it."""

    name = "viper"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._classes = ClassMap.by_name("viper", _NAMES)
        self._ids = PanopticIds(self._classes.table)

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """Three digits; sequences and frames are counted from 1.

        Raises:
            ValueError: more sequences than three digits can number.
        """
        if index >= _MAX_SEQUENCES:
            raise ValueError(f"VIPER has three digits for a sequence, got number {index + 1}")
        return f"{index + 1:03d}", {t: t + 1 for t in range(frames)}

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``img/SSS/SSS_FFFFF.jpg`` and ``panoptic_video/SSS_FFFFF.png``, both counted from 1."""
        sequence, _ = self.names(split, index, len(video))
        images, annotations = [], []
        for t, frame in enumerate(video):
            name = f"{sequence}_{t + 1:05d}"
            tree.jpg(f"{split}_day/img/{sequence}/{name}.jpg", frame.image)
            class_ids, tracks = self._classes.labels(frame)
            numbers = np.where(tracks > 0, index * _TRACKS_PER_VIDEO + tracks, 0)
            rgb, segments = encode_label(class_ids, numbers, self._ids)
            tree.png(f"{split}_day/panoptic_video/{name}.png", rgb)
            height, width = frame.depth.shape
            file_name = f"{sequence}/{name}.jpg"
            images.append({"id": name, "width": width, "height": height, "file_name": file_name})
            annotations.append(
                {"image_id": name, "file_name": f"{name}.png", "segments_info": segments}
            )
        return {"images": images, "annotations": annotations}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """The JSON of the split."""
        content = {
            "images": [image for video in videos for image in video["images"]],
            "annotations": [entry for video in videos for entry in video["annotations"]],
            "categories": self._classes.table.categories(),
        }
        write_json(root / json_name(split), content)


class RawVIPER(VIPER):
    """The download: ``cls`` with class numbers, indexed, and ``inst`` with class and instance."""

    name = "viper_raw"

    def __init__(self) -> None:
        super().__init__()
        shipped = read_shipped_table("viper")["classes"]
        self._raw_of = np.zeros(256, np.uint8)  # 0 is one of the numbers that are void
        self._colours = np.zeros((256, 3), np.uint8)
        for entry in shipped:
            self._raw_of[entry["id"]] = entry["viper_id"]
            self._colours[entry["viper_id"]] = entry["color"]

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``img``, ``cls`` and ``inst``, each ``SSS/SSS_FFFFF``, counted from 1."""
        sequence, frame_ids = self.names(split, index, len(video))
        for t, number in frame_ids.items():
            frame = video.render(t)
            stem = f"{sequence}/{sequence}_{number:05d}"
            tree.jpg(f"{split}/img/{stem}.jpg", frame.image)
            class_ids, tracks = self._classes.labels(frame)
            raw = self._raw_of[class_ids]
            tree.palette_png(f"{split}/cls/{stem}.png", raw, self._colours)
            planes = np.stack([np.where(tracks > 0, raw, 0), tracks >> 8, tracks & 255], -1)
            tree.png(f"{split}/inst/{stem}.png", planes.astype(np.uint8))
        return {}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """There is nothing beside the frames."""
