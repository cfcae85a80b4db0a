"""Checks of one frame: its files open, agree in size, and hold what their dataset says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects

from dvps_d2.formats.check.findings import Finding
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.png import read_png, rgb_to_id
from dvps_d2.formats.records import DatasetReader, FrameRecord

Box = tuple[int, int, int, int]


@dataclass
class FrameFacts:
    """What the check of one frame found and counted.

    Attributes:
        findings: what was noticed.
        segments: (class id, track id) -> pixels.
        boxes: track id -> (left, top, right, bottom) in pixels, right and bottom outside.
        depth_share: share of pixels with depth; None without depth.
        depth_range: least and largest metres; None without depth.
    """

    findings: list[Finding] = field(default_factory=list)
    segments: dict[tuple[int, int], int] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)
    depth_share: float | None = None
    depth_range: tuple[float, float] | None = None


def check_frame(reader: DatasetReader, frame: FrameRecord, size: tuple[int, int]) -> FrameFacts:
    """Open every file of a frame.

    Args:
        reader: of the frame's dataset.
        frame: its record.
        size: (height, width) of the video.
    """
    facts = FrameFacts()
    facts.findings += _check_image(frame["file_name"], size)
    if frame["labelled"]:
        _check_label(reader, frame, size, facts)
    if frame["depth_file_name"] is not None:
        _check_depth(reader, frame, size, facts)
    facts.findings = [replace(finding, frames=(frame,)) for finding in facts.findings]
    return facts


def _check_image(path: str, size: tuple[int, int]) -> list[Finding]:
    try:
        found = _decoded_size(path)
    except (FormatError, OSError) as error:
        return [Finding("error", "image", path, f"not a readable image: {error}")]
    return [] if found == size else [_size_finding(path, size, found)]


def _decoded_size(path: str) -> tuple[int, int]:
    """(height, width) after decoding everything, so that truncated files do not pass."""
    if path.endswith(".png"):
        return read_png(path).shape[:2]
    with Image.open(path) as image:
        image.load()
        return image.height, image.width


def _size_finding(path: str, expected: tuple[int, int], found: tuple[int, int]) -> Finding:
    told = f"expected {expected[1]}x{expected[0]} as its video, found {found[1]}x{found[0]}"
    return Finding("error", "size", path, told)


def _check_label(
    reader: DatasetReader, frame: FrameRecord, size: tuple[int, int], facts: FrameFacts
) -> None:
    path = str(frame["pan_seg_file_name"])
    try:
        label = reader.read_panoptic(frame)
    except FormatError as error:
        facts.findings.append(Finding("error", "label", path, str(error).removeprefix(f"{path}: ")))
        return
    if label.shape != size:
        facts.findings.append(_size_finding(path, size, label.shape))
    for problem in label.problems(reader.categories):
        facts.findings.append(Finding("error", "label", path, problem))
    facts.segments = label.segments()
    facts.boxes = _boxes(label.track_ids)
    if not facts.segments:
        facts.findings.append(Finding("warning", "empty", path, "the whole frame is void"))
    if frame["segments_info"] is not None:
        facts.findings += _compare_with_json(path, frame["segments_info"])


def _boxes(track_ids: np.ndarray) -> dict[int, Box]:
    """Track id -> box, of an (H, W) map."""
    ids, index = np.unique(track_ids, return_inverse=True)
    slices = find_objects(index.reshape(track_ids.shape) + 1)
    found = zip(ids.tolist(), slices, strict=True)
    return {
        track: (int(x.start), int(y.start), int(x.stop), int(y.stop))
        for track, (y, x) in found
        if track > 0
    }


def _compare_with_json(path: str, segments_info: list[dict]) -> list[Finding]:
    """A JSON's segments against the pixels: repeated ids, absent ids, wrong areas."""
    ids, areas = np.unique(rgb_to_id(read_png(path, channels=3, bits=8)), return_counts=True)
    area_of = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    findings = []
    for segment_id, count in Counter(int(s["id"]) for s in segments_info).items():
        if count > 1:
            told = f"segments_info lists id {segment_id} {count} times"
            findings.append(Finding("error", "json", path, told))
    for segment in segments_info:
        found = area_of.get(int(segment["id"]), 0)
        if not found:
            told = f"segments_info lists id {segment['id']}, which has no pixel"
            findings.append(Finding("error", "json", path, told))
        elif "area" in segment and int(segment["area"]) != found:
            told = f"id {segment['id']}: area {segment['area']} in the JSON, {found} in the PNG"
            findings.append(Finding("warning", "area", path, told))
    return findings


def _check_depth(
    reader: DatasetReader, frame: FrameRecord, size: tuple[int, int], facts: FrameFacts
) -> None:
    path = str(frame["depth_file_name"])
    try:
        metres = reader.read_depth(frame)
    except FormatError as error:
        facts.findings.append(Finding("error", "depth", path, str(error).removeprefix(f"{path}: ")))
        return
    if metres.shape != size:
        facts.findings.append(_size_finding(path, size, metres.shape))
    known = metres[metres > 0]
    facts.depth_share = known.size / metres.size
    if not known.size:
        facts.findings.append(Finding("warning", "depth", path, "no pixel has depth"))
        return
    facts.depth_range = (float(known.min()), float(known.max()))
    if known.min() == known.max():
        told = f"all depths are {known.min():g} m"
        facts.findings.append(Finding("warning", "depth", path, told))
