"""Scores of all videos together and of each, and their order from worst to best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from dvps_d2.metrics import (
    ClassSet,
    Counts,
    FrameTable,
    LabelMap,
    Listing,
    Protocol,
    VideoCounter,
    count_frame,
    frame_table,
    summarize,
)
from dvps_d2.report.frames import ReportFrame, ReportVideo
from dvps_d2.report.tracks import VideoTracks, follow_tracks


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """A video that was counted.

    Attributes:
        video: the video.
        counts: its counts; None when no frame has a label.
        tracks: its tracks.
        result: its own scores (``summarize``), over the classes that occur in it; or None.
        value: the one that videos are ordered by, 0..1; None without one.
    """

    video: ReportVideo
    counts: Counts | None
    tracks: VideoTracks
    result: dict | None
    value: float | None


# What videos are ordered by: the first of these that a result has.
ORDER = (
    ("DVPQ", lambda result: result["dvpq"]["mean"]["all"]),
    ("VPQ", lambda result: result["vpq"]["mean"]["all"]),
    ("DSTQ", lambda result: result["dstq"]["dstq"]),
    ("STQ", lambda result: result["stq"]["stq"]),
)


def main_score(result: dict) -> tuple[str, float | None]:
    """Name and value, 0..1, of the score that stands for a result.

    Raises:
        ValueError: the result has none of them.
    """
    for name, value in ORDER:
        if name.lower() in result:
            return name, value(result)
    raise ValueError(f"a report needs one of vpq, dvpq, stq, dstq; the result has {list(result)}")


def score_video(video: ReportVideo, protocol: Protocol, classes: ClassSet) -> ScoredVideo:
    """Count one video; frames without a label enter the tracks and not the scores.

    Raises:
        ValueError: a frame cannot be read or scored; the message names it.
    """
    counter, tables = VideoCounter(protocol, classes), []
    for load in video.frames:
        frame = load()
        try:
            if frame.truth is None:
                tables.append(_without_truth(frame))
                continue
            depths = {"truth_depth": frame.truth_depth, "pred_depth": frame.pred_depth}
            counts = count_frame(protocol, frame.truth, frame.pred, **depths)
        except ValueError as error:
            raise ValueError(f"video {video.video_id!r}, frame {frame.name}: {error}") from None
        counter.add(counts)
        tables.append(counts.table)
    tracks = follow_tracks(tables, frozenset(classes.thing_ids))
    if not counter.frames:
        return ScoredVideo(video, None, tracks, None, None)
    result = summarize(counter.counts(), of_one_video(protocol, len(classes)), classes)
    return ScoredVideo(video, counter.counts(), tracks, result, main_score(result)[1])


def of_one_video(protocol: Protocol, num_classes: int) -> Protocol:
    """The same protocol, averaging over the classes that occur.

    A class that a video does not show would count 0 under some protocols, and videos with few
    classes would look worst.
    """
    left_out = set(protocol.left_out)
    if protocol.eval_classes is not None:
        left_out |= set(range(num_classes)) - set(protocol.eval_classes)
    return replace(
        protocol, mean_over="occurring", eval_classes=None, left_out=tuple(sorted(left_out))
    )


def score_all(
    videos: Iterable[ReportVideo], protocol: Protocol, classes: ClassSet
) -> Iterator[ScoredVideo]:
    """Count videos one after the other."""
    for video in videos:
        yield score_video(video, protocol, classes)


def total_result(
    scored: Sequence[ScoredVideo], protocol: Protocol, classes: ClassSet
) -> dict | None:
    """The scores of all videos together; None when nothing has a label."""
    counts = [s.counts for s in sorted(scored, key=lambda s: s.video.video_id) if s.counts]
    return summarize(reduce(add, counts), protocol, classes) if counts else None


def worst_first(scored: Sequence[ScoredVideo]) -> list[ScoredVideo]:
    """Videos from the worst to the best; those without a score keep their order at the end."""
    return sorted(scored, key=lambda s: (s.value is None, s.value or 0.0))


def _without_truth(frame: ReportFrame) -> FrameTable:
    nothing = Listing.from_info([])
    empty = LabelMap(np.zeros(frame.pred.ids.shape, np.uint8), nothing)
    return frame_table(empty, frame.pred)
