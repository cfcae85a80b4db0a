"""SemKITTI-DVPS: labels and depth only where a LiDAR would have measured.

Source: Qiao et al., "ViP-DeepLab", CVPR 2021, section 4; the sensor is that of Geiger et al.,
"Are we ready for autonomous driving?", CVPR 2012 (64 beams from +2 to -24.8 degrees).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.street.config import VOID, StreetConfig
from dvps_d2.street.layouts.classes import ClassMap
from dvps_d2.street.layouts.tree import VideoTree
from dvps_d2.street.video import StreetFrame, StreetVideo

_NAMES = {
    "road": "road",
    "sidewalk": "sidewalk",
    "building": "building",
    "pole": "pole",
    "traffic sign": "traffic-sign",
    "vegetation": "vegetation",
    "terrain": "terrain",
    "sky": None,  # nothing comes back from it
    "person": "person",
    "rider": "bicyclist",
    "car": "car",
    "truck": "truck",
    "bus": "other-vehicle",
    "bicycle": "bicycle",
}
_BEAMS, _HIGHEST, _LOWEST = 64, np.deg2rad(2.0), np.deg2rad(-24.8)


class SemKITTIDVPS:
    """Class, instance and depth PNGs; the depth's name ends with the focal length."""

    name = "semkitti_dvps"
    splits = ("train", "val", "test")

    def __init__(self) -> None:
        self._classes = ClassMap.by_name("semkitti", _NAMES)

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """Six digits; frames are counted from 0."""
        return f"{index:06d}", {t: t for t in range(frames)}

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """``video_sequence/SPLIT/SSSSSS_FFFFFF_*.png``."""
        for t, frame in enumerate(video):
            stem = f"video_sequence/{split}/{index:06d}_{t:06d}"
            tree.png(f"{stem}_leftImg8bit.png", frame.image)
            measured = lidar_pixels(frame)
            class_ids, tracks = self._classes.labels(frame)
            class_ids = np.where(measured, class_ids, VOID).astype(np.uint8)
            tree.png(f"{stem}_gtFine_class.png", class_ids)
            tree.png(f"{stem}_gtFine_instance.png", (tracks * measured).astype(np.uint16))
            focal = round(frame.intrinsics.focal, 6)
            tree.depth(f"{stem}_depth_{focal}.png", frame.depth * measured)
        return {}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """There is nothing beside the frames."""


def lidar_pixels(frame: StreetFrame) -> np.ndarray:
    """(H, W) bool: pixels that hold a point of a spinning LiDAR at the camera.

    A pixel has one where a beam passes through it: where the number of the beam changes between
    its upper and its lower edge.
    """
    height, width = frame.depth.shape
    lens = frame.intrinsics
    across = np.hypot((np.arange(width) - lens.centre_u) / lens.focal, 1.0)
    edges = (np.arange(height + 1) - 0.5 - lens.centre_v) / lens.focal
    elevation = -np.arctan(edges[:, None] / across[None])  # (H + 1, W)
    beam = np.floor((_HIGHEST - elevation) / ((_HIGHEST - _LOWEST) / (_BEAMS - 1)))
    beam = np.clip(beam, -1, _BEAMS - 1)
    return (beam[1:] != beam[:-1]) & (frame.depth > 0)
