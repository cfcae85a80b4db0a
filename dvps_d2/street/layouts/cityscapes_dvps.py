"""Cityscapes-DVPS: ``video_sequence/{train,val}``, three PNGs per labelled frame.

Source: Qiao et al., "ViP-DeepLab", CVPR 2021, section 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.street.config import VOID, StreetConfig
from dvps_d2.street.layouts.tree import VideoTree
from dvps_d2.street.video import StreetFrame, StreetVideo

LABEL_DIVISOR = 1000
VOID_CLASS = 32
CITY = "synthstreet"


class CityscapesDVPS:
    """Images, 16-bit panoptic labels (class x 1000 + instance) and 16-bit depth."""

    name = "cityscapes_dvps"
    splits = ("train", "val", "test")

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """Only labelled frames are stored."""
        return config

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """Six digits; frames are counted from 0."""
        return f"{index:06d}", {t: t for t in range(frames)}

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """Names begin with sequence and frame, then comes the Cityscapes name."""
        for t, frame in enumerate(video):
            name = f"{index:06d}_{t:06d}_{CITY}_{index:06d}_{t:06d}"
            stem = f"video_sequence/{split}/{name}"
            tree.png(f"{stem}_leftImg8bit.png", frame.image)
            tree.png(f"{stem}_gtFine_instanceTrainIds.png", encode_label(frame))
            tree.depth(f"{stem}_depth.png", frame.depth)
        return {}

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """There is nothing beside the frames."""


def encode_label(frame: StreetFrame) -> np.ndarray:
    """(H, W) uint16: class x 1000 + track id, void 32000.

    Raises:
        ValueError: a track id of 1000 or more, which would spill into the next class.
    """
    top = int(frame.track_ids.max())
    if top >= LABEL_DIVISOR:
        raise ValueError(
            f"track id {top} does not fit the label divisor {LABEL_DIVISOR}: use fewer frames or "
            f"less crowding"
        )
    classes = np.where(frame.class_ids == VOID, VOID_CLASS, frame.class_ids).astype(np.int32)
    return (classes * LABEL_DIVISOR + frame.track_ids).astype(np.uint16)
