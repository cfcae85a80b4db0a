"""What a run says on the console, and what it keeps in ``log.txt``."""

from __future__ import annotations

import logging
import sys

from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

# Longer messages (whole configs and models) are cut on the console. Tables of scores are shorter.
CONSOLE_LINES = 40


def log_to_console() -> None:
    """Show what this package says, in the main process; call it before there is a folder."""
    setup_logger(name="dvps_d2", distributed_rank=comm.get_rank())


def log_to_folder(folder: str) -> None:
    """Keep everything that Detectron2 and this package say in ``folder/log.txt``.

    Other processes write ``log.txt.rank1`` and so on. Call it before Detectron2's
    ``default_setup``, which then finds its console and cuts its longest messages there.

    Args:
        folder: OUTPUT_DIR of the run; made if it does not exist.
    """
    rank = comm.get_rank()
    # The same call as in default_setup, which Detectron2 remembers, so that it adds no handlers.
    theirs = setup_logger(folder, distributed_rank=rank)
    setup_logger(folder, distributed_rank=rank, name="dvps_d2", configure_stdout=False)
    for handler in theirs.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setFormatter(ShortMessages(handler.formatter))


class ShortMessages(logging.Formatter):
    """Cut messages of more lines than people read; the file has them in full.

    Args:
        inner: makes the text.
        lines: the most lines that are shown whole.
    """

    def __init__(self, inner: logging.Formatter | None, lines: int = CONSOLE_LINES) -> None:
        super().__init__()
        self.inner = inner or logging.Formatter()
        self.lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """The text, or its first line and how much there is to read in the file."""
        text = self.inner.format(record)
        first, *rest = text.splitlines()
        if len(rest) < self.lines:
            return text
        return f"{first} ({len(rest)} lines: see log.txt)"
