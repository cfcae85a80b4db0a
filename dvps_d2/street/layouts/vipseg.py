"""VIPSeg in its converted form: ``images``, ``panomasksRGB``, ``panoptic_gt_VIPSeg_SPLIT.json``.

Source: Miao et al., "Large-scale Video Panoptic Segmentation in the Wild", CVPR 2022.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvps_d2.formats.files import write_json
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.vipseg import json_name
from dvps_d2.street.config import StreetConfig
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


class VIPSeg:
    """All frames are labelled; ids are unique inside a video only."""

    name = "vipseg"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._classes = ClassMap.by_name("vipseg", _NAMES)
        self._ids = PanopticIds(self._classes.table)

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``images/VIDEO/FRAME.jpg`` and ``panomasksRGB/VIDEO/FRAME.png``."""
        video_id = f"{index}_street-{split}"
        images, annotations = [], []
        for t, frame in enumerate(video):
            name = f"{_FIRST_FRAME + _FRAME_STEP * t:08d}"
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
