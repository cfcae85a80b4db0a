"""What happens during training: scalars and images in a storage, writers that read from it."""

import datetime
import itertools
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import torch
from fvcore.common.history_buffer import HistoryBuffer

from detectron2.utils.file_io import PathManager

__all__ = [
    "CommonMetricPrinter",
    "EventStorage",
    "EventWriter",
    "JSONWriter",
    "TensorboardXWriter",
    "get_event_storage",
    "has_event_storage",
]

_CURRENT_STORAGE_STACK: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """The storage of the innermost ``with EventStorage(...)``; asserts that there is one."""
    assert _CURRENT_STORAGE_STACK, (
        "get_event_storage() has to be called inside a 'with EventStorage(...)' context!"
    )
    return _CURRENT_STORAGE_STACK[-1]


def has_event_storage() -> bool:
    """Whether the code runs inside a ``with EventStorage(...)``."""
    return len(_CURRENT_STORAGE_STACK) > 0


class EventStorage:
    """Collects named values over iterations. A context manager, see `get_event_storage`."""

    def __init__(self, start_iter: int = 0) -> None:
        """
        Args:
            start_iter: iteration number to start with.
        """
        self._history: dict[str, HistoryBuffer] = defaultdict(HistoryBuffer)
        self._smoothing_hints: dict[str, bool] = {}
        self._latest_scalars: dict[str, tuple[float, int]] = {}
        self._iter = start_iter
        self._current_prefix = ""
        self._vis_data: list[tuple[str, Any, int]] = []
        self._histograms: list[dict[str, Any]] = []

    def put_image(self, img_name: str, img_tensor: Any) -> None:
        """Keep an image for the writers.

        Args:
            img_name: its name.
            img_tensor: (3, H, W) RGB, uint8 in 0..255 or float in 0..1; tensor or array.
        """
        self._vis_data.append((img_name, img_tensor, self._iter))

    def put_scalar(
        self,
        name: str,
        value: Any,
        smoothing_hint: bool = True,
        cur_iter: int | None = None,
    ) -> None:
        """Add a value to the history of a scalar.

        Args:
            name: its name; the current name scope is put in front.
            value: anything ``float()`` takes.
            smoothing_hint: whether writers should show a median over a window instead of the value
                (losses: yes; learning rates and evaluation results: no). Fixed by the first call.
            cur_iter: iteration of the value; None takes the storage's.
        """
        name = self._current_prefix + name
        cur_iter = self._iter if cur_iter is None else cur_iter
        value = float(value)
        self._latest_scalars[name] = (value, cur_iter)
        self._history[name].update(value, cur_iter)
        known_hint = self._smoothing_hints.setdefault(name, smoothing_hint)
        assert known_hint == smoothing_hint, (
            f"Scalar {name} was put with a different smoothing_hint!"
        )

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: Any
    ) -> None:
        """Put several scalars, given as keywords."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def put_histogram(self, hist_name: str, hist_tensor: torch.Tensor, bins: int = 1000) -> None:
        """Keep the histogram of a tensor for the writers.

        Args:
            hist_name: its name.
            hist_tensor: any shape.
            bins: number of equal bins between its minimum and maximum.
        """
        low, high = hist_tensor.min().item(), hist_tensor.max().item()
        counts = torch.histc(hist_tensor, bins=bins)
        edges = torch.linspace(start=low, end=high, steps=bins + 1, dtype=torch.float32)
        # Keywords of SummaryWriter.add_histogram_raw.
        self._histograms.append(
            {
                "tag": hist_name,
                "min": low,
                "max": high,
                "num": len(hist_tensor),
                "sum": float(hist_tensor.sum()),
                "sum_squares": float(torch.sum(hist_tensor**2)),
                "bucket_limits": edges[1:].tolist(),
                "bucket_counts": counts.tolist(),
                "global_step": self._iter,
            }
        )

    def history(self, name: str) -> HistoryBuffer:
        """History of one scalar; KeyError when nothing was put under this name."""
        buffer = self._history.get(name)
        if buffer is None:
            raise KeyError(f"No history metric available for {name}!")
        return buffer

    def histories(self) -> dict[str, HistoryBuffer]:
        """Name -> history, for every scalar."""
        return self._history

    def latest(self) -> dict[str, tuple[float, int]]:
        """Name -> (last value, its iteration)."""
        return self._latest_scalars

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """Like `latest`, with a median instead of the value where smoothing was asked for.

        Args:
            window_size: number of iterations that count.

        Returns:
            Name -> (median over the samples of the last ``window_size`` iterations, or the raw
            value; iteration of the last sample).
        """
        result = {}
        for name, (value, iteration) in self._latest_scalars.items():
            if self._smoothing_hints[name]:
                value = self._history[name].median(self.count_samples(name, window_size))
            result[name] = (value, iteration)
        return result

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """Number of samples of a scalar among the ``window_size`` iterations up to its last."""
        samples = self._history[name].values()
        recent = itertools.takewhile(
            lambda sample: sample[1] > samples[-1][1] - window_size, reversed(samples)
        )
        return sum(1 for _ in recent)

    def smoothing_hints(self) -> dict[str, bool]:
        """Name -> whether its values should be smoothed."""
        return self._smoothing_hints

    def step(self) -> None:
        """Go on to the next iteration; done by the trainer."""
        self._iter += 1

    @property
    def iter(self) -> int:
        """The current iteration; when used with a trainer, that of the step being run."""
        return self._iter

    @iter.setter
    def iter(self, value: int) -> None:
        self._iter = int(value)

    @property
    def iteration(self) -> int:
        """Another name of ``iter``."""
        return self._iter

    def __enter__(self) -> Self:
        _CURRENT_STORAGE_STACK.append(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert _CURRENT_STORAGE_STACK[-1] is self
        _CURRENT_STORAGE_STACK.pop()

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put ``name/`` in front of the scalars added inside. Scopes replace, they do not nest."""
        old_prefix = self._current_prefix
        self._current_prefix = name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._current_prefix = old_prefix

    def clear_images(self) -> None:
        """Forget all images, usually after they were written."""
        self._vis_data = []

    def clear_histograms(self) -> None:
        """Forget all histograms, usually after they were written."""
        self._histograms = []


