"""Where frames come from: video files, folders of images, cameras and streams, one at a time.

```
with open_source("street.mp4", every=2) as source:
    for frame in source:
        frame.image, frame.seconds
```
"""

from __future__ import annotations

import glob
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dvps_d2.visualize.capture import Capture, Live, Recorded

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
FPS_OF_IMAGES = 10.0  # of folders, which do not say
FPS_LIMITS = (0.001, 1000.0)  # that may be asked for: what a video file can tell
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Schemes and inputs that run on whether or not anybody reads.
_LIVE = re.compile(r"(rtsp|rtsps|rtmp|udp|rtp|srt)://|/dev/video", re.IGNORECASE)
_EXPECTED = (
    "a video file, a folder or a quoted pattern of images, the number of a camera, or the address "
    "of a stream"
)
# A 16-bit image whose brightest value is below it is dark whatever it shows: most likely 10 or 12
# bits of a camera that were stored as they came.
_DARK_16_BIT = 1 << 12


class FrameError(ValueError):
    """A frame cannot be read; the ones after it may be readable."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame as it was recorded.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        position: place in the source, counted from 0 before anything is left out.
        seconds: time since the start of the source.
        name: of its file without folder; made from the position for videos.
        path: its image file, None for videos.
    """

    image: np.ndarray
    position: int
    seconds: float
    name: str
    path: Path | None = None


class FrameSource(AbstractContextManager, ABC):
    """Frames in order; iterating twice is not possible, memory does not grow.

    Iteration raises `FrameError` at a frame that cannot be read; calling ``next`` again goes on
    behind it.

    Attributes:
        label: short name for titles and file names.
        fps: frames per second of what is yielded, ``every`` taken into account.
        count: frames that will be yielded, or None where nobody knows.
    """

    label: str
    fps: float
    count: int | None

    @abstractmethod
    def __next__(self) -> SourceFrame:
        """The next frame."""

    def __iter__(self) -> Iterator[SourceFrame]:
        return self

    def close(self) -> None:
        """Let go of files and devices."""

    def __exit__(self, *exc: Any) -> None:
        self.close()


class ImageFiles(FrameSource):
    """Image files as the frames of one video.

    Args:
        paths: in order.
        label: name of the video.
        fps: of the files, before any is left out.
        every: take each n-th.
        start: first position.
        limit: at most so many frames.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        label: str = "frames",
        fps: float = FPS_OF_IMAGES,
        every: int = 1,
        start: int = 0,
        limit: int | None = None,
    ) -> None:
        if start >= len(paths):
            raise ValueError(f"start is frame {start}, but {label} has only {len(paths)} frames")
        places = range(start, len(paths), every)[:limit]
        self._paths, self._places, self._rate = list(paths), iter(places), fps
        self.label, self.fps, self.count = label, fps / every, len(places)
        self._warned_dark = False
        # Files of several folders can have one name; what is written of them must not.
        self._distinct = len({path.stem for path in paths}) == len(paths)

    def __next__(self) -> SourceFrame:
        position = next(self._places)
        path = self._paths[position]
        # Grey and transparent images become colour.
        image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if image is None:
            state = "is not a readable image" if path.is_file() else "does not exist"
            raise FrameError(f"frame {position}: {path} {state}")
        colour = cv2.cvtColor(self._in_8_bits(image, path), cv2.COLOR_BGR2RGB)
        name = path.stem if self._distinct else f"{position:06}"
        return SourceFrame(colour, position, position / self._rate, name, path)

    def _in_8_bits(self, image: np.ndarray, path: Path) -> np.ndarray:
        if image.dtype == np.uint8:
            return image
        if image.dtype != np.uint16:
            raise FrameError(f"{path} holds {image.dtype} numbers; expected 8-bit or 16-bit pixels")
        brightest = int(image.max())
        if brightest < _DARK_16_BIT and not self._warned_dark:
            self._warned_dark = True
            logger.warning(
                "%s has 16 bits, but its brightest value is %d: it is shown nearly black. If the "
                "camera has fewer bits, multiply its values (12 bits: by 16) or write 8 bits",
                path,
                brightest,
            )
        return (image >> 8).astype(np.uint8)


class CapturedFrames(FrameSource):
    """Frames of a video file, a camera or a stream.

    Args:
        capture: already opened.
        label: name of the video.
        fps: overrides what the capture says.
        every: take each n-th.
        start: first position.
        limit: at most so many frames.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        label: str,
        fps: float | None = None,
        every: int = 1,
        start: int = 0,
        limit: int | None = None,
    ) -> None:
        self._capture, self._every, self._left = capture, every, limit
        self._rate, self._retimed = fps or capture.fps, fps is not None
        self.label, self.fps = label, self._rate / every
        total = capture.count
        if total is not None and start >= total:
            capture.close()
            raise ValueError(f"start is frame {start}, but {label} has only {total} frames")
        known = None if total is None else len(range(start, total, every))
        self.count = limit if known is None else min(known, limit if limit is not None else known)
        self._due = start  # position of the next frame to yield

    def __next__(self) -> SourceFrame:
        if self._left == 0:
            raise StopIteration
        try:
            position, seconds, image = self._capture.read(self._due)
        except ValueError as error:
            raise FrameError(f"{self.label}: {error}") from error
        self._due = position + self._every
        if self._left is not None:
            self._left -= 1
        if self._retimed:
            seconds = position / self._rate
        colour = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return SourceFrame(colour, position, seconds, f"{position:06}")

    def close(self) -> None:
        self._capture.close()


