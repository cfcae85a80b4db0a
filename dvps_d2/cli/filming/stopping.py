"""Ctrl-C as a wish: the first one ends in order, the second at once."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Self


class StopOnSignal(AbstractContextManager):
    """While inside, SIGINT and SIGTERM only set `signal`; the next one acts as usual."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only it may
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        sys.stderr.write("\nstopping; files are being completed (again to stop at once)\n")
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """As shells tell it: 128 and the number of the signal; 0 without one."""
        return 0 if self.signal is None else 128 + self.signal

    def __exit__(self, *exc: Any) -> None:
        self._restore()
