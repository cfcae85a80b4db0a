"""Doing many independent pieces of work: in parallel, with a bar, again after an interruption.

A piece leaves one JSON, its receipt, when everything else it makes is on disk. A piece with a
receipt is never done again, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dvps_d2.formats.files import PARTIAL_SUFFIX, atomic_path, read_json, write_json
from dvps_d2.formats.parallel import process_pool

_PARTIAL_NAME = re.compile(rf"\.(\d+)\{PARTIAL_SUFFIX}")  # as `atomic_path` names them
RECEIPTS = ".prepared"  # folder below the root; delete it to do everything again


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes:
        name: unique and stable, "val/0005".
        arguments: what the work function gets; picklable.
        inputs: what the result depends on besides the files, free of places on disk; a piece
            whose receipt tells of other inputs is done again.
    """

    name: str
    arguments: tuple[Any, ...]
    inputs: str = ""


def run_pieces(
    pieces: Sequence[Piece],
    work: Callable[..., Any],
    root: Path,
    *,
    workers: int = 0,
    description: str = "",
) -> list[Any]:
    """Do every piece that has no receipt yet.

    Args:
        pieces: in the order in which results are returned.
        work: called as ``work(*piece.arguments)``; its result must be JSON and depend on nothing
            else. A module-level function, when there are workers.
        root: folder that keeps the receipts, below ``.prepared``.
        workers: processes; 0 does the work in this one.
        description: for the progress bar.

    Returns:
        The result of each piece.
    """
    receipts = root / RECEIPTS
    remove_partial_files(root)
    todo = [piece for piece in pieces if not _is_done(receipts, piece)]
    done = len(pieces) - len(todo)
    with tqdm(total=len(pieces), initial=done, desc=description, unit="piece") as bar:
        for _ in _finish(todo, partial(_do, receipts, work), workers):
            bar.update()
    return [read_json(_receipt(receipts, piece))["result"] for piece in pieces]


def _finish(todo: Sequence[Piece], do: Callable[[Piece], None], workers: int) -> Iterator[None]:
    """Yield once for each piece as it gets done."""
    if workers <= 0 or len(todo) <= 1:
        yield from map(do, todo)
        return
    with process_pool(workers) as pool:
        for future in as_completed([pool.submit(do, piece) for piece in todo]):
            yield future.result()


def _do(receipts: Path, work: Callable[..., Any], piece: Piece) -> None:
    result = work(*piece.arguments)
    write_json(_receipt(receipts, piece), {"inputs": piece.inputs, "result": result})


def _is_done(receipts: Path, piece: Piece) -> bool:
    path = _receipt(receipts, piece)
    return path.is_file() and read_json(path)["inputs"] == piece.inputs


def _receipt(receipts: Path, piece: Piece) -> Path:
    return receipts / f"{piece.name}.json"


def remove_partial_files(folder: Path) -> None:
    """Delete what killed processes left half-written below a folder."""
    for path in folder.rglob(f".*{PARTIAL_SUFFIX}*"):
        match = _PARTIAL_NAME.search(path.name)
        if match is not None and not _is_running(int(match.group(1))):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def place_file(source: Path, target: Path, how: str = "copy") -> None:
    """Put a file at another place, unless it is there already.

    Args:
        source: existing file.
        target: where; folders are made.
        how: "copy", "hardlink" (same disk, no space) or "symlink" (no space, breaks when the
            source moves).

    Raises:
        FileNotFoundError: there is no ``source``.
    """
    if target.exists():
        return
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; it should become {target}")
    with atomic_path(target) as partial:
        if how == "copy":
            partial.write_bytes(source.read_bytes())
        elif how == "hardlink":
            os.link(source, partial)
        elif how == "symlink":
            partial.symlink_to(source.resolve())
        else:
            raise ValueError(f"how must be copy, hardlink or symlink, got {how!r}")
