"""Reading with OpenCV: recordings frame by frame, live pictures by the newest."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import cv2
import numpy as np

logger = logging.getLogger(__name__)

USUAL_FPS = 25.0
_BELIEVABLE_FPS = (0.1, 1000.0)
# Containers only estimate how many frames they hold: this share may be missing, and so many.
_MISSING_SHARE, _MISSING_FRAMES = 0.02, 2
_LONGEST_WAIT = 20.0  # seconds without a picture until a live source counts as gone

Read = tuple[int, float, np.ndarray]


class Capture(ABC):
    """Something that gives pictures.

    Attributes:
        fps: frames per second.
        count: frames it has, None where nobody knows.
    """

    fps: float
    count: int | None

    @abstractmethod
    def read(self, position: int) -> Read:
        """The picture at a position, or the first one after it.

        Returns:
            Its position, its time in seconds since the start, and (H, W, 3) uint8 BGR.

        Raises:
            StopIteration: there are no more.
            ValueError: it cannot be decoded.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or device."""


class Recorded(Capture):
    """A video file, or an address that serves one.

    Args:
        path: file or address.

    Raises:
        ValueError: OpenCV cannot decode it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._video = _open(self._path)
        if not self._video.isOpened():
            raise ValueError(_why_not(self._path))
        self.fps = _believable(self._video.get(cv2.CAP_PROP_FPS), self._path)
        promised = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count = promised if promised > 0 else None
        self._next = 0  # position of the picture that comes next
        self._found: Read | None = None  # one that was read ahead
        self._first: float | None = None  # its own time at the start
        self._last = -1.0

    def read(self, position: int) -> Read:
        while self._next < position:
            self._take()
        return self._take()

    def _take(self) -> Read:
        """The next picture."""
        if self._found is not None:
            found, self._found = self._found, None
            return found
        good, image = self._video.read()
        if not good:
            return self._behind_damage()
        found = self._next, self._time(), image
        self._next += 1
        return found

    def _behind_damage(self) -> Read:
        """Look for a picture after the place where decoding failed; keep it for the next call."""
        first = self._next
        promised = first if self.count is None else self.count
        for place in range(first + 1, promised):
            good, image = self._video.read()
            if good:
                self._found, self._next = (place, self._time(), image), place + 1
                lost = f"frame {first}" if place == first + 1 else f"frames {first} to {place - 1}"
                raise ValueError(f"{lost} of {self._path} cannot be decoded: damaged")
        if promised - first > max(_MISSING_FRAMES, _MISSING_SHARE * promised):
            self.count = first  # said once
            raise ValueError(
                f"decoding ends at frame {first} of {promised} that {self._path} promises: the "
                f"file is truncated or damaged there"
            )
        raise StopIteration

    def _time(self) -> float:
        """Seconds of the picture just taken; by its number where the file tells nonsense."""
        seconds = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._first is None:
            self._first = seconds
        seconds -= self._first
        if not np.isfinite(seconds) or seconds <= self._last:
            seconds = self._last + 1 / self.fps if self._last >= 0 else 0.0
        self._last = seconds
        return seconds

    def close(self) -> None:
        self._video.release()


class Live(Capture):
    """A camera or a stream that runs on: always the newest picture, older ones are dropped.

    Positions count the pictures that came; times are those of arrival.

    Args:
        device: number of a camera, or an address.
        video: already opened, for tests; else OpenCV opens the device.

    Raises:
        ValueError: it cannot be opened.
    """

    def __init__(self, device: int | str, *, video: Any = None) -> None:
        self._video = _open(device) if video is None else video
        name = f"camera {device}" if isinstance(device, int) else _without_password(device)
        if not self._video.isOpened():
            if _is_address(device):
                raise ValueError(_no_answer(name))
            raise ValueError(
                f"{name} cannot be opened: not there, used by another program, or (on Linux) not "
                f"allowed for this user (group video)"
            )
        self._name = name
        self.fps = _believable(self._video.get(cv2.CAP_PROP_FPS), name)
        self.count = None
        self._fresh = threading.Condition()
        self._newest: Read | None = None
        self._over = False
        self._thread = threading.Thread(target=self._watch, name=f"watching {name}", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        start, position = None, 0
        while not self._over:
            good, image = self._video.read()
            now = time.monotonic()
            start = now if start is None else start
            with self._fresh:
                if good:
                    self._newest = (position, now - start, image)
                    position += 1
                else:
                    self._over = True
                self._fresh.notify()

    def read(self, position: int) -> Read:
        def ready() -> bool:
            return self._over or (self._newest is not None and self._newest[0] >= position)

        with self._fresh:
            if not self._fresh.wait_for(ready, timeout=_LONGEST_WAIT):
                raise ValueError(f"{self._name} gave no picture for {_LONGEST_WAIT:.0f} seconds")
            newest, self._newest = self._newest, None
        if newest is None or newest[0] < position:
            raise StopIteration
        return newest

    def close(self) -> None:
        self._over = True
        self._thread.join(timeout=2)
        self._video.release()


def _believable(fps: float, name: str) -> float:
    low, high = _BELIEVABLE_FPS
    if low <= fps <= high:
        return fps
    logger.warning("%s tells no usable frame rate (%g); taken as %g", name, fps, USUAL_FPS)
    return USUAL_FPS


def _open(device: int | str) -> cv2.VideoCapture:
    """OpenCV's capture; a host that does not answer is given up (by itself OpenCV waits longer)."""
    if not _is_address(device):
        return cv2.VideoCapture(device)
    wait = round(1000 * _LONGEST_WAIT)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
    return cv2.VideoCapture(device, cv2.CAP_ANY, limits)


def _is_address(device: int | str) -> bool:
    return isinstance(device, str) and "://" in device


def _no_answer(name: str) -> str:
    return (
        f"{name} cannot be opened: the host did not answer within {_LONGEST_WAIT:.0f} seconds, "
        f"refused, or sends no video; try the address in a player such as ffplay"
    )


def _why_not(path: str) -> str:
    if _is_address(path):
        return _no_answer(_without_password(path))
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        return f"{path} is empty"
    return (
        f"{path} is not a video OpenCV can decode, or it is not complete; with ffmpeg: "
        f"ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p out.mp4"
    )


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)
