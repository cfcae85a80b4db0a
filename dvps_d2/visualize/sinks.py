"""Where the frames of a film go: a video file, PNGs in a submission's layout, a window."""

from __future__ import annotations

import csv
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from dvps_d2.formats.classes import ClassTable
from dvps_d2.formats.png import write_depth_png
from dvps_d2.formats.records import FrameRecord, VideoRecord, frame_record
from dvps_d2.formats.submission import WRITERS, SubmissionWriter
from dvps_d2.visualize.film import FrameResult
from dvps_d2.visualize.panels import Panel, PanelPainter
from dvps_d2.visualize.sources import SourceFrame
from dvps_d2.visualize.video import Timeline, VideoWriter
from dvps_d2.visualize.window import Window

logger = logging.getLogger(__name__)

RESERVE = 64 << 20  # bytes left free on the disk, so that open files can be completed
BALLAST = 16 << 20  # bytes that are held for the same, whatever other programs take


def require_space(folder: Path) -> None:
    """Refuse to go on when the disk is nearly full.

    Raises:
        OSError: less than `RESERVE` is free.
    """
    free = shutil.disk_usage(folder).free
    if free < RESERVE:
        raise OSError(
            errno.ENOSPC,
            f"only {free >> 20} MiB are free, {RESERVE >> 20} MiB are kept to complete files; free "
            f"some space, or write elsewhere",
            str(folder),
        )


def require_writable(folder: Path) -> None:
    """Make a folder, and refuse one that cannot be written to.

    Raises:
        OSError: with the folder and the way out.
    """
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write here ({error.strerror}); choose another folder", str(folder)
        ) from error
    require_space(folder)


class Ballast:
    """Space that is given back before files are completed: the first sink of a film.

    `require_space` looks once a frame; another program can fill the disk between two looks.

    Args:
        folder: on the disk that is written to. The file in it has no name, and goes when the
            process does.

    Raises:
        OSError: there is no room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by close()
        self._file.write(bytes(BALLAST))
        self._file.flush()

    def write(self, frame: SourceFrame, results: Sequence[FrameResult]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


class PictureSink:
    """Draws every frame once for a video file, a window, or both.

    Args:
        make_painter: (height, width) of the frames -> the painter of the film.
        caption: frame -> text in the upper right corner.
        path: video file, or None.
        fps: of the video.
        codec: see `VideoWriter`; another one is taken where nobody can encode it.
        window: shows pictures too.
    """

    def __init__(
        self,
        make_painter: Callable[[tuple[int, int]], PanelPainter],
        *,
        caption: Callable[[SourceFrame], str] = lambda frame: "",
        path: Path | None = None,
        fps: float = 25.0,
        codec: str = "auto",
        window: Window | None = None,
    ) -> None:
        self._make_painter, self._caption = make_painter, caption
        self._path, self._fps, self._codec, self._window = path, fps, codec, window
        self._painter: PanelPainter | None = None
        self._stack = ExitStack()
        self._video: VideoWriter | None = None
        self._timeline = Timeline(fps)
        self._before: np.ndarray | None = None
        self.left_out = 0  # frames that came closer together than the video's rate allows

    def write(self, frame: SourceFrame, results: Sequence[FrameResult]) -> None:
        """Draw one frame."""
        if self._painter is None:
            self._painter = self._make_painter(cast(tuple[int, int], frame.image.shape[:2]))
        panels = [Panel(result.segments, result.depth) for result in results]
        drawn = self._painter.draw(frame.image, panels, self._caption(frame))
        if self._path is not None:
            self._append(drawn, frame.seconds)
        if self._window is not None:
            self._window.show(drawn)

    def _append(self, drawn: np.ndarray, seconds: float) -> None:
        require_space(self._path.parent)
        if self._video is None:
            video = VideoWriter(self._path, self._fps, codec=self._codec, fallback=True)
            self._video = self._stack.enter_context(video)
        repeats, wanted = self._timeline.copies(seconds)
        for _ in range(repeats):
            self._video.write(self._before)
        if wanted:
            self._video.write(drawn)
            self._before = drawn
        else:
            self.left_out += 1

    def close(self) -> None:
        """Complete the video, and look at what is on the disk."""
        self._stack.close()
        if self._video is not None and not _plays(self._path):
            self._path.unlink(missing_ok=True)
            raise OSError(errno.EIO, "the video could not be completed; is the disk full?",
                          str(self._path))  # fmt: skip


def _plays(path: Path) -> bool:
    video = cv2.VideoCapture(str(path))
    try:
        return video.isOpened() and video.grab()
    finally:
        video.release()


class PredictionSink:
    """Ids, classes and depth of the first system as files.

    ``frames.csv`` tells name, place and time of every frame; with ``layout``, PNGs and JSON as
    `dvps_d2.formats.submission` writes them; with ``depth``, 16-bit depth PNGs in ``depth/``.

    Args:
        folder: where to; made when missing.
        video_id: name of the video in the files.
        table: classes.
        layout: key of `WRITERS`, or None for no ids.
        depth: whether to write depth.
    """

    def __init__(
        self,
        folder: Path,
        video_id: str,
        table: ClassTable,
        *,
        layout: str | None = "vipseg",
        depth: bool = False,
    ) -> None:
        self._folder, self._video_id = folder, video_id
        self._stack = ExitStack()
        self._writer: OpenEnded | None = None
        if layout is not None:
            self._writer = self._stack.enter_context(open_ended(layout)(folder, video_id, table))
        coded = self._writer is not None and self._writer.needs_depth  # writes depth itself
        self._with_depth = depth and not coded
        folder.mkdir(parents=True, exist_ok=True)
        self._list = self._stack.enter_context((folder / "frames.csv").open("w", newline=""))
        self._rows = csv.writer(self._list)
        self._rows.writerow(["name", "position", "seconds"])

    def write(self, frame: SourceFrame, results: Sequence[FrameResult]) -> None:
        """Write the files of one frame."""
        require_space(self._folder)
        result = results[0]
        if self._writer is not None:
            record = frame_record(f"{frame.name}.png", frame.position)
            self._writer.expect(record)
            self._writer.add(
                self._video_id, frame.position, result.ids, result.classes, result.depth
            )
        if self._with_depth and result.depth is not None:
            write_depth_png(self._folder / "depth" / f"{frame.name}.png", result.depth)
        self._rows.writerow([frame.name, frame.position, f"{frame.seconds:.4f}"])
        self._list.flush()

    def close(self) -> None:
        """Write what concerns all frames."""
        self._stack.close()


class OpenEnded(SubmissionWriter):
    """A submission of one video whose frames become known one by one."""

    def __init__(self, folder: Path, video_id: str, table: ClassTable) -> None:
        video = VideoRecord(video_id=video_id, height=0, width=0, frames=[])
        super().__init__(folder, [video], table)
        self._video = video

    def expect(self, frame: FrameRecord) -> None:
        """Announce the next frame."""
        key = (self._video["video_id"], frame["frame_id"])
        self._known.add(key)
        if self.is_submitted(frame):
            self._due[key] = frame


def open_ended(layout: str) -> type[Any]:
    """The writer of a layout, for a video whose frames become known one by one.

    Raises:
        ValueError: there is no such layout.
    """
    if layout not in WRITERS:
        raise ValueError(f"no layout {layout!r}; there are {', '.join(sorted(WRITERS))}")
    kind = WRITERS[layout]
    return type(f"OpenEnded{kind.__name__}", (OpenEnded, kind), {})
