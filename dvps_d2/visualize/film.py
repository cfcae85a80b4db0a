"""Frames through one or several systems into files and windows, in memory that does not grow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from dvps_d2.visualize.resizing import Resizing
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.sources import FrameError, FrameSource, SourceFrame
from dvps_d2.visualize.spool import Spool

logger = logging.getLogger(__name__)

MOST_NAMED = 5  # skipped frames that are named one by one


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What a system says about one frame.

    Attributes:
        segments: (H, W), for drawing.
        depth: (H, W) metres, 0 = none, or None without depth.
        ids: (H, W) int panoptic ids, 0 = void; None where only a picture is known.
        classes: id -> class id.
    """

    segments: SegmentMap
    depth: np.ndarray | None = None
    ids: np.ndarray | None = None
    classes: Mapping[int, int] = field(default_factory=dict)


class System(Protocol):
    """Something that turns frames into results; what it remembers is a value.

    Results come in the order of the frames, one for each, when the system has them: a system that
    looks at the whole video gives none before `finish`.
    """

    def step(self, frames: Sequence[SourceFrame], state: Any) -> tuple[Iterable[FrameResult], Any]:
        """Results that are ready, and the state for the next frames; state None starts."""
        ...

    def finish(self, state: Any) -> Iterable[FrameResult]:
        """Results of the frames that wait."""
        ...


class Sink(Protocol):
    """Where results go."""

    def write(self, frame: SourceFrame, results: Sequence[FrameResult]) -> None:
        """Take one frame with one result per system."""
        ...

    def close(self) -> None:
        """Complete what was begun; called once, after errors too."""
        ...


class Film:
    """Runs a source through systems into sinks.

    However a run ends, what was written by then is complete.

    Args:
        source: frames in order.
        systems: each sees every frame.
        sinks: each gets every frame.
        window: frames that enter a system together.
        resizing: brings frames to another size.
        keep_going: leave frames out that cannot be read; otherwise the first one ends the run.
        stop: asked before every window; True ends the run in order.
        on_frame: called after every frame that was written.

    Attributes:
        written: frames that went into all sinks.
        skipped: why frames were left out; the first few.
        num_skipped: frames that were left out.
    """

    def __init__(
        self,
        source: FrameSource,
        systems: Sequence[System],
        sinks: Sequence[Sink],
        *,
        window: int = 1,
        resizing: Resizing | None = None,
        keep_going: bool = False,
        stop: Callable[[], bool] = lambda: False,
        on_frame: Callable[[], Any] = lambda: None,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        self._source, self._systems, self._sinks = source, list(systems), list(sinks)
        self._window, self._resizing = window, resizing or Resizing()
        self._keep_going, self._stop, self._on_frame = keep_going, stop, on_frame
        self._size: tuple[int, int] | None = None
        self.written = 0
        self.skipped: list[str] = []
        self.num_skipped = 0

    def run(self) -> None:
        """Until the source ends, `stop` says so, or something fails.

        Raises:
            FrameError: a frame cannot be read, and ``keep_going`` is off. The frames before it
                are written.
            ValueError: there was no frame at all.
            OSError: a sink cannot write.
        """
        waiting = [Spool() for _ in (self._source, *self._systems)]
        try:
            self._run(waiting[0], waiting[1:])
        except BaseException as error:
            self._close(waiting, error)
            raise
        self._close(waiting)
        if not self.written and not self._stop():
            raise ValueError(f"{self._source.label} gave no frames")

    def _run(self, frames: Spool, results: Sequence[Spool]) -> None:
        states: list[Any] = [None] * len(self._systems)
        failure: FrameError | None = None
        ended = False
        while not ended and not self._stop():
            window, failure = self._next_window()
            ended = failure is not None or len(window) < self._window
            if not window:
                break
            for frame in window:
                frames.put(frame)
            for place, system in enumerate(self._systems):
                ready, states[place] = system.step(window, states[place])
                self._take(ready, place, frames, results)
        for place, system in enumerate(self._systems):
            # Named nowhere else from here on, so that the system can drop what it has told.
            state, states[place] = states[place], None
            if state is not None:
                self._take(system.finish(state), place, frames, results)
        if failure is not None:
            raise failure

    def _take(
        self, ready: Iterable[FrameResult], place: int, frames: Spool, results: Sequence[Spool]
    ) -> None:
        """Queue the results of one system, and write the frames that all systems have told."""
        for result in ready:
            results[place].put(result)
            while all(len(queue) for queue in results):
                frame, told = frames.get(), [queue.get() for queue in results]
                for sink in self._sinks:
                    sink.write(frame, told)
                self.written += 1
                self._on_frame()

    def _next_window(self) -> tuple[list[SourceFrame], FrameError | None]:
        """The next frames, fewer at the end, and why it ends early if it does."""
        window: list[SourceFrame] = []
        while len(window) < self._window:
            try:
                frame = next(self._source)
                window.append(self._same_size(frame))
            except StopIteration:
                break
            except FrameError as error:
                if not self._keep_going:
                    return window, error
                self._skip(error)
        return window, None

    def _same_size(self, frame: SourceFrame) -> SourceFrame:
        image = self._resizing(frame.image)
        if self._size is None:
            self._size = image.shape[:2]
        if image.shape[:2] != self._size:
            (height, width), (first_height, first_width) = frame.image.shape[:2], self._size
            raise FrameError(
                f"frame {frame.position} ({frame.name}) is {width} x {height}, the frames before "
                f"are {first_width} x {first_height}; frames of a video have one size: bring all "
                f"to one with a resize to {first_width}x{first_height}"
            )
        return replace(frame, image=image)

    def _skip(self, error: FrameError) -> None:
        self.num_skipped += 1
        if self.num_skipped <= MOST_NAMED:
            self.skipped.append(str(error))
            logger.warning("left out: %s", error)
        elif self.num_skipped == MOST_NAMED + 1:
            logger.warning("more frames are left out; they are only counted from here on")

    def _close(self, queues: Iterable[Spool], error: BaseException | None = None) -> None:
        """Close everything; the first failure is raised, unless one is on its way already."""
        first: Exception | None = None
        parts: list[Sink | Spool] = [*self._sinks, *queues]
        for part in parts:
            try:
                part.close()
            except Exception as failure:  # whatever it is, the other parts must be closed
                if error is not None:
                    error.add_note(f"and then: {failure}")
                elif first is not None:
                    first.add_note(f"and then: {failure}")
                else:
                    first = failure
        if first is not None:
            raise first
