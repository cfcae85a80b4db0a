"""What a reader or a check raises when files are not what their dataset says."""

from __future__ import annotations

from pathlib import Path


class FormatError(ValueError):
    """A file holds something else than its dataset says; the message names the file."""


class TreeError(FormatError):
    """A folder is not laid out as its dataset; the message shows expected and found."""


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
