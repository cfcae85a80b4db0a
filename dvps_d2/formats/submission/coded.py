"""Submissions whose PNGs hold class, instance and depth: Cityscapes-DVPS and SemKITTI-DVPS."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dvps_d2.formats.classes import ClassTable
from dvps_d2.formats.png import write_depth_png, write_png
from dvps_d2.formats.records import FrameRecord, VideoRecord
from dvps_d2.formats.submission.writer import Segments, SubmissionWriter

VOID_CLASS = 19  # of predictions; both datasets have 19 classes


class CodedWriter(SubmissionWriter):
    """``panoptic/`` and ``depth/`` PNGs; things of a video are numbered from 1 in each class."""

    needs_depth = True
    most_instances: int

    def __init__(
        self, folder: str | os.PathLike[str], records: Sequence[VideoRecord], table: ClassTable
    ) -> None:
        super().__init__(folder, records, table)
        # (video, class) -> id -> number
        self._numbers: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)

    def _number(self, video_id: str, class_id: int, segment_id: int) -> int:
        numbers = self._numbers[video_id, class_id]
        if segment_id not in numbers and len(numbers) == self.most_instances:
            raise ValueError(
                f"video {video_id!r} has more than {self.most_instances} tracks of class "
                f"{self.table.names[class_id]!r}, which is all that this layout can hold"
            )
        return numbers.setdefault(segment_id, len(numbers) + 1)

    def _planes(self, video_id: str, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) class with void 19, and (H, W) instance with 0 outside things."""
        class_of = segments.class_ids.copy()
        class_of[0] = VOID_CLASS
        instance_of = np.zeros(len(class_of), np.uint16)
        for row in segments.present():
            class_id = int(class_of[row])
            if self.table.is_thing[class_id]:
                instance_of[row] = self._number(video_id, class_id, int(segments.ids[row]))
        return class_of[segments.rows], instance_of[segments.rows]

    def _stem(self, frame: FrameRecord) -> str:
        return Path(frame["file_name"]).name.removesuffix(".png").removesuffix("_leftImg8bit")


class CityscapesDVPSWriter(CodedWriter):
    """Class in the first and instance in the second of three 8-bit channels."""

    most_instances = 255

    def _write(
        self, video_id: str, frame: FrameRecord, segments: Segments, depth: np.ndarray | None
    ) -> None:
        assert depth is not None  # `add` has refused it
        classes, instances = self._planes(video_id, segments)
        image = np.stack([classes, instances.astype(np.uint8), np.zeros_like(classes)], -1)
        name = f"{self._stem(frame)}.png"
        write_png(self.folder / "panoptic" / name, image)
        write_depth_png(self.folder / "depth" / name, depth)


class SemKITTIDVPSWriter(CodedWriter):
    """``*_cat.png`` with the class and ``*_ins.png`` with the instance."""

    most_instances = 65535

    def _write(
        self, video_id: str, frame: FrameRecord, segments: Segments, depth: np.ndarray | None
    ) -> None:
        assert depth is not None  # `add` has refused it
        classes, instances = self._planes(video_id, segments)
        stem = self._stem(frame)
        write_png(self.folder / "panoptic" / f"{stem}_cat.png", classes)
        write_png(self.folder / "panoptic" / f"{stem}_ins.png", instances)
        write_depth_png(self.folder / "depth" / f"{stem}.png", depth)
