"""Segments over the picture: colours, boundaries, track ids."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import find_objects

from dvps_d2.visualize.palette import Palette
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.text import put_text, text_size

MUTING = 0.8  # share of grey in the picture below the colours
_LIGHT = np.uint8(110)  # added to lines around things
LEAST_LABEL_AREA = 0.0012  # of the frame: smaller things go without a label


def draw_overlay(
    image: np.ndarray,
    segments: SegmentMap,
    palette: Palette,
    *,
    opacity: float = 0.6,
    boundaries: bool = True,
    track_labels: bool = True,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The picture with its segments laid over it.

    Args:
        image: (H, W, 3) uint8, RGB.
        segments: the frame's segments, (H, W).
        palette: colours.
        opacity: 0 shows the picture only, 1 the colours only. Void always shows the picture.
        boundaries: draw a thin line between segments, bright around things.
        track_labels: write track ids into things that are large enough.
        names: class names; where given and where there is room, labels read "car 4".

    Returns:
        (H, W, 3) uint8, RGB; a new array.

    Raises:
        ValueError: shapes differ, or opacity is outside 0..1.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if segments.index.shape != image.shape[:2]:
        raise ValueError(f"segments are {segments.index.shape}, but the image is {image.shape[:2]}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be in 0..1, got {opacity}")
    # The picture keeps its light and shade and loses most of its own colours: a yellow car under
    # a blue track would look green, like another track.
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    muted = cv2.addWeighted(grey, MUTING, image, 1 - MUTING, 0)
    drawn = cv2.addWeighted(paint(segments, palette), opacity, muted, 1 - opacity, 0)
    cv2.copyTo(image, (segments.index == 0).astype(np.uint8), drawn)
    if boundaries:
        draw_boundaries(drawn, segments)
    if track_labels:
        _draw_labels(drawn, segments, names)
    return drawn


def paint(segments: SegmentMap, palette: Palette) -> np.ndarray:
    """(H, W, 3) uint8 RGB of plain segment colours, black in void."""
    table = np.zeros((len(segments.class_ids), 4), np.uint8)
    table[:, :3] = palette.colors(segments.class_ids, segments.track_ids)
    # One 32-bit word per pixel: looking up rows of three bytes is several times slower.
    words = np.take(table.view("<u4")[:, 0], segments.index)
    return cv2.cvtColor(words.view(np.uint8).reshape(*words.shape, 4), cv2.COLOR_RGBA2RGB)


def draw_boundaries(drawn: np.ndarray, segments: SegmentMap) -> None:
    """Draw lines between segments in place: light around things, dark between stuff."""
    index = segments.index
    changes = np.zeros(index.shape, np.uint8)
    changes[:, 1:] = index[:, 1:] != index[:, :-1]
    changes[1:] |= index[1:] != index[:-1]
    reach = max(1, round(index.shape[0] / 500))
    edge = np.asarray(cv2.dilate(changes, np.ones((reach, reach), np.uint8)))
    is_track = np.take((segments.track_ids > 0).astype(np.uint8), index)
    around = np.asarray(cv2.dilate(is_track, np.ones((3, 3), np.uint8)))
    # 0: no line, 1: dark, 2: light. Few pixels are lines: only those are computed.
    kind = cv2.add(edge, cv2.bitwise_and(edge, around))
    rows, columns = np.nonzero(kind)
    lines = drawn[rows, columns] >> 1
    lines[kind[rows, columns] == 2] += _LIGHT
    drawn[rows, columns] = lines


def _draw_labels(drawn: np.ndarray, segments: SegmentMap, names: Sequence[str] | None) -> None:
    height, width = segments.index.shape
    letters = int(np.clip(min(height, width * 0.75) / 44, 7, 30))
    step = max(1, height // 256)  # places are found on a coarse grid
    coarse = segments.index[::step, ::step]
    areas = np.bincount(coarse.ravel(), minlength=len(segments.track_ids)) * step * step
    least = max(LEAST_LABEL_AREA * height * width, 1.5 * letters * letters)
    rows = np.flatnonzero((segments.track_ids > 0) & (areas >= least))
    boxes = find_objects(coarse.astype(np.int32), max_label=len(areas) - 1)  # of rows 1, 2, ...
    for row in rows[np.argsort(areas[rows])]:  # the largest last, on top
        box = boxes[row - 1]
        x, y, room = _roomiest_place((coarse[box] == row).astype(np.uint8))
        x, y = x + box[1].start, y + box[0].start
        text = str(segments.track_ids[row])
        if names is not None:
            full = f"{names[segments.class_ids[row]]} {text}"
            text = full if text_size(full, letters)[0] <= 2.6 * room * step else text
        text_width, _ = text_size(text, letters)
        left = int(np.clip((x + 0.5) * step - text_width / 2, 1, max(1, width - text_width - 1)))
        baseline = int(np.clip((y + 0.5) * step + letters / 2, letters + 1, height - 2))
        put_text(drawn, text, left, baseline, letters)


def _roomiest_place(mask: np.ndarray) -> tuple[int, int, float]:
    """(x, y, radius) of a large circle inside a mask that fills its box, near its middle."""
    inside = cv2.distanceTransform(cv2.copyMakeBorder(mask, 1, 1, 1, 1, 0), cv2.DIST_L2, 3)
    radius = float(inside.max())
    y, x = np.nonzero(inside >= 0.9 * radius)
    best = np.argmin((y - inside.shape[0] / 2) ** 2 + (x - inside.shape[1] / 2) ** 2)
    return int(x[best]) - 1, int(y[best]) - 1, radius