class EventWriter:
    """Reads from the current `EventStorage` and writes somewhere."""

    def write(self) -> None:
        """Write what is new; called every few iterations inside the storage's context."""
        raise NotImplementedError

    def close(self) -> None:
        """Flush and release resources."""


class JSONWriter(EventWriter):
    """Append scalars to a file, one JSON object per line and iteration.

    Keys are the scalar names and ``iteration``, sorted. An evaluation that is recorded between two
    writes has its own iteration and so its own line, which may stand after a newer one.
    """

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        """
        Args:
            json_file: opened for appending.
            window_size: iterations of the median of scalars that ask for smoothing.
        """
        self._file_handle = PathManager.open(json_file, "a")
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        storage = get_event_storage()
        lines: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in storage.latest_with_smoothing_hint(
            self._window_size
        ).items():
            if iteration > self._last_write:
                lines[iteration][name] = value
        if lines:
            self._last_write = max(lines)
        for iteration, scalars in lines.items():
            line = json.dumps({**scalars, "iteration": iteration}, sort_keys=True)
            self._file_handle.write(line + "\n")
        self._file_handle.flush()
        with suppress(AttributeError):  # a remote file has no descriptor
            os.fsync(self._file_handle.fileno())

    def close(self) -> None:
        self._file_handle.close()


