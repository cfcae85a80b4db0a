"""One picture per frame of a film: overlays and depth of one or several results, with legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.visualize.depth import DepthScale, draw_depth, draw_scale_bar
from dvps_d2.visualize.overlay import draw_overlay
from dvps_d2.visualize.palette import VOID, Palette
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.sheet import BACKGROUND, draw_legend
from dvps_d2.visualize.text import put_text, text_size

LEAST_SIDE = 400  # smaller pictures are enlarged, so that text has room
MOST_LEGEND_LINES = 3
LEGEND_MEMORY = 40  # frames that a class stays in the legend after it was seen
ARRANGEMENTS = ("auto", "below", "beside", "none")
_SCREEN = 16 / 9


@dataclass(frozen=True, eq=False)
class Look:
    """How the results of one system are drawn.

    Attributes:
        title: written above them.
        palette: colours of its classes.
        names: of its classes.
    """

    title: str
    palette: Palette
    names: Sequence[str]


@dataclass(frozen=True, eq=False)
class Panel:
    """What one system says about one frame, any size.

    Attributes:
        segments: (H, W).
        depth: (H, W) metres, or None.
    """

    segments: SegmentMap
    depth: np.ndarray | None = None


class PanelPainter:
    """Draws the frames of one film; all come out in one size.

    Args:
        size: (height, width) of the frames.
        looks: one per system.
        with_depth: whether there is a depth panel.
        arrangement: depth "below" or "beside" the overlay, "none", or "auto": whichever brings
            the whole nearest to the shape of a screen.
        scale: metres to colours.
        opacity: of the segments.
    """

    def __init__(
        self,
        size: tuple[int, int],
        looks: Sequence[Look],
        *,
        with_depth: bool,
        arrangement: str = "auto",
        scale: DepthScale | None = None,
        opacity: float = 0.6,
    ) -> None:
        if arrangement not in ARRANGEMENTS:
            raise ValueError(f"arrangement {arrangement!r} is not one of {', '.join(ARRANGEMENTS)}")
        if not looks:
            raise ValueError("looks is empty: there is nothing to draw")
        self.looks, self.scale, self.opacity = list(looks), scale or DepthScale(), opacity
        zoom = max(1, math.ceil(LEAST_SIDE / min(size)))
        self._cell = (size[0] * zoom, size[1] * zoom)
        kinds = 2 if with_depth and arrangement != "none" else 1
        self._kinds = kinds
        self._grid = choose_grid(self._cell, len(looks), kinds, arrangement)
        self._letters = int(np.clip(min(self._cell) / 45, 10, 26))
        self._legends = [_Legend(look) for look in looks]
        self._bar: np.ndarray | None = None

    def draw(self, image: np.ndarray, panels: Sequence[Panel], caption: str = "") -> np.ndarray:
        """One frame of the film.

        Args:
            image: (H, W, 3) uint8 RGB.
            panels: one per look.
            caption: written at the right end of the top line.

        Returns:
            (H', W', 3) uint8 RGB, a new array, of the same size every time.
        """
        base = _fit(image, self._cell, cv2.INTER_CUBIC)
        strip = 2 * self._letters
        rows, columns = max(r for r, _ in self._grid) + 1, max(c for _, c in self._grid) + 1
        height, width = self._cell
        foot = self._foot(panels, columns * width)
        shape = (rows * (height + strip) + foot.shape[0], columns * width, 3)
        drawn = np.empty(shape, np.uint8)
        drawn[rows * (height + strip) :] = foot
        cells = iter(self._grid)
        for look, panel in zip(self.looks, panels, strict=True):
            for kind in range(self._kinds):
                row, column = next(cells)
                top, left = row * (height + strip), column * width
                drawn[top : top + strip, left : left + width] = BACKGROUND
                title = look.title if kind == 0 else "depth"
                self._write(drawn, title, left, top)
                cell = drawn[top + strip : top + strip + height, left : left + width]
                cell[:] = self._overlay(base, look, panel) if kind == 0 else self._depth(panel)
        if caption:
            left = columns * width - text_size(caption, self._letters)[0] - self._letters
            drawn[:strip, max(0, left - self._letters) :] = BACKGROUND
            self._write(drawn, caption, left - self._letters // 2, 0)
        return drawn

    def _write(self, drawn: np.ndarray, text: str, left: int, top: int) -> None:
        letters = self._letters
        put_text(drawn, text, left + letters // 2, top + letters * 3 // 2, letters, outline=None)

    def _overlay(self, base: np.ndarray, look: Look, panel: Panel) -> np.ndarray:
        found = panel.segments
        index = _fit(found.index, self._cell, cv2.INTER_NEAREST)
        segments = SegmentMap(index, found.class_ids, found.track_ids)
        return draw_overlay(base, segments, look.palette, opacity=self.opacity, names=look.names)

    def _depth(self, panel: Panel) -> np.ndarray:
        if panel.depth is None:
            return draw_depth(np.zeros(self._cell, np.float32), self.scale)
        metres = np.asarray(panel.depth, np.float32)
        return draw_depth(_fit(metres, self._cell, cv2.INTER_NEAREST), self.scale)

    def _foot(self, panels: Sequence[Panel], width: int) -> np.ndarray:
        """Legends side by side where palettes differ, and the scale of the depth below them."""
        legends = self._legends
        if _alike(self.looks):
            shown = [legends[0].draw(panels, width, self._letters)]
        else:
            edges = np.linspace(0, width, len(panels) + 1).astype(int)
            shown = [
                legend.draw([panel], int(b - a), self._letters)
                for legend, panel, a, b in zip(legends, panels, edges[:-1], edges[1:], strict=True)
            ]
        tallest = max(len(legend) for legend in shown)
        filled = [
            cv2.copyMakeBorder(
                legend, 0, tallest - len(legend), 0, 0, cv2.BORDER_CONSTANT, value=BACKGROUND
            )
            for legend in shown
        ]
        parts = [np.concatenate(filled, axis=1)]
        if self._kinds == 2:
            if self._bar is None:
                self._bar = _scale_bar(width, self.scale, self._letters)
            parts.append(self._bar)
        return np.concatenate(parts)


class _Legend:
    """The classes seen lately; drawn anew only when they change."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._seen: dict[int, int] = {}  # class id -> number of the last frame with it
        self._frame = 0
        self._drawn: tuple[tuple[int, ...], np.ndarray] | None = None
        self._lines = 0  # of text; found at the first frame

    def draw(self, panels: Iterable[Panel], width: int, letters: int) -> np.ndarray:
        self._frame += 1
        for panel in panels:
            for class_id in np.unique(panel.segments.class_ids).tolist():
                if class_id != VOID:
                    self._seen[class_id] = self._frame
        oldest = self._frame - LEGEND_MEMORY
        self._seen = {c: frame for c, frame in self._seen.items() if frame > oldest}
        shown = tuple(sorted(self._seen))
        if self._drawn is None or self._drawn[0] != shown:
            self._drawn = shown, self._render(shown, width, letters)
        return self._drawn[1]

    def _render(self, shown: Sequence[int], width: int, letters: int) -> np.ndarray:
        look, room = self._look, width - letters
        margin, line = letters // 2, round(2.2 * letters)
        if not self._lines:  # as many as all classes need, so that the height never changes
            full = draw_legend(
                range(len(look.names)), look.palette, look.names, room, letters=letters
            )
            self._lines = min(MOST_LEGEND_LINES, len(full) // line)
        drawn = draw_legend(
            shown, look.palette, look.names, room, letters=letters, most_lines=self._lines
        )
        legend = np.full((self._lines * line + margin, width, 3), BACKGROUND, np.uint8)
        legend[margin : margin + len(drawn), margin : margin + room] = drawn
        return legend


def choose_grid(
    cell: tuple[int, int], systems: int, kinds: int, arrangement: str = "auto"
) -> list[tuple[int, int]]:
    """(row, column) of every picture, system by system, overlay before depth.

    Args:
        cell: (height, width) of one picture.
        systems: how many results are shown.
        kinds: 2 with depth, 1 without.
        arrangement: "below", "beside" or "auto" ("none" is "auto" without depth).
    """
    below = [(k, s) for s in range(systems) for k in range(kinds)]
    beside = [(s, k) for s in range(systems) for k in range(kinds)]
    in_a_row = [(0, s * kinds + k) for s in range(systems) for k in range(kinds)]
    choices = {"below": [below], "beside": [beside, in_a_row]}
    allowed = choices.get(arrangement, [below, beside, in_a_row])

    def distance(grid: list[tuple[int, int]]) -> float:
        rows, columns = max(r for r, _ in grid) + 1, max(c for _, c in grid) + 1
        return abs(math.log(columns * cell[1] / (rows * cell[0]) / _SCREEN))

    return min(allowed, key=distance)


def _alike(looks: Sequence[Look]) -> bool:
    """Whether all systems have the same classes in the same colours."""
    first = looks[0]
    return all(
        list(look.names) == list(first.names)
        and np.array_equal(look.palette.class_colors, first.palette.class_colors)
        for look in looks[1:]
    )


def _scale_bar(width: int, scale: DepthScale, letters: int) -> np.ndarray:
    margin = letters // 2
    bar = draw_scale_bar(width - 2 * margin, scale, height=round(3.4 * letters))
    bar[(bar == 0).all(-1)] = BACKGROUND
    sides = (margin, margin, margin, margin)
    return np.asarray(cv2.copyMakeBorder(bar, *sides, cv2.BORDER_CONSTANT, value=BACKGROUND))


def _fit(array: np.ndarray, size: tuple[int, int], enlarging: int) -> np.ndarray:
    """Resize to (height, width); pictures that shrink are averaged, numbers never are."""
    if array.shape[:2] == size:
        return array
    smaller = array.shape[0] > size[0] and enlarging != cv2.INTER_NEAREST
    how = cv2.INTER_AREA if smaller else enlarging
    return np.asarray(cv2.resize(array, (size[1], size[0]), interpolation=how))
