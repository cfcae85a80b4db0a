"""A street beside its notes: what it should hold, instead of the published counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dvps_d2.formats.check.findings import Finding
from dvps_d2.formats.files import read_json

NOTES = ".street"


def street_notes(root: Path) -> Path | None:
    """The folder of notes that `dvps make-street` leaves in what it writes; None elsewhere."""
    for folder in (root, *root.parents[:1]):
        if (folder / NOTES / "street.json").is_file():
            return folder / NOTES
    return None


def check_street(notes: Path, split: str, videos: int) -> Iterator[Finding]:
    """Compare a split with its notes.

    Args:
        notes: see `street_notes`.
        split: which.
        videos: how many the reader found.
    """
    settings = read_json(notes / "street.json")
    told = f"a street (layout {settings['layout']}, seed {settings['seed']}): compared with its "
    yield Finding("note", "count", split, f"{told}notes and not with the published counts")
    noted = sorted((notes / split).glob("*.json"))
    if len(noted) != videos:
        told = f"{videos} videos, its notes have {len(noted)}; `dvps make-street` completes it"
        yield Finding("error", "count", split, told)
    for note in noted:
        lacking = [f for f in read_json(note)["files"] if not (notes.parent / f).exists()]
        if lacking:
            told = f"{len(lacking)} files of video {note.stem} are missing, first {lacking[0]}"
            yield Finding("error", "missing", split, told)
