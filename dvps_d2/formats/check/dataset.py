"""Checks of a whole dataset: trees, counts, numbering, and every frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dvps_d2.formats.check.findings import Finding, Report
from dvps_d2.formats.check.frame import FrameFacts, check_frame
from dvps_d2.formats.check.published import (
    CONSECUTIVE,
    LABELLED_PER_VIDEO,
    PUBLISHED,
    READERS_OF_RELEASES,
)
from dvps_d2.formats.check.street import check_street, street_notes
from dvps_d2.formats.check.tracks import check_tracks
from dvps_d2.formats.errors import FormatError, absences_collected
from dvps_d2.formats.parallel import process_pool
from dvps_d2.formats.records import DatasetReader, VideoRecord

LEAST_DEPTH_SHARE = 0.5  # of the split's median, below which a video is told


def check_dataset(
    reader: DatasetReader,
    root: str | Path,
    *,
    splits: Sequence[str] | None = None,
    every: int = 1,
    subset: int | None = None,
    workers: int = 0,
) -> Report:
    """Check what a reader finds below a folder.

    Args:
        reader: of the dataset.
        root: the dataset's folder.
        splits: which splits; None for those that are there.
        every: open the files of every n-th frame of a video (numbering and counts are always
            checked).
        subset: only the first this many videos of each split.
        workers: processes.

    Returns:
        Findings and counts per split. A split asked for by name that cannot be listed is an
        error; if none can be listed, the reason of the first is.
    """
    report = Report()
    reasons = []
    for split in splits or reader.splits:
        try:
            with absences_collected() as absences:
                records = reader.load_records(root, split)
        except (FormatError, FileNotFoundError) as error:
            reasons.append(Finding("error", "tree", split, str(error)))
            continue
        report.add(Finding("error", "missing", split, str(error)) for error in absences)
        whole = subset is None
        records = records[:subset]
        report.counts[split] = {
            "videos": len(records),
            "frames": sum(len(r["frames"]) for r in records),
            "labelled": sum(f["labelled"] for r in records for f in r["frames"]),
        }
        notes = street_notes(Path(root))
        if whole and notes is not None:
            report.add(check_street(notes, split, len(records)))
        elif whole:
            report.add(_compare_with_published(reader.name, split, report.counts[split]))
        report.add(_check_numbering(reader.name, split, records, street=notes is not None))
        _check_frames(reader, split, records, report, every, workers)
    if splits is not None:
        report.add(reasons)
    elif not report.counts:
        report.add(reasons[:1])
    else:
        _tell_broken_splits(Path(root), reasons, report)
    return report


def _tell_broken_splits(root: Path, reasons: Sequence[Finding], report: Report) -> None:
    """A split whose folder is there but cannot be read is an error, an absent one a note."""
    for reason in reasons:
        present = any((base / reason.where).exists() for base in (root, root / "video_sequence"))
        if present:
            report.add([reason])
        else:
            report.add([Finding("note", "tree", reason.where, "this split is not there")])


def _compare_with_published(name: str, split: str, counts: dict[str, int]) -> Iterator[Finding]:
    published = PUBLISHED.get(name, {}).get(split)
    if published is None:
        if name in READERS_OF_RELEASES:
            told = "counts are not compared: none are published for this split"
            yield Finding("note", "count", split, told)
        return
    for what, expected in zip(("videos", "labelled"), published, strict=True):
        if expected is not None and counts[what] != expected:
            told = f"{counts[what]} {what}, the published dataset has {expected}"
            yield Finding("warning", "count", split, told)


def _check_numbering(
    name: str, split: str, records: Iterable[VideoRecord], *, street: bool
) -> Iterator[Finding]:
    for record in records:
        where = f"{split}, video {record['video_id']}"
        numbers = [frame["frame_id"] for frame in record["frames"]]
        labelled = sum(frame["labelled"] for frame in record["frames"])
        steps = {b - a for a, b in pairwise(numbers)}
        if len(numbers) == 1:
            yield Finding("warning", "short", where, "has one frame: nothing to track")
        if min(steps, default=1) <= 0:
            yield Finding("error", "order", where, f"frame numbers do not ascend: {numbers[:8]}")
        elif name in CONSECUTIVE and len(steps) > 1:
            gap = next(
                i for i in range(1, len(numbers)) if numbers[i] - numbers[i - 1] > min(steps)
            )
            told = f"frames {numbers[gap - 1] + 1} to {numbers[gap] - 1} are missing"
            yield Finding("warning", "gap", where, told)
        expected = None if street else LABELLED_PER_VIDEO.get(name)
        if expected is not None and labelled not in (0, expected):
            told = f"{labelled} labelled frames, the published dataset has {expected}"
            yield Finding("warning", "count", where, told)


def _check_frames(
    reader: DatasetReader,
    split: str,
    records: Sequence[VideoRecord],
    report: Report,
    every: int,
    workers: int,
) -> None:
    depth: dict[str, dict[str, float]] = {}
    described = f"checking {split}"
    videos = _in_parallel(reader, records, every, workers)
    for record, facts in tqdm(videos, total=len(records), desc=described, unit="video"):
        for frame in facts:
            report.add(frame.findings)
        known = _depth_of_video(facts)
        if known is not None:
            depth[record["video_id"]] = known
        where = f"{split}, video {record['video_id']}"
        report.add(check_tracks(reader, where, record, facts, every))
    if depth:
        report.depth[split] = depth
        report.add(_sparse_videos(split, depth))
        report.counts[split].update(
            depth_percent=round(float(np.mean([d["percent"] for d in depth.values()])), 1),
            depth_min_m=min(d["min_m"] for d in depth.values()),
            depth_max_m=max(d["max_m"] for d in depth.values()),
        )


def _depth_of_video(facts: Sequence[FrameFacts]) -> dict[str, float] | None:
    """Share of pixels with depth, least and largest depth; None where there is none."""
    shares = [frame.depth_share for frame in facts if frame.depth_share is not None]
    ranges = [frame.depth_range for frame in facts if frame.depth_range is not None]
    if not ranges:
        return None
    return {
        "percent": round(100 * sum(shares) / len(shares), 1),
        "min_m": round(min(low for low, _ in ranges), 2),
        "max_m": round(max(high for _, high in ranges), 2),
    }


def _sparse_videos(split: str, depth: dict[str, dict[str, float]]) -> Iterator[Finding]:
    """Videos with much less depth than is usual in their split."""
    usual = float(np.median([values["percent"] for values in depth.values()]))
    for video, values in depth.items():
        if values["percent"] < LEAST_DEPTH_SHARE * usual:
            told = f"depth on {values['percent']:g} % of pixels, {usual:g} % are usual here"
            yield Finding("warning", "sparse depth", f"{split}, video {video}", told)


def _in_parallel(
    reader: DatasetReader, records: Sequence[VideoRecord], every: int, workers: int
) -> Iterator[tuple[VideoRecord, list[FrameFacts]]]:
    if workers <= 0:
        for record in records:
            yield record, check_video(reader, record, every)
        return
    with process_pool(workers) as pool:
        futures = [pool.submit(check_video, reader, record, every) for record in records]
        for record, future in zip(records, futures, strict=True):
            yield record, future.result()


def check_video(reader: DatasetReader, record: VideoRecord, every: int) -> list[FrameFacts]:
    """`check_frame` of every n-th frame of a video."""
    size = (record["height"], record["width"])
    return [check_frame(reader, frame, size) for frame in record["frames"][::every]]
