"""What a layout hands out: videos as lists of frames, frames as files, problems as lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from dvps_d2.metrics import ClassSet, LabelMap

SHOWN = 3  # names listed in a message before it says how many more there are


@dataclass(frozen=True, eq=False)
class Side:
    """Files of one side of a frame.

    Attributes:
        panoptic: PNG paths that make the label map: one, or class and instance.
        depth: depth PNG, or None.
        segments: (N, 4) rows of ``metrics.pack_segments``, or None when the PNG says all.
    """

    panoptic: tuple[str, ...]
    depth: str | None = None
    segments: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame to score, under the name that messages use."""

    name: str
    truth: Side
    pred: Side


# In place of a frame: neither side has a pixel here, and windows reach over it.
NOTHING = Frame("nothing", Side(()), Side(()))


@dataclass(frozen=True, eq=False)
class Video:
    """One video: labelled frames in order of time, None where a frame is left out.

    Only published scripts know ``NOTHING`` beside it.
    """

    video_id: str
    frames: tuple[Frame | None, ...]


class Reader(Protocol):
    """Decodes the files of a frame."""

    def truth(self, side: Side) -> LabelMap:
        """Label map of the truth."""
        ...

    def pred(self, side: Side) -> LabelMap:
        """Predicted label map."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything to score: videos, how to decode them, and the classes."""

    videos: list[Video]
    reader: Reader
    classes: ClassSet


class ScriptStopsError(ValueError):
    """The published script would stop with an error on this input."""


@dataclass
class Problems:
    """Collects what is wrong with the input; raises at once unless asked to keep going."""

    keep_going: bool = False
    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Raise ``line`` as a ValueError, or note it down."""
        if not self.keep_going:
            raise ValueError(line)
        self.lines.append(line)


def list_pngs(folder: str | os.PathLike[str], what: str) -> list[str]:
    """Sorted names of the PNGs in a folder.

    Raises:
        ValueError: no such folder, or no PNG in it.
    """
    if not os.path.isdir(folder):
        raise ValueError(f"{what}: {folder} is not a folder")
    names = sorted(e.name for e in os.scandir(folder) if e.name.lower().endswith(".png"))
    if not names:
        raise ValueError(f"{what}: no PNG in {folder}")
    return names


def prediction_folder(folder: str) -> Path:
    """The folder of panoptic PNGs: itself, or ``pan_pred`` inside a submission folder."""
    inside = Path(folder) / "pan_pred"
    return inside if inside.is_dir() else Path(folder)


def report_unpaired(
    problems: Problems, missing: Iterable[str], extra: Iterable[str], total: int, folder: object
) -> None:
    """One problem for frames without a prediction, and one for predictions without a frame."""
    missing, extra = sorted(missing), sorted(extra)
    if missing and len(missing) == total and extra:
        raise ValueError(
            f"{folder}: no prediction matches any of the {total} frames of the truth; expected "
            f"names like {missing[0]}, found names like {extra[0]}: predictions of another split?"
        )
    if missing:
        problems.add(
            f"{folder}: no prediction for {len(missing)} of {total} frames: {shorten(missing)}"
        )
    if extra:
        problems.add(f"{folder}: {len(extra)} predictions without truth: {shorten(extra)}")


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
