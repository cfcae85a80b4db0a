"""Submissions of RGB-coded PNGs with one ``pred.json``: Cityscapes-VPS, VIPER and VIPSeg."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dvps_d2.formats.cityscapes_vps import STEP, parse_name
from dvps_d2.formats.classes import ClassTable
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.files import write_json
from dvps_d2.formats.png import id_to_rgb, write_png
from dvps_d2.formats.records import FrameRecord, VideoRecord
from dvps_d2.formats.submission.writer import Segments, SubmissionWriter


class ListedWriter(SubmissionWriter):
    """``pan_pred/*.png`` and ``pred.json``, one annotation per frame in order of name."""

    def __init__(
        self, folder: str | os.PathLike[str], records: Sequence[VideoRecord], table: ClassTable
    ) -> None:
        super().__init__(folder, records, table)
        self._entries: dict[str, list[dict[str, Any]]] = {}

    def _image_id(self, frame: FrameRecord) -> str:
        return Path(frame["file_name"]).stem

    def _folder_of(self, video_id: str) -> Path:
        return self.folder / "pan_pred"

    def _write(
        self, video_id: str, frame: FrameRecord, segments: Segments, depth: np.ndarray | None
    ) -> None:
        image_id = self._image_id(frame)
        name = f"{image_id}.png"
        write_png(self._folder_of(video_id) / name, id_to_rgb(segments.ids[segments.rows]))
        self._entries.setdefault(video_id, []).append(
            {
                "image_id": image_id,
                "file_name": name,
                "segments_info": segments_info(segments, self.table),
            }
        )

    def progress(self, video_id: str) -> dict[str, Any]:
        """The entries of ``pred.json``."""
        return {"entries": self._entries.get(video_id, [])}

    def resume(self, video_id: str, progress: Mapping[str, Any]) -> None:
        """See `SubmissionWriter.resume`."""
        super().resume(video_id, progress)
        self._entries[video_id] = list(progress["entries"])

    def _complete(self) -> None:
        entries = [entry for video in self._entries.values() for entry in video]
        # The published evaluation pairs predictions with the truth by their place in the list.
        entries.sort(key=lambda entry: entry["file_name"])
        content = {"annotations": entries, "categories": self.table.categories()}
        write_json(self.folder / "pred.json", content)


class CityscapesVPSWriter(ListedWriter):
    """The six labelled frames of each video, named by their Cityscapes-VPS image ids."""

    def is_submitted(self, frame: FrameRecord) -> bool:
        """Frames 4, 9, ..., 29, whether their labels are public or not."""
        return frame["frame_id"] % STEP == STEP - 1

    def _image_id(self, frame: FrameRecord) -> str:
        name = parse_name(frame["file_name"])
        if name is None:
            raise FormatError(
                f"{frame['file_name']} is not named VVVV_GGGG_<Cityscapes id>_<suffix>.png; "
                f"labelled frames must come from the img folder"
            )
        return name.image_id


class VIPERWriter(ListedWriter):
    """All frames, by the names of their images."""


class VIPSegWriter(ListedWriter):
    """``pan_pred/<video>/<frame>.png``; annotations nested in videos."""

    def _folder_of(self, video_id: str) -> Path:
        return self.folder / "pan_pred" / video_id

    def _complete(self) -> None:
        annotations = []
        for record in self.records:
            entries = self._entries.get(record["video_id"], [])
            entries.sort(key=lambda entry: entry["file_name"])
            annotations.append({"video_id": record["video_id"], "annotations": entries})
        content = {"annotations": annotations, "categories": self.table.categories()}
        write_json(self.folder / "pred.json", content)


def segments_info(segments: Segments, table: ClassTable) -> list[dict[str, Any]]:
    """``id, category_id, iscrowd, bbox [x, y, width, height], area`` of segments with pixels."""
    info = []
    for row in segments.present():
        box = cv2.boundingRect((segments.rows == row).astype(np.uint8))
        info.append(
            {
                "id": int(segments.ids[row]),
                "category_id": table.dataset_ids[int(segments.class_ids[row])],
                "iscrowd": 0,
                "bbox": [int(side) for side in box],
                "area": int(segments.areas[row]),
            }
        )
    return info