class TensorboardXWriter(EventWriter):
    """Write scalars, images and histograms for TensorBoard."""

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        """
        Args:
            log_dir: folder of the event files; made when something is first written.
            window_size: iterations of the median of scalars that ask for smoothing.
            kwargs: passed on to ``torch.utils.tensorboard.SummaryWriter``.
        """
        self._window_size = window_size
        self._writer_args = {"log_dir": log_dir, **kwargs}
        self._last_write = -1

    @cached_property
    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(**self._writer_args)

    def write(self) -> None:
        storage = get_event_storage()
        newest = self._last_write
        for name, (value, iteration) in storage.latest_with_smoothing_hint(
            self._window_size
        ).items():
            if iteration > self._last_write:
                self._writer.add_scalar(name, value, iteration)
                newest = max(newest, iteration)
        self._last_write = newest

        for name, image, iteration in storage._vis_data:
            self._writer.add_image(name, image, iteration)
        storage.clear_images()
        for histogram in storage._histograms:
            self._writer.add_histogram_raw(**histogram)
        storage.clear_histograms()

    def close(self) -> None:
        if "_writer" in self.__dict__:  # never made when nothing was written
            self._writer.close()


class CommonMetricPrinter(EventWriter):
    """Log one line with the losses, times, learning rate, memory and time to go."""

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        """
        Args:
            max_iter: last iteration, for the estimate of the time to go; None leaves it out.
            window_size: iterations of the median of losses and of the mean of times.
        """
        self.logger = logging.getLogger("detectron2.utils.events")
        self._max_iter = max_iter
        self._window_size = window_size
        self._last_write: tuple[int, float] | None = None  # (iteration, clock) of the last call

    def _eta(self, storage: EventStorage) -> str | None:
        """Time to go as ``h:mm:ss``; also recorded as the scalar ``eta_seconds``."""
        if self._max_iter is None:
            return ""
        iteration = storage.iter
        remaining = self._max_iter - iteration - 1
        try:
            seconds = storage.history("time").median(1000) * remaining
            storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
            return str(datetime.timedelta(seconds=int(seconds)))
        except KeyError:  # nobody measures iteration times: use the time between two calls
            eta = None
            if self._last_write is not None and iteration > self._last_write[0]:
                elapsed = time.perf_counter() - self._last_write[1]
                seconds = elapsed / (iteration - self._last_write[0]) * remaining
                eta = str(datetime.timedelta(seconds=int(seconds)))
            self._last_write = (iteration, time.perf_counter())
            return eta

    def write(self) -> None:
        storage = get_event_storage()
        iteration = storage.iter
        if iteration == self._max_iter:
            return  # after training: there is nothing new since the last line

        times: Mapping[str, float | None] = {
            "data_time": _mean(storage, "data_time", self._window_size),
            "last_data_time": _last(storage, "data_time"),
            "time": _global_mean(storage, "time", self._window_size),
            "last_time": _last(storage, "time"),
        }
        lr = storage.histories()["lr"].latest() if "lr" in storage.histories() else None
        eta = self._eta(storage)
        losses = [
            f"{name}: {buffer.median(storage.count_samples(name, self._window_size)):.4g}"
            for name, buffer in storage.histories().items()
            if "loss" in name or "[metric]" in name
        ]
        parts = [
            f"eta: {eta}" if eta else None,
            f"iter: {iteration}",
            "  ".join(losses) or None,
            *(
                f"{name}: {times[name]:.4f}" if times[name] is not None else None
                for name in ("time", "last_time", "data_time", "last_data_time")
            ),
            f"lr: {lr:.5g}" if lr is not None else "lr: N/A",
            f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
            if torch.cuda.is_available()
            else None,
        ]
        self.logger.info(" %s", "  ".join(part for part in parts if part is not None))


def _mean(storage: EventStorage, name: str, window_size: int) -> float | None:
    """Mean of a scalar over the last iterations, None when it has no history."""
    if name not in storage.histories():
        return None
    return storage.history(name).avg(storage.count_samples(name, window_size))


def _global_mean(storage: EventStorage, name: str, window_size: int) -> float | None:
    """Mean of a scalar over its whole history, None when it has none."""
    return storage.history(name).global_avg() if name in storage.histories() else None


def _last(storage: EventStorage, name: str) -> float | None:
    """Last value of a scalar, None when it has no history."""
    return storage.history(name).latest() if name in storage.histories() else None
