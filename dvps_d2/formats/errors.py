"""What a reader or a check raises when files are not what their dataset says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path


class FormatError(ValueError):
    """A file holds something else than its dataset says; the message names the file."""


class TreeError(FormatError):
    """A folder is not laid out as its dataset; the message shows expected and found."""


_absences: ContextVar[list[FormatError] | None] = ContextVar("absences", default=None)


@contextmanager
def absences_collected() -> Iterator[list[FormatError]]:
    """Inside, readers leave frames and videos out that are not complete, and tell so here.

    Yields:
        What ``absent`` was told, in order; it grows while readers list a dataset.
    """
    found: list[FormatError] = []
    token = _absences.set(found)
    try:
        yield found
    finally:
        _absences.reset(token)


def absent(error: FormatError) -> None:
    """A frame or video has to be left out: raise, or note it inside ``absences_collected``."""
    found = _absences.get()
    if found is None:
        raise error
    found.append(error)


def describe_folder(folder: Path, limit: int = 8) -> str:
    """The first ``limit`` entries of a folder in one line, for error messages."""
    if not folder.exists():
        nearest = next((p for p in folder.parents if p.exists()), Path("/"))
        return f"{folder} does not exist (the nearest folder that does is {nearest})"
    if not folder.is_dir():
        return f"{folder} is a file, not a folder"
    entries = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    if not entries:
        return f"{folder} is empty"
    shown = ", ".join(entries[:limit])
    more = f", ... ({len(entries)} entries)" if len(entries) > limit else ""
    return f"{folder} holds {shown}{more}"


def tree_error(dataset: str, root: Path, expected: str) -> TreeError:
    """The one message for a wrong dataset root.

    Args:
        dataset: name as people know it, "Cityscapes-DVPS".
        root: the folder that was given.
        expected: what should be below it, as a path pattern.
    """
    return TreeError(
        f"{root} does not look like {dataset}.\n  expected: {expected}\n"
        f"  found:    {describe_folder(root)}"
    )
