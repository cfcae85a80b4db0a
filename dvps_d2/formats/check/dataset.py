"""Checks of a whole dataset: trees, counts, numbering, and every frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tqdm import tqdm

from dvps_d2.formats.check.findings import Finding, Report
from dvps_d2.formats.check.frame import FrameFacts, check_frame
from dvps_d2.formats.check.published import CONSECUTIVE, LABELLED_PER_VIDEO, PUBLISHED
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.parallel import process_pool
from dvps_d2.formats.records import DatasetReader, VideoRecord


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
            records = reader.load_records(root, split)
        except (FormatError, FileNotFoundError) as error:
            reasons.append(Finding("error", "tree", split, str(error)))
            continue
        whole = subset is None
        records = records[:subset]
        report.counts[split] = {
            "videos": len(records),
            "frames": sum(len(r["frames"]) for r in records),
            "labelled": sum(f["labelled"] for r in records for f in r["frames"]),
        }
        if whole:
            report.add(_compare_with_published(reader.name, split, report.counts[split]))
        report.add(_check_numbering(reader.name, split, records))
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
        return
    for what, expected in zip(("videos", "labelled"), published, strict=True):
        if expected is not None and counts[what] != expected:
            told = f"{counts[what]} {what}, the published dataset has {expected}"
            yield Finding("warning", "count", split, told)


def _check_numbering(name: str, split: str, records: Iterable[VideoRecord]) -> Iterator[Finding]:
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
        expected = LABELLED_PER_VIDEO.get(name)
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
    shares = []
    ranges = []
    described = f"checking {split}"
    videos = _in_parallel(reader, records, every, workers)
    for record, facts in tqdm(videos, total=len(records), desc=described, unit="video"):
        for frame in facts:
            report.add(frame.findings)
            shares += [] if frame.depth_share is None else [frame.depth_share]
            ranges += [] if frame.depth_range is None else [frame.depth_range]
        report.add(_check_tracks(reader, f"{split}, video {record['video_id']}", facts))
    if ranges:
        report.counts[split].update(
            depth_percent=round(100 * sum(shares) / len(shares), 1),
            depth_min_m=round(min(low for low, _ in ranges), 2),
            depth_max_m=round(max(high for _, high in ranges), 2),
        )


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


def _check_tracks(
    reader: DatasetReader, where: str, facts: Sequence[FrameFacts]
) -> Iterator[Finding]:
    """One track id must stay one class."""
    classes: dict[int, set[int]] = defaultdict(set)
    for frame in facts:
        for class_id, track_id in frame.segments:
            if track_id:
                classes[track_id].add(class_id)
    names = reader.categories.names
    for track_id, found in classes.items():
        if len(found) > 1:
            told = f"track {track_id} is {' and '.join(names[c] for c in sorted(found))}"
            yield Finding("warning", "track", where, told)
