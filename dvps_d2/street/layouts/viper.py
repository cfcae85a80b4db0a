"""VIPER as re-organised for video panoptic segmentation: ``SPLIT_day`` and one JSON per split.

Source: Richter et al., "Playing for Benchmarks", ICCV 2017; Kim et al., "Video Panoptic
Segmentation", CVPR 2020, section 5 (the re-organised form).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
    """All frames are labelled; ids are unique over the split."""

    name = "viper"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._classes = ClassMap.by_name("viper", _NAMES)
        self._ids = PanopticIds(self._classes.table)

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``img/SSS/SSS_FFFFF.jpg`` and ``panoptic_video/SSS_FFFFF.png``, both counted from 1.

        Raises:
            ValueError: more sequences than three digits can number.
        """
        if index >= _MAX_SEQUENCES:
            raise ValueError(f"VIPER has three digits for a sequence, got number {index + 1}")
        sequence = f"{index + 1:03d}"
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
