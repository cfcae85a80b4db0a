"""Checks of the objects of a video: one id must be one object."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from dvps_d2.formats.check.findings import Finding
from dvps_d2.formats.check.frame import Box, FrameFacts
from dvps_d2.formats.records import DatasetReader, FrameRecord, VideoRecord

# Share of the frame's diagonal that may lie between the boxes of an object in two labelled frames
# that follow each other. Objects that pass close by move far, but their boxes are large then.
JUMP = 0.2
# IoU of boxes above which a new object in the place of one that vanished is taken for the same.
SAME_PLACE = 0.5
# Readers whose track ids are class x 1000 + object: with another class comes another id.
OBJECTS_BY_CLASS = {"cityscapes_dvps": 1000}


def check_tracks(
    reader: DatasetReader,
    where: str,
    record: VideoRecord,
    facts: Sequence[FrameFacts],
    every: int = 1,
) -> Iterator[Finding]:
    """Objects that change their class or jump.

    Args:
        reader: of the dataset.
        where: how messages name the video.
        record: the video.
        facts: of every n-th frame of it.
        every: n. Jumps are looked for where n is 1 only.
    """
    names = reader.categories.names
    frames = record["frames"][::every]
    yield from _classes_of_ids(names, where, frames, facts)
    diagonal = math.hypot(record["width"], record["height"])
    seen = [(f, fact) for f, fact in zip(frames, facts, strict=True) if f["labelled"]]
    for (before, was), (after, now) in pairwise(seen):
        yield from _classes_of_objects(reader, where, (before, was), (after, now))
        if every > 1:
            continue
        for track in was.boxes.keys() & now.boxes.keys():
            gap = box_gap(was.boxes[track], now.boxes[track])
            if gap > JUMP * diagonal:
                told = (
                    f"track {track} jumps: {gap:.0f} pixels lie between its places in frames "
                    f"{before['frame_id']} and {after['frame_id']}"
                )
                yield Finding("warning", "jump", where, told, (before, after), track)


def _classes_of_ids(
    names: Sequence[str], where: str, frames: Sequence[FrameRecord], facts: Sequence[FrameFacts]
) -> Iterator[Finding]:
    """One track id must stay one class."""
    classes: dict[int, dict[int, FrameRecord]] = defaultdict(dict)
    for frame, fact in zip(frames, facts, strict=True):
        for class_id, track_id in fact.segments:
            if track_id:
                classes[track_id].setdefault(class_id, frame)
    for track, found in classes.items():
        if len(found) > 1:
            told = f"track {track} is {' and '.join(names[c] for c in sorted(found))}"
            yield Finding("warning", "track", where, told, tuple(found.values())[:2], track)


def _classes_of_objects(
    reader: DatasetReader,
    where: str,
    before: tuple[FrameRecord, FrameFacts],
    after: tuple[FrameRecord, FrameFacts],
) -> Iterator[Finding]:
    """Where the id holds the class: an object that goes on in its place as another class."""
    divisor = OBJECTS_BY_CLASS.get(reader.name)
    if divisor is None:
        return
    was, now = before[1].boxes, after[1].boxes
    gone = {track % divisor: track for track in was.keys() - now.keys()}
    for track in sorted(now.keys() - was.keys()):
        old = gone.get(track % divisor)
        if old is not None and box_iou(was[old], now[track]) > SAME_PLACE:
            names = (reader.categories.names[t // divisor] for t in (old, track))
            told = (
                f"object {track % divisor} turns from {' to '.join(names)} between frames "
                f"{before[0]['frame_id']} and {after[0]['frame_id']}"
            )
            yield Finding("warning", "track", where, told, (before[0], after[0]), track)


def box_gap(a: Box, b: Box) -> float:
    """Pixels between two boxes, 0 where they touch or overlap."""
    across = max(a[0] - b[2], b[0] - a[2], 0)
    down = max(a[1] - b[3], b[1] - a[3], 0)
    return math.hypot(across, down)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)
