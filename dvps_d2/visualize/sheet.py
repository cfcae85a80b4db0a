"""Contact sheets: frames as rows; picture, prediction, truth and depth as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.visualize.depth import DepthScale, draw_depth, draw_scale_bar
from dvps_d2.visualize.overlay import draw_overlay
from dvps_d2.visualize.palette import VOID, Palette
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.text import put_text, text_size

BACKGROUND = (22, 22, 26)
GAP = 6


@dataclass(frozen=True, eq=False)
class SheetFrame:
    """What one row of a sheet shows; everything but the image may be missing.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        caption: written at the left of the row.
        prediction: predicted segments, (H, W).
        truth: true segments, (H, W).
        depth: (H, W) predicted metres.
        true_depth: (H, W) true metres, 0 = none.
    """

    image: np.ndarray
    caption: str = ""
    prediction: SegmentMap | None = None
    truth: SegmentMap | None = None
    depth: np.ndarray | None = None
    true_depth: np.ndarray | None = None


_COLUMNS = (
    ("image", "image"),
    ("prediction", "prediction"),
    ("truth", "ground truth"),
    ("depth", "predicted depth"),
    ("true_depth", "true depth"),
)


def result_sheet(
    frames: Sequence[SheetFrame],
    palette: Palette,
    names: Sequence[str],
    *,
    scale: DepthScale | None = None,
    cell_width: int = 384,
    title: str = "",
) -> np.ndarray:
    """Frames below each other with all that is known of them side by side.

    Args:
        frames: rows, in order of time; columns that no frame has are left out.
        palette: colours of segments.
        names: class names, for labels and legend.
        scale: depth colours.
        cell_width: pixels of a column; pictures are scaled to it.
        title: line on top.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: there are no frames.
    """
    if not frames:
        raise ValueError("frames is empty: a sheet needs at least one")
    scale = scale or DepthScale()
    columns = [c for c in _COLUMNS if any(getattr(f, c[0]) is not None for f in frames)]
    rows = []
    for frame in frames:
        shape = _cell_shape(frame.image, cell_width)
        cells = [_cell(frame, key, shape, palette, names, scale) for key, _ in columns]
        rows.append(_caption(_beside(cells), frame.caption))
    table = _below([_header([name for _, name in columns], cell_width), *rows])
    parts = [_title(title, table.shape[1])] if title else []
    parts.append(table)
    if any("depth" in key for key, _ in columns):
        parts.append(_scale_row([key for key, _ in columns], cell_width, scale))
    parts.append(draw_legend(_classes_shown(frames), palette, names, table.shape[1]))
    return _pad(_below(parts))


def draw_legend(
    class_ids: Sequence[int],
    palette: Palette,
    names: Sequence[str],
    width: int,
    *,
    letters: int = 10,
    most_lines: int | None = None,
) -> np.ndarray:
    """Swatches with class names, as many lines as it takes. (H, width, 3) uint8, RGB.

    A thing class shows its class colour and a few of the colours its tracks get.

    Args:
        class_ids: what is shown, in this order.
        palette: colours.
        names: class names.
        width: pixels.
        letters: height of capital letters, pixels.
        most_lines: classes that need more lines are left out, and "+2" tells how many.
    """
    line, swatch = round(2.2 * letters), round(3.6 * letters)
    places, x, y = [], 0, 0
    reserved = text_size("+999", letters)[0]  # in the last line, for how many are missing
    for class_id in class_ids:
        need = swatch + round(0.8 * letters) + text_size(names[class_id], letters)[0]
        last = most_lines is not None and y + line >= most_lines * line
        if x and x + need > (width - reserved if last else width):
            if last:
                break
            x, y = 0, y + line
        places.append((class_id, x, y))
        x += need + round(1.8 * letters)
    legend = np.full((y + line, width, 3), BACKGROUND, np.uint8)
    for class_id, left, top in places:
        tracks = (0, 1, 2, 3) if class_id in palette.thing_ids else (0,)
        edges = np.linspace(left, left + swatch, len(tracks) + 1).astype(int)
        for track, a, b in zip(tracks, edges[:-1], edges[1:], strict=True):
            upper, lower = top + round(0.4 * letters), top + round(1.8 * letters)
            legend[upper:lower, a:b] = palette.color(class_id, track)
        text_left, baseline = left + swatch + round(0.6 * letters), top + round(1.6 * letters)
        put_text(legend, names[class_id], text_left, baseline, letters, outline=None)
    if len(places) < len(class_ids):
        missing = f"+{len(class_ids) - len(places)}"
        put_text(legend, missing, x, y + round(1.6 * letters), letters, outline=None)
    return legend


def _cell_shape(image: np.ndarray, width: int) -> tuple[int, int]:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return height, width


def _cell(
    frame: SheetFrame,
    key: str,
    shape: tuple[int, int],
    palette: Palette,
    names: Sequence[str],
    scale: DepthScale,
) -> np.ndarray:
    """One picture of the table at its final size, so that lines and letters stay sharp."""
    content = getattr(frame, key)
    if content is None:
        return np.full((*shape, 3), BACKGROUND, np.uint8)
    image = _resize(frame.image, shape, cv2.INTER_AREA)
    if key == "image":
        return image
    if isinstance(content, SegmentMap):
        index = _resize(content.index, shape, cv2.INTER_NEAREST)
        small = SegmentMap(index, content.class_ids, content.track_ids)
        return draw_overlay(image, small, palette, names=names)
    return draw_depth(_resize(content.astype(np.float32), shape, cv2.INTER_NEAREST), scale)


def _resize(array: np.ndarray, shape: tuple[int, int], interpolation: int) -> np.ndarray:
    height, width = shape
    if array.shape[0] < height and interpolation == cv2.INTER_AREA:
        interpolation = cv2.INTER_CUBIC
    return cv2.resize(array, (width, height), interpolation=interpolation)


def _classes_shown(frames: Sequence[SheetFrame]) -> list[int]:
    maps = [m for f in frames for m in (f.prediction, f.truth) if m is not None]
    return sorted({int(c) for m in maps for c in m.class_ids} - {VOID})


def _caption(row: np.ndarray, text: str) -> np.ndarray:
    if text:
        put_text(row, text, 6, 17, 10)
    return row


def _header(names: Sequence[str], cell_width: int) -> np.ndarray:
    cells = []
    for name in names:
        cell = np.full((22, cell_width, 3), BACKGROUND, np.uint8)
        put_text(cell, name, 2, 16, 11, outline=None)
        cells.append(cell)
    return _beside(cells)


def _title(text: str, width: int) -> np.ndarray:
    strip = np.full((30, width, 3), BACKGROUND, np.uint8)
    put_text(strip, text, 2, 21, 14, outline=None)
    return strip


def _scale_row(keys: Sequence[str], cell_width: int, scale: DepthScale) -> np.ndarray:
    blank = np.full((34, cell_width, 3), BACKGROUND, np.uint8)
    bar = draw_scale_bar(cell_width, scale)
    bar[(bar == 0).all(-1)] = BACKGROUND
    return _beside([bar if "depth" in key else blank for key in keys])


def _beside(cells: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((cells[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    parts = [part for cell in cells for part in (cell, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _below(rows: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((GAP, rows[0].shape[1], 3), BACKGROUND, np.uint8)
    parts = [part for row in rows for part in (row, gap)]
    return np.concatenate(parts[:-1], axis=0)


def _pad(sheet: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(sheet, 10, 10, 10, 10, cv2.BORDER_CONSTANT, value=BACKGROUND)
