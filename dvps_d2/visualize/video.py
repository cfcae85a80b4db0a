"""Video files: written whole or not at all, H.264 where PyAV is installed, MPEG-4 elsewhere."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from dvps_d2.formats.files import atomic_path


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

    Raises:
        ValueError: fps is not above 0; the first frame that is written raises it for a codec
            nobody here can encode.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, *, codec: str = "auto") -> None:
        if fps <= 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.path = Path(path)
        self.fps = fps
        self.codec = ("h264" if has_pyav() else "mp4v") if codec == "auto" else codec
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
            kind = _OpenCVSink if len(self.codec) == 4 and self.codec != "h264" else _PyAVSink
            even = _even(frame)
            self._sink = kind(self._partial, self.fps, self.codec, even.shape[1], even.shape[0])
        if frame.shape != self._shape:
            raise ValueError(f"frame must be {self._shape} like the first, got {frame.shape}")
        self._sink.write(_even(frame))

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
            rate = Fraction(fps).limit_denominator(1000)
            self._stream = self._container.add_stream(codec, rate=rate)
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
        ValueError: it cannot be decoded.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"video {path} does not exist")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise ValueError(f"{path} is not a video OpenCV can decode")
        while True:
            good, frame = capture.read()
            if not good:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
