"""The record: one video as paths, nothing decoded. Every reader makes the same one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np

from dvps_d2.formats.classes import ClassTable
from dvps_d2.formats.errors import FormatError, absent
from dvps_d2.formats.files import image_size
from dvps_d2.formats.labels import PanopticLabel

logger = logging.getLogger(__name__)


class FrameRecord(TypedDict):
    """One frame of a video.

    Attributes:
        file_name: image.
        frame_id: number of the frame as the dataset counts; ascending in a video, gaps allowed.
        labelled: whether there is a panoptic label.
        pan_seg_file_name: panoptic label, None where there is none.
        segments_info: its segments from a JSON, None where the PNG says all.
        depth_file_name: depth, None where there is none.
    """

    file_name: str
    frame_id: int
    labelled: bool
    pan_seg_file_name: str | None
    segments_info: list[dict[str, Any]] | None
    depth_file_name: str | None


class VideoRecord(TypedDict):
    """One video: id, frame size in pixels, frames in order of time."""

    video_id: str
    height: int
    width: int
    frames: list[FrameRecord]


class DatasetReader(Protocol):
    """One dataset as released: where its files are, and what they hold."""

    @property
    def name(self) -> str:
        """Key in ``READERS``."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits there can be."""
        ...

    @property
    def categories(self) -> ClassTable:
        """The classes of the labels."""
        ...

    def recognises(self, root: str | Path) -> bool:
        """Whether a folder looks like this dataset; never raises."""
        ...

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All videos of a split, in a fixed order; decodes no pixels.

        Args:
            root: the dataset's folder.
            split: one of ``splits``.
            exclude: frames to leave out (see `drop_excluded`).

        Raises:
            TreeError: ``root`` does not hold this dataset.
            ValueError: there is no such split.
        """
        ...

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode the panoptic label of a labelled frame."""
        ...

    def read_semantic(self, frame: FrameRecord, label: PanopticLabel) -> np.ndarray:
        """(H, W) uint8 class ids, 255 void, of a frame whose panoptic label is given.

        They have a class in crowds that the panoptic label has as void.
        """
        ...

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """(H, W) float32 metres, 0 where there is no depth."""
        ...


class SemanticOfPanoptic:
    """What readers inherit whose dataset has no labels of classes beside the panoptic ones."""

    def read_semantic(self, frame: FrameRecord, label: PanopticLabel) -> np.ndarray:
        """The class ids of the panoptic label."""
        return label.class_ids


def frame_record(
    image: str | Path,
    frame_id: int,
    *,
    label: str | Path | None = None,
    segments_info: list[dict[str, Any]] | None = None,
    depth: str | Path | None = None,
) -> FrameRecord:
    """A frame's record; it is labelled where ``label`` is given."""
    return FrameRecord(
        file_name=str(image),
        frame_id=frame_id,
        labelled=label is not None,
        pan_seg_file_name=None if label is None else str(label),
        segments_info=segments_info,
        depth_file_name=None if depth is None else str(depth),
    )


def complete_videos(records: Iterable[VideoRecord | None]) -> list[VideoRecord]:
    """The videos that did not have to be left out."""
    return [record for record in records if record is not None]


def make_record(
    video_id: str, frames: list[FrameRecord], size: tuple[int, int] | None = None
) -> VideoRecord | None:
    """A video whose frames are as large as its first image that can be read, or as ``size``.

    Returns:
        None where there is no frame, or none that can be read, and absences are collected.

    Raises:
        FormatError: the first image cannot be read.
    """
    for frame in frames:
        try:
            size = size or image_size(frame["file_name"])
        except FormatError as error:
            if frame is frames[0]:
                absent(error)
    if size is None:
        return None
    return VideoRecord(video_id=video_id, height=size[0], width=size[1], frames=frames)


def check_split(split: str, splits: Sequence[str], dataset: str) -> None:
    """Refuse a split name the dataset does not have."""
    if split not in splits:
        raise ValueError(f"{dataset} has no split {split!r}; it has {', '.join(splits)}")


def require_label(frame: FrameRecord) -> str:
    """The path of a frame's panoptic label; an error for a frame without one."""
    if frame["pan_seg_file_name"] is None:
        raise ValueError(f"frame {frame['file_name']} has no panoptic label")
    return frame["pan_seg_file_name"]


def require_depth(frame: FrameRecord) -> str:
    """The path of a frame's depth; an error for a frame without one."""
    if frame["depth_file_name"] is None:
        raise ValueError(f"frame {frame['file_name']} has no depth")
    return frame["depth_file_name"]


def drop_excluded(records: list[VideoRecord], exclude: Collection[str]) -> list[VideoRecord]:
    """Leave out listed frames, and videos of which nothing remains.

    Args:
        records: videos.
        exclude: each entry is a video id, a "video id/frame id" or the base name of an image.
            Entries that match nothing are logged, since a list may cover several splits.
    """
    if not exclude:
        return records
    unused = set(exclude)
    kept = []
    for record in records:
        frames = []
        for frame in record["frames"]:
            names = {
                record["video_id"],
                f"{record['video_id']}/{frame['frame_id']}",
                Path(frame["file_name"]).name,
            }
            matched = names.intersection(exclude)
            unused -= matched
            if not matched:
                frames.append(frame)
        if frames:
            kept.append(VideoRecord({**record, "frames": frames}))
    if unused:
        logger.warning("excluded names that match no frame: %s", ", ".join(sorted(unused)))
    return kept
