"""Logging: the handlers of a run, rate-limited messages, small tables."""

import atexit
import functools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any, ClassVar

import torch
from tabulate import tabulate
from termcolor import colored

from detectron2.utils.file_io import PathManager

__all__ = [
    "create_small_table",
    "log_every_n",
    "log_every_n_seconds",
    "log_first_n",
    "setup_logger",
]

D2_LOG_BUFFER_SIZE_KEY = "D2_LOG_BUFFER_SIZE"
"""Environment variable: bytes that may wait in memory before they reach a remote log file."""

_DEFAULT_BUFFER_SIZE = 1024 * 1024
_FORMAT = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_COLOR_PREFIX = "[%(asctime)s %(name)s]: "
_DATE_FORMAT = "%m/%d %H:%M:%S"


class _ColorfulFormatter(logging.Formatter):
    """Shorten the logger's root name and put the level in colour, only from warnings up."""

    _PREFIXES: ClassVar = {
        logging.WARNING: ("WARNING", ["blink"]),
        logging.ERROR: ("ERROR", ["blink", "underline"]),
        logging.CRITICAL: ("ERROR", ["blink", "underline"]),
    }

    def __init__(self, *args: Any, root_name: str, abbrev_name: str = "", **kwargs: Any) -> None:
        self._root_name = root_name + "."
        self._abbrev_name = abbrev_name + "." if abbrev_name else ""
        super().__init__(*args, **kwargs)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.name = record.name.replace(self._root_name, self._abbrev_name)
        log = super().formatMessage(record)
        if record.levelno not in self._PREFIXES:
            return log
        word, attributes = self._PREFIXES[record.levelno]
        return f"{colored(word, 'red', attrs=attributes)} {log}"


@functools.lru_cache  # a second call with the same arguments adds no second handler
def setup_logger(
    output: str | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "detectron2",
    abbrev_name: str | None = None,
    enable_propagation: bool = False,
    configure_stdout: bool = True,
) -> logging.Logger:
    """Give a logger a console (rank 0) and a file (every rank), at level DEBUG.

    Args:
        output: a file name ending in ``.txt`` or ``.log``, a folder (the file is ``log.txt`` in
            it), or None for no file. Other ranks add ``.rank<k>``.
        distributed_rank: rank of this process.
        color: coloured output on a console (plain where it goes to a file).
        name: of the logger.
        abbrev_name: shown on the console instead of ``name``; "detectron2" shows as "d2".
        enable_propagation: also pass messages to parent loggers (pytest's caplog needs it).
        configure_stdout: whether to add the console handler.

    Returns:
        The logger.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation
    if abbrev_name is None:
        abbrev_name = "d2" if name == "detectron2" else name

    plain = logging.Formatter(_FORMAT, datefmt=_DATE_FORMAT)
    if configure_stdout and distributed_rank == 0:
        console = logging.StreamHandler(stream=sys.stdout)
        console.setLevel(logging.DEBUG)
        console.setFormatter(
            _ColorfulFormatter(
                colored(_COLOR_PREFIX, "green") + "%(message)s",
                datefmt=_DATE_FORMAT,
                root_name=name,
                abbrev_name=str(abbrev_name),
            )
            if color
            else plain
        )
        logger.addHandler(console)

    if output is not None:
        is_file = output.endswith((".txt", ".log"))
        filename = output if is_file else os.path.join(output, "log.txt")
        if distributed_rank > 0:
            filename = f"{filename}.rank{distributed_rank}"
        PathManager.mkdirs(os.path.dirname(filename))
        file = logging.StreamHandler(_cached_log_stream(filename))
        file.setLevel(logging.DEBUG)
        file.setFormatter(plain)
        logger.addHandler(file)
    return logger


@functools.lru_cache  # loggers with the same output share one stream
def _cached_log_stream(filename: str) -> IO[str]:
    """Open a log file for appending; local files are written line by line."""
    is_remote = "://" in filename
    buffering = (
        int(os.environ.get(D2_LOG_BUFFER_SIZE_KEY, _DEFAULT_BUFFER_SIZE)) if is_remote else 1
    )
    stream = PathManager.open(filename, "a", buffering=buffering)
    atexit.register(stream.close)
    return stream


def _find_caller() -> tuple[str, tuple]:
    """Module name and identity (file, line, function) of the first caller outside this file."""
    frame = sys._getframe(2)
    while frame:
        code = frame.f_code
        if os.path.basename(code.co_filename) != os.path.basename(__file__):
            module = frame.f_globals["__name__"]
            if module == "__main__":
                module = "detectron2"
            return module, (code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back
    raise RuntimeError("called from nowhere")


_log_counter: Counter = Counter()
_log_timer: dict[tuple, float] = {}


def log_first_n(
    lvl: int,
    msg: str,
    n: int = 1,
    *,
    name: str | None = None,
    key: str | tuple[str, ...] = "caller",
) -> None:
    """Log only the first ``n`` times.

    Args:
        lvl: level, such as ``logging.WARNING``.
        msg: the message.
        n: how many times.
        name: logger; the caller's module by default.
        key: "caller", "message" or both: what makes two calls the same.
    """
    module, caller = _find_caller()
    keys = (key,) if isinstance(key, str) else key
    assert keys, "key must name at least one of 'caller', 'message'"
    identity: tuple = ()
    if "caller" in keys:
        identity += caller
    if "message" in keys:
        identity += (msg,)
    _log_counter[identity] += 1
    if _log_counter[identity] <= n:
        logging.getLogger(name or module).log(lvl, msg)


def log_every_n(lvl: int, msg: str, n: int = 1, *, name: str | None = None) -> None:
    """Log the first of every ``n`` calls from the same line."""
    module, caller = _find_caller()
    _log_counter[caller] += 1
    if n == 1 or _log_counter[caller] % n == 1:
        logging.getLogger(name or module).log(lvl, msg)


def log_every_n_seconds(lvl: int, msg: str, n: int = 1, *, name: str | None = None) -> None:
    """Log from the same line at most once in ``n`` seconds."""
    module, caller = _find_caller()
    now = time.time()
    last = _log_timer.get(caller)
    if last is None or now - last >= n:
        logging.getLogger(name or module).log(lvl, msg)
        _log_timer[caller] = now


def create_small_table(small_dict: Mapping[str, Any]) -> str:
    """Draw a dict as a table of one row.

    Args:
        small_dict: few items, at least one, with short keys and values.

    Returns:
        Pipe-separated table; numbers with 3 decimals.
    """
    keys, values = zip(*small_dict.items(), strict=True)
    return tabulate(
        [values],
        headers=keys,
        tablefmt="pipe",
        floatfmt=".3f",
        stralign="center",
        numalign="center",
    )


def _log_api_usage(identifier: str) -> None:
    """Tell torch's (usually empty) usage hook that a part of the API is in use."""
    torch._C._log_api_usage_once(f"detectron2.{identifier}")
