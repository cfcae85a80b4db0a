"""What all submissions have in common: which frames are due, checks, the archive."""

from __future__ import annotations

import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dvps_d2.formats.classes import VOID, ClassTable
from dvps_d2.formats.files import atomic_path
from dvps_d2.formats.lookup import IdTable
from dvps_d2.formats.records import FrameRecord, VideoRecord

_LARGEST_ID = (1 << 24) - 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # same time in every archive, so that same content = same bytes


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one predicted frame that have pixels.

    Attributes:
        rows: (H, W) uint16, row of the segment of each pixel, 0 = void.
        ids: (N + 1,) int32 ids; 0 in row 0.
        class_ids: (N + 1,) uint8; 255 in row 0.
        areas: (N + 1,) pixels; 0 for an id that was announced and has none.
    """

    rows: np.ndarray
    ids: np.ndarray
    class_ids: np.ndarray
    areas: np.ndarray

    def present(self) -> list[int]:
        """Rows of the segments that have pixels, void left out."""
        return [int(row) for row in np.flatnonzero(self.areas) if row]


class SubmissionWriter(AbstractContextManager, ABC):
    """Writes predictions frame by frame; leaving the ``with`` block completes the submission.

    Args:
        folder: where to; made when missing.
        records: the videos that are predicted, from the dataset's reader.
        table: classes of the dataset.
    """

    needs_depth: ClassVar[bool] = False

    def __init__(
        self, folder: str | os.PathLike[str], records: Sequence[VideoRecord], table: ClassTable
    ) -> None:
        self.folder = Path(folder)
        self.table = table
        self.records = list(records)
        self._due: dict[tuple[str, int], FrameRecord] = {
            (record["video_id"], frame["frame_id"]): frame
            for record in records
            for frame in record["frames"]
            if self.is_submitted(frame)
        }
        self._known = {(r["video_id"], f["frame_id"]) for r in records for f in r["frames"]}
        self._done: set[tuple[str, int]] = set()

    def is_submitted(self, frame: FrameRecord) -> bool:
        """Whether a frame belongs to the submission; others are passed over by `add`."""
        return True

    def add(
        self,
        video_id: str,
        frame_id: int,
        ids: np.ndarray,
        classes: Mapping[int, int],
        depth: np.ndarray | None = None,
    ) -> None:
        """Write one frame.

        Args:
            video_id: as in the records.
            frame_id: as in the records.
            ids: (H, W) int; 0 is void; an id is the same segment in all frames of the video.
            classes: id -> class id.
            depth: (H, W) metres, where the layout has depth.

        Raises:
            ValueError: unknown or repeated frame, an id without class, an id that does not fit,
                a map of the wrong size, missing depth.
        """
        key = (video_id, frame_id)
        if key not in self._known:
            raise ValueError(f"the records have no frame {frame_id} of video {video_id!r}")
        if key not in self._due:
            return
        if key in self._done:
            raise ValueError(f"frame {frame_id} of video {video_id!r} was added before")
        if self.needs_depth and (depth is None or depth.shape != ids.shape):
            found = "none" if depth is None else depth.shape
            raise ValueError(f"this layout needs depth of {ids.shape} for every frame, got {found}")
        segments = _segments(ids, classes, len(self.table), f"video {video_id!r}, frame {frame_id}")
        self._write(video_id, self._due[key], segments, depth)
        self._done.add(key)

    def progress(self, video_id: str) -> dict[str, Any]:
        """What `resume` needs to know about a video whose frames were all added; JSON values."""
        return {}

    def resume(self, video_id: str, progress: Mapping[str, Any]) -> None:
        """Count a video as added whose files an earlier writer left in this folder.

        Args:
            video_id: as in the records.
            progress: what `progress` of that writer gave.
        """
        self._done.update(key for key in self._due if key[0] == video_id)

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is not None:
            return
        missing = sorted(self._due.keys() - self._done)
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(self._due)} frames were not added, first: frame "
                f"{missing[0][1]} of video {missing[0][0]!r}"
            )
        self._complete()

    @abstractmethod
    def _write(
        self, video_id: str, frame: FrameRecord, segments: Segments, depth: np.ndarray | None
    ) -> None:
        """Write the files of one frame."""

    def _complete(self) -> None:
        """Write what concerns all frames."""

    def archive(self, path: str | os.PathLike[str]) -> None:
        """Pack the folder into a zip file; the same files give the same bytes.

        Hidden files at the top of the folder are left out.
        """
        files = sorted(
            p
            for p in self.folder.rglob("*")
            if p.is_file() and not p.relative_to(self.folder).as_posix().startswith(".")
        )
        with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
            for file in files:
                entry = zipfile.ZipInfo(file.relative_to(self.folder).as_posix(), _EPOCH)
                entry.external_attr = 0o644 << 16
                # PNGs are compressed already.
                packed = zipfile.ZIP_STORED if file.suffix == ".png" else zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes(), packed)


def _segments(ids: np.ndarray, classes: Mapping[int, int], count: int, where: str) -> Segments:
    named = sorted(int(i) for i in classes)
    if named and not 0 < named[0] <= named[-1] <= _LARGEST_ID:
        raise ValueError(f"{where}: ids must be in 1..{_LARGEST_ID}, got {named[0]}..{named[-1]}")
    wrong = [classes[i] for i in named if not 0 <= classes[i] < count]
    if wrong:
        raise ValueError(f"{where}: class id {wrong[0]} is not one of 0..{count - 1}")
    rows = IdTable([0, *named]).rows(ids)
    if not rows.all():
        raise ValueError(f"{where}: id {ids[rows == 0][0]} has no class")
    rows = rows - np.uint16(1)
    return Segments(
        rows,
        np.array([0, *named], np.int32),
        np.array([VOID, *(classes[i] for i in named)], np.uint8),
        np.bincount(rows.ravel(), minlength=len(named) + 1),
    )
