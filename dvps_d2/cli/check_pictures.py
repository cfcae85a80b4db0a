"""Pictures of what `dvps check` found: one for every kind of finding."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from dvps_d2.formats.check import Finding
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.png import write_png
from dvps_d2.formats.records import DatasetReader, FrameRecord
from dvps_d2.visualize import Palette, SegmentMap, SheetFrame, result_sheet

logger = logging.getLogger(__name__)

UNREADABLE = 96  # grey of frames whose image cannot be read
MARK = (255, 40, 40)  # RGB of the outline of the object that a finding is about


def draw_findings(
    findings: Iterable[Finding], reader: DatasetReader, folder: str | Path
) -> list[Path]:
    """Draw the first finding of each level and kind that can be seen in a frame.

    Args:
        findings: of a check.
        reader: of the dataset.
        folder: gets ``<level>_<kind>.png``.

    Returns:
        The files that were written.
    """
    first: dict[str, Finding] = {}
    for finding in findings:
        if finding.frames:
            first.setdefault(re.sub(r"\W+", "_", f"{finding.level}_{finding.kind}"), finding)
    written = []
    for name, finding in sorted(first.items()):
        path = Path(folder) / f"{name}.png"
        write_png(path, draw_finding(finding, reader))
        written.append(path)
    return written


def draw_finding(finding: Finding, reader: DatasetReader) -> np.ndarray:
    """(H, W, 3) uint8 sheet: the finding's frames with what can be read of labels and depth."""
    table = reader.categories
    rows = [_row(frame, reader, finding.track) for frame in finding.frames]
    palette = Palette(table.colors, table.thing_ids)
    return result_sheet(rows, palette, table.names, title=finding.message)


def _row(frame: FrameRecord, reader: DatasetReader, track: int | None) -> SheetFrame:
    label = depth = None
    try:
        label = reader.read_panoptic(frame) if frame["labelled"] else None
    except FormatError as error:
        logger.debug("drawn without its label: %s", error)
    try:
        depth = reader.read_depth(frame) if frame["depth_file_name"] else None
    except FormatError as error:
        logger.debug("drawn without its depth: %s", error)
    data = cv2.imread(frame["file_name"], cv2.IMREAD_COLOR)
    sizes = [values.shape[:2] for values in (data, label, depth) if values is not None]
    height, width = sizes[0] if sizes else (270, 480)
    if data is None:
        image = np.full((height, width, 3), UNREADABLE, np.uint8)
    else:
        image = np.ascontiguousarray(data[..., ::-1])
    if label is not None and label.shape != (height, width):
        label = None  # the finding says so
    if depth is not None and depth.shape != (height, width):
        depth = None
    if label is not None and track is not None:
        _outline(image, label.track_ids == track)
    segments = None
    if label is not None:
        segments = SegmentMap.from_labels(label.class_ids, label.track_ids)
    return SheetFrame(image, f"frame {frame['frame_id']}", truth=segments, true_depth=depth)


def _outline(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw the box of a mask, in place."""
    rows, columns = np.nonzero(mask)
    if rows.size:
        thickness = max(2, image.shape[1] // 300)
        corners = (columns.min(), rows.min()), (columns.max(), rows.max())
        first, last = (tuple(map(int, corner)) for corner in corners)
        cv2.rectangle(image, first, last, MARK, thickness)
