"""Counting a dataset: frames over processes, videos in order."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2

from dvps_d2.cli.scoring.files import (
    NOTHING,
    Dataset,
    Frame,
    Problems,
    Reader,
    ScriptStopsError,
    Video,
)
from dvps_d2.cli.scoring.png import read_grey16
from dvps_d2.metrics import Counts, FrameCounts, OverlapError, Protocol, VideoCounter, count_frame

CHUNK = 4  # frames that a process takes at a time


Outcome = tuple[FrameCounts | None, str | None]  # the counts of a frame, or what is wrong


@dataclass(frozen=True, eq=False)
class VideoScore:
    """The counts of one video."""

    video_id: str
    counts: Counts


def count_dataset(
    dataset: Dataset, protocol: Protocol, problems: Problems, *, workers: int = 1
) -> list[VideoScore]:
    """Count all videos.

    Only the tables of frames come back from the processes, and only those of the video that is
    being added up are held, so memory follows neither the number of videos nor of processes.

    Args:
        dataset: what to score.
        protocol: how.
        problems: takes frames that cannot be read or scored.
        workers: processes that decode and count; 1 = this one.

    Returns:
        One entry per video with at least one scored frame.

    Raises:
        ScriptStopsError: scored as published, on truth on which the script stops.
    """
    scores = []
    with _counted_frames(dataset, protocol, workers) as outcomes:
        for video in dataset.videos:
            _check_windows(video, protocol)
            counter = VideoCounter(protocol, dataset.classes)
            for frame in video.frames:
                if frame is NOTHING:
                    counter.add_nothing()
                    continue
                counts, problem = next(outcomes) if frame is not None else (None, None)
                if problem is not None:
                    problems.add(problem)
                if counts is None:
                    counter.skip()
                else:
                    _add(counter, counts, video.video_id)
            if counter.frames:
                scores.append(VideoScore(video.video_id, counter.counts()))
    return scores


def _check_windows(video: Video, protocol: Protocol) -> None:
    """Published scripts shorten a window whose truth runs out, but stop at one without any."""
    without = sum(frame is NOTHING for frame in video.frames)
    for length in protocol.windows:
        if 1 < length <= without:
            raise ScriptStopsError(
                f"video {video.video_id} has no readable truth for its last {without} frames, "
                f"which are a whole window of {length}"
            )


def _add(counter: VideoCounter, counts: FrameCounts, video_id: str) -> None:
    """Add a frame; areas that cannot be are those of a JSON, on which published scripts stop."""
    try:
        counter.add(counts)
    except OverlapError as error:
        raise ScriptStopsError(f"video {video_id}, frame {counter.frames}: {error}") from None


def count_files(frame: Frame, reader: Reader, protocol: Protocol) -> Outcome:
    """Decode and count one frame: its counts, or what is wrong with it."""
    try:
        depths = {}
        if protocol.needs_depth:
            depths = {
                "truth_depth": read_grey16(frame.truth.depth),
                "pred_depth": read_grey16(frame.pred.depth),
            }
        truth, pred = reader.truth(frame.truth), reader.pred(frame.pred)
        return count_frame(protocol, truth, pred, **depths), None
    except (ValueError, OSError) as error:
        text = str(error)
        paths = (*frame.truth.panoptic, *frame.pred.panoptic, frame.truth.depth, frame.pred.depth)
        if not any(path and path in text for path in paths):  # name the files once
            text = f"{frame.pred.panoptic[0]} against {frame.truth.panoptic[0]}: {text}"
        return None, text


@contextmanager
def _counted_frames(
    dataset: Dataset, protocol: Protocol, workers: int
) -> Iterator[Iterator[Outcome]]:
    """Iterator over the outcomes of all frames that are there, in order."""
    frames = (f for video in dataset.videos for f in video.frames if f not in (None, NOTHING))
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield (count_files(frame, dataset.reader, protocol) for frame in frames)
        finally:
            cv2.setNumThreads(threads)
        return
    pool = ProcessPoolExecutor(workers, _context(), _start_worker, (dataset.reader, protocol))
    try:
        yield _in_order(pool, _chunks(frames), 4 * workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, chunks: Iterable[list[Frame]], ahead: int
) -> Iterator[Outcome]:
    """Outcomes in the order of the chunks, with at most ``ahead`` chunks under way."""
    waiting: list[Future[list[Outcome]]] = []
    for chunk in chunks:
        waiting.append(pool.submit(_count_chunk, chunk))
        if len(waiting) >= ahead:
            yield from waiting.pop(0).result()
    for future in waiting:
        yield from future.result()


def _chunks(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    chunk: list[Frame] = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _context() -> multiprocessing.context.BaseContext:
    """Forking is cheap, and safe where no other library has started threads."""
    methods = multiprocessing.get_all_start_methods()
    forkable = "fork" in methods and "torch" not in sys.modules
    return multiprocessing.get_context("fork" if forkable else "spawn")


_worker: tuple[Reader, Protocol] | None = None


def _start_worker(reader: Reader, protocol: Protocol) -> None:
    global _worker
    cv2.setNumThreads(0)  # the processes are the threads; OpenCV's do not survive a fork
    _worker = (reader, protocol)


def _count_chunk(frames: list[Frame]) -> list[Outcome]:
    return [count_files(frame, *_worker) for frame in frames]
