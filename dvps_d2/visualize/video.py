"""Video files: written whole or not at all, H.264 where PyAV is installed, MPEG-4 elsewhere."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Self, cast

import cv2
import numpy as np

from dvps_d2.formats.files import atomic_path
from dvps_d2.visualize.capture import Recorded

logger = logging.getLogger(__name__)

_LONGEST_GAP = 10.0  # seconds that one frame is held; a longer jump in time is a broken clock


def has_pyav() -> bool:
    """Whether PyAV (the ``video`` extra) is installed."""
    return importlib.util.find_spec("av") is not None


class VideoWriter(AbstractContextManager):
    """Write frames to a video file; it appears when the ``with`` block ends without an error.

    Args:
        path: ``.mp4`` file.
        fps: frames per second.
        codec: "auto", a four-letter OpenCV code such as "mp4v", or, with PyAV, an encoder such
            as "h264". "auto" is H.264 with PyAV, which browsers play, and "mp4v" without.
        fallback: take "auto" with a warning where nobody here can encode ``codec``.

    Raises:
        ValueError: fps is not above 0; the first frame that is written raises it for a codec
            nobody here can encode, without ``fallback``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float,
        *,
        codec: str = "auto",
        fallback: bool = False,
    ) -> None:
        if not 0 < fps < math.inf:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.path = Path(path)
        self.fps = fps
        usual = ["h264", "mp4v"] if has_pyav() else ["mp4v"]
        self._codecs = usual if codec == "auto" else [codec, *(usual if fallback else ())]
        self._stack = ExitStack()
        self._sink: _OpenCVSink | _PyAVSink | None = None
        self._shape: tuple[int, ...] | None = None

    def __enter__(self) -> Self:
        self._partial = self._stack.enter_context(atomic_path(self.path))
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB; every frame must have the first one's size."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        if self._sink is None:
            self._shape = frame.shape
            self._sink = self._open(_even(frame))
        if frame.shape != self._shape:
            raise ValueError(f"frame must be {self._shape} like the first, got {frame.shape}")
        self._sink.write(_even(frame))

    def _open(self, frame: np.ndarray) -> _OpenCVSink | _PyAVSink:
        """The first codec that works."""
        for codec, next_one in zip(self._codecs, [*self._codecs[1:], None], strict=True):
            kind = _OpenCVSink if len(codec) == 4 and codec != "h264" else _PyAVSink
            try:
                return kind(self._partial, self.fps, codec, frame.shape[1], frame.shape[0])
            except ValueError as error:
                if next_one is None:
                    raise
                logger.warning("%s; writing %s instead", error, next_one)
        raise AssertionError("there is always one codec")

    def __exit__(self, *exc: Any) -> bool | None:
        try:
            if self._sink is not None:
                self._sink.close()
            elif exc[0] is None:
                raise ValueError(f"no frame was written to {self.path}")
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self._stack.__exit__(*exc)


class Timeline:
    """How often a frame is written so that a video of constant rate keeps the times of its frames.

    A gap in time is filled with copies, frames that come closer together than the rate allows are
    left out; small irregularities change nothing.

    Args:
        fps: rate of the video that is written.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._start: float | None = None  # time of the first slot
        self._written = 0

    def copies(self, seconds: float) -> tuple[int, bool]:
        """What to do with a frame.

        Args:
            seconds: its time; never less than the one before.

        Returns:
            How often the frame before is to be repeated first, and whether to write this one.
        """
        if self._start is None:
            self._start = seconds
        ahead = (seconds - self._start) * self._fps - self._written
        if ahead > _LONGEST_GAP * self._fps:  # go on from here
            self._start, ahead = seconds - self._written / self._fps, 0.0
        if ahead < -1 - 1e-6:
            return 0, False
        repeats = int(ahead + 1e-6) if self._written else 0
        self._written += repeats + 1
        return repeats, True


class _OpenCVSink:
    def __init__(self, path: Path, fps: float, codec: str, width: int, height: int) -> None:
        code = cv2.VideoWriter.fourcc(*codec)
        self._writer = cv2.VideoWriter(str(path), code, fps, (width, height))
        if not self._writer.isOpened():
            raise ValueError(
                f"OpenCV cannot encode codec {codec!r} into {path.suffix or 'this file'}; use "
                f"'mp4v', or install PyAV (pip install av) for H.264"
            )

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


class _PyAVSink:
    def __init__(self, path: Path, fps: float, codec: str, width: int, height: int) -> None:
        if not has_pyav():
            raise ValueError(f"codec {codec!r} needs PyAV (pip install av); without it use 'mp4v'")
        import av

        self._container = av.open(str(path), "w", format="mp4")
        try:
            rate = max(Fraction(fps).limit_denominator(1000), Fraction(1, 1000))
            # Whether it is a stream of pictures depends on the codec.
            self._stream = cast(Any, self._container.add_stream(codec, rate=rate))
        except (av.error.FFmpegError, ValueError) as error:
            self._container.close()
            raise ValueError(f"PyAV has no encoder {codec!r}; use 'h264' or 'mp4v'") from error
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._make_frame = av.VideoFrame.from_ndarray

    def write(self, frame: np.ndarray) -> None:
        for packet in self._stream.encode(self._make_frame(frame, format="rgb24")):
            self._container.mux(packet)

    def close(self) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()


def _even(frame: np.ndarray) -> np.ndarray:
    """Encoders with half-size colour planes need even sides: repeat the last row or column."""
    height, width = frame.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(frame)
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def read_video(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Yield the frames of a video file, (H, W, 3) uint8 RGB, one at a time.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or not to its end.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"video {path} does not exist")
    capture = Recorded(path)
    try:
        for position in count():
            try:
                _, _, frame = capture.read(position)
            except StopIteration:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.close()
