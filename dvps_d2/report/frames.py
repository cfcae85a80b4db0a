"""What a report is made of: videos whose frames are decoded only when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dvps_d2.metrics import LabelMap, Listing
from dvps_d2.metrics.tables import Segments

Key = tuple[int, int]  # class id, track id (0 for stuff and crowds)


@dataclass(frozen=True, eq=False)
class ReportFrame:
    """One predicted frame and what is known about it.

    Attributes:
        name: for people: a frame number or file name.
        pred: the predicted segments.
        truth: the true ones; None for a frame without label.
        pred_depth, truth_depth: (H, W) metres, or uint16 units of 1/256 m; 0 = none.
        image: the picture's file.
        scores: confidence 0..1 of predicted segments, where the predictions have one.
    """

    name: str
    pred: LabelMap
    truth: LabelMap | None = None
    pred_depth: np.ndarray | None = None
    truth_depth: np.ndarray | None = None
    image: str | Path | None = None
    scores: Mapping[Key, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportVideo:
    """A video: its id, and a function for each frame that decodes it, in order of time."""

    video_id: str
    frames: tuple[Callable[[], ReportFrame], ...]


def segment_keys(segments: Segments, things: frozenset[int]) -> list[Key]:
    """(class, track) of segments in the order of their list; track 0 for stuff."""
    pairs = zip(segments.class_ids.tolist(), segments.tracks.tolist(), strict=True)
    return [(c, t if c in things else 0) for c, t in pairs]


def scores_by_key(
    label: LabelMap, places: Iterable[Sequence[float]], things: frozenset[int]
) -> dict[Key, float]:
    """Scores given as ``(x, y, score)``, by the segment that is at each pixel."""
    found: dict[Key, float] = {}
    meaning = label.meaning
    if isinstance(meaning, Listing):
        meaning = replace(meaning, strict=False, areas=None)
    for x, y, score in places:
        value = np.array([label.ids[int(y), int(x)]], np.int64) - label.offset
        segments, rows = meaning.read(value, np.ones(1, np.int64))
        if rows[0] >= 0:
            found[segment_keys(segments, things)[rows[0]]] = score
    return found


def segment_rows(
    label: LabelMap, rows: Mapping[Key, int], things: frozenset[int], size: tuple[int, int]
) -> np.ndarray:
    """A label map as row numbers of a video's table of segments, at another size.

    Args:
        label: (H, W).
        rows: row of every segment of the video, from 1.
        things: class ids of things.
        size: (h, w) to sample it at, at most (H, W).

    Returns:
        (h, w) uint16; 0 is void.
    """
    distinct, inverse = np.unique(sample(label.ids, size), return_inverse=True)
    meaning = label.meaning
    if isinstance(meaning, Listing):  # what is too small to be sampled is still listed
        meaning = replace(meaning, strict=False, areas=None)
    areas = np.bincount(inverse.ravel(), minlength=len(distinct))
    segments, places = meaning.read(distinct.astype(np.int64) - label.offset, areas)
    numbers = [rows[key] for key in segment_keys(segments, things)]
    table = np.array([*numbers, 0], np.uint16)  # VOID and UNLISTED are negative
    return table[np.where(places >= 0, places, -1)][inverse].reshape(size)


def sample(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) -> (h, w) by taking the pixel in the middle of every cell."""
    if values.shape == size:
        return values
    ys, xs = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(values.shape, size, strict=True)
    )
    return values[ys[:, None], xs]


def fitting_size(shape: tuple[int, ...], max_side: int) -> tuple[int, int]:
    """(h, w) of the same proportions whose longer side is at most ``max_side``."""
    height, width = shape[:2]
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
