"""VIPSeg as downloaded, and in its converted form.

Source: Miao et al., "Large-scale Video Panoptic Segmentation in the Wild", CVPR 2022.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.files import write_bytes, write_json
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.vipseg import json_name
from dvps_d2.street.config import VOID, StreetConfig
from dvps_d2.street.layouts.classes import ClassMap
from dvps_d2.street.layouts.tree import VideoTree
from dvps_d2.street.video import StreetVideo

_NAMES = {
    "road": "road",
    "sidewalk": "path",
    "building": "building",
    "pole": "pole",
    "traffic sign": "billboard_or_Bulletin_Board",
    "vegetation": "tree",
    "terrain": "grass",
    "sky": "sky",
    "person": "person",
    "rider": "person",
    "car": "car",
    "truck": "truck",
    "bus": "bus",
    "bicycle": "bicycle",
}
# Frames are named by their place in the film they were taken from: every third one was kept.
_FIRST_FRAME, _FRAME_STEP = 300, 3
_MAX_OBJECTS = 100


class VIPSeg:
    """``images``, ``panomasksRGB`` and one JSON per split; ids are unique inside a video only."""

    name = "vipseg"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._classes = ClassMap.by_name("vipseg", _NAMES)
        self._ids = PanopticIds(self._classes.table)

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """Number and place; frames keep the numbers of the film."""
        frame_ids = {t: _FIRST_FRAME + _FRAME_STEP * t for t in range(frames)}
        return f"{index}_street-{split}", frame_ids

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``images/VIDEO/FRAME.jpg`` and ``panomasksRGB/VIDEO/FRAME.png``."""
        video_id, frame_ids = self.names(split, index, len(video))
        images, annotations = [], []
        for t, number in frame_ids.items():
            frame = video.render(t)
            name = f"{number:08d}"
            tree.jpg(f"images/{video_id}/{name}.jpg", frame.image)
            rgb, segments = encode_label(*self._classes.labels(frame), self._ids)
            tree.png(f"panomasksRGB/{video_id}/{name}.png", rgb)
            height, width = frame.depth.shape
            file_name = f"{name}.png"
            images.append({"id": name, "width": width, "height": height, "file_name": file_name})
            annotations.append(
                {"image_id": name, "file_name": file_name, "segments_info": segments}
            )
        return {
            "video": {"video_id": video_id, "images": images},
            "annotation": {"video_id": video_id, "annotations": annotations},
        }

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """The JSON of the split."""
        content = {
            "videos": [video["video"] for video in videos],
            "annotations": [video["annotation"] for video in videos],
            "categories": self._classes.table.categories(),
        }
        write_json(root / json_name(split), content)


class RawVIPSeg(VIPSeg):
    """The download: ``imgs``, ``panomasks`` of raw numbers, and a list of videos per split."""

    name = "vipseg_raw"

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``imgs/VIDEO/FRAME.jpg`` and ``panomasks/VIDEO/FRAME.png``.

        Raises:
            ValueError: more than a hundred objects, for which two digits have no room.
        """
        video_id, frame_ids = self.names(split, index, len(video))
        objects: dict[int, int] = {}
        for t, number in frame_ids.items():
            frame = video.render(t)
            tree.jpg(f"imgs/{video_id}/{number:08d}.jpg", frame.image)
            class_ids, tracks = self._classes.labels(frame)
            for track in np.unique(tracks[tracks > 0]).tolist():
                objects.setdefault(track, len(objects))
            if len(objects) > _MAX_OBJECTS:
                raise ValueError(
                    f"video {video_id} has {len(objects)} objects, VIPSeg's masks number at most "
                    f"{_MAX_OBJECTS}: use fewer frames or less crowding"
                )
            place = np.zeros(max(objects, default=0) + 1, np.int64)
            place[list(objects)] = list(objects.values())
            values = class_ids.astype(np.int64) + 1
            values = np.where(tracks > 0, values * 100 + place[tracks], values)
            values[class_ids == VOID] = 0
            tree.png(f"panomasks/{video_id}/{number:08d}.png", values.astype(np.uint16))
        return {"video_id": video_id}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """The list of videos."""
        lines = "".join(f"{video['video_id']}\n" for video in videos)
        write_bytes(root / f"{split}.txt", lines.encode())