def open_source(
    spec: str | os.PathLike[str],
    *,
    fps: float | None = None,
    every: int = 1,
    start: int | str = 0,
    limit: int | None = None,
) -> FrameSource:
    """Open whatever can be a video.

    Args:
        spec: a video file, a folder or a glob pattern of images, the number of a camera, or the
            address of a stream.
        fps: frames per second of the source where it says nothing or something wrong.
        every: take each n-th frame.
        start: where to begin: a frame's number, seconds as "12.5s", or minutes as "1:30".
        limit: at most so many frames.

    Raises:
        FileNotFoundError: there is no such file or folder, or nothing fits the pattern.
        ValueError: it cannot be decoded, it has no frames, or an argument is out of range.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if limit is not None and limit < 1:
        raise ValueError(f"the number of frames must be at least 1, got {limit}")
    least, most = FPS_LIMITS
    if fps is not None and not least <= fps <= most:
        raise ValueError(f"fps must be in {least:g}..{most:g}, got {fps:g}")
    text = os.fspath(spec)
    if not text:  # which pathlib would take for the folder one is in
        raise ValueError(f"the name of the input is empty; expected {_EXPECTED}")
    options: dict[str, Any] = {"every": every, "limit": limit}
    if text.isdecimal() and not Path(text).exists():
        return _open_capture(Live(int(text)), f"camera {text}", fps, start, options)
    if _LIVE.match(text):
        return _open_capture(Live(text), _short_name(text), fps, start, options)
    if _URL.match(text) or Path(text).is_file():
        if Path(text).suffix.lower() in IMAGE_SUFFIXES:
            return _open_images([Path(text)], Path(text).stem, fps, start, options)
        return _open_capture(Recorded(text), _short_name(text), fps, start, options)
    if Path(text).is_dir():
        paths = [p for p in Path(text).iterdir() if _is_image(p)]
        if not paths:
            raise FileNotFoundError(
                f"folder {text} holds no images ({', '.join(IMAGE_SUFFIXES)}); for images in "
                f"folders below it give a pattern such as '{text}/*/*.png'"
            )
        return _open_images(paths, Path(text).resolve().name, fps, start, options)
    if glob.has_magic(text):
        paths = [Path(p) for p in glob.glob(text, recursive=True)]
        paths = [p for p in paths if _is_image(p)]
        if not paths:
            raise FileNotFoundError(f"no image fits the pattern {text}")
        label = Path(text).parent.name
        return _open_images(
            paths, "frames" if glob.has_magic(label) else label, fps, start, options
        )
    raise FileNotFoundError(f"{text} does not exist; expected {_EXPECTED}")


def _is_image(path: Path) -> bool:
    """By its ending; hidden files are notes of a file manager, such as macOS's ``._0.jpg``."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _open_images(
    paths: list[Path], label: str, fps: float | None, start: int | str, options: dict[str, Any]
) -> ImageFiles:
    rate = fps or FPS_OF_IMAGES
    paths.sort(key=natural_order)
    return ImageFiles(
        paths, label=label or "frames", fps=rate, start=first_position(start, rate), **options
    )


def _open_capture(
    capture: Capture, label: str, fps: float | None, start: int | str, options: dict[str, Any]
) -> CapturedFrames:
    try:
        position = first_position(start, fps or capture.fps)
        return CapturedFrames(capture, label=label, fps=fps, start=position, **options)
    except BaseException:
        capture.close()
        raise


def first_position(start: int | str, fps: float) -> int:
    """The frame at "120", "12.5s" or "1:30".

    Raises:
        ValueError: it is none of these.
    """
    text = str(start).strip()
    if text.isdecimal():
        return int(text)
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)s?", text)
    if match is None:
        raise ValueError(f"start must be a frame (120), seconds (12.5s) or 1:30, got {text!r}")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return round((hours * 3600 + minutes * 60 + seconds) * fps)


def natural_order(path: Path) -> tuple[str, list[tuple[int, int | str]]]:
    """A sort key by which frame 9 comes before frame 10, zeros in front or not."""
    parts = re.split(r"(\d+)", path.name)
    return str(path.parent), [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p]


def _short_name(address: str) -> str:
    """Last part of a path or address, without ending, and without a password."""
    tail = re.split(r"[?#]", address.rstrip("/"))[0].rsplit("/", 1)[-1].rsplit("@", 1)[-1]
    return re.sub(r"[^\w.-]+", "_", Path(tail).stem) or "stream"
