"""Rasters seen from above: road markings, stains, shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.street.noise import drawn_noise

# Pixels per metre; fewer along very long streets, because OpenCV looks up at most 32 767 rows.
_MARKS_ACROSS, _MARKS_ALONG = 16, 8
SHADE_SCALE = 4  # of dirt and shadows
_MAX_ROWS = 15_000
_LEVELS = 7
_APRON = 4


@dataclass(frozen=True, eq=False)
class GroundMap:
    """Everything that lies flat on the ground.

    Attributes:
        half_width: metres left and right of x = 0 that the rasters cover.
        first: world z of their row 0, metres.
        marks: (rows, columns) float32, 0..1, levels of detail below one another, each with half
            the rows of the one above: the road is seen at such an angle that only the direction
            along the street needs them.
        level_top, level_rows: (levels,) float32.
        dirt, shadow: (rows', columns') float32, 0..1.
        marks_along, marks_half: pixels per metre along the street, and half width in metres.
        detail: level of detail = this + 2 log2(depth).
        road_surface: surface that carries the marks.
    """

    half_width: float
    first: float
    marks: np.ndarray
    level_top: np.ndarray
    level_rows: np.ndarray
    marks_along: float
    marks_half: float
    detail: float
    dirt: np.ndarray
    shadow: np.ndarray
    road_surface: int

    def sample(self, raster: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Bilinear lookup in ``dirt``, ``shadow`` or a raster of the same shape."""
        column = (x + self.half_width) * SHADE_SCALE - 0.5
        row = (z - self.first) * SHADE_SCALE - 0.5
        return cv2.remap(raster, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def sample_marks(self, x: np.ndarray, z: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Share of white paint at ground points seen from ``depth`` metres."""
        level = np.rint(self.detail + 2 * np.log2(np.maximum(depth, 0.1)))
        level = np.clip(level, 0, _LEVELS - 1).astype(np.intp)
        row = (z - self.first) * self.marks_along * np.exp2(-level).astype(np.float32) - 0.5
        row = np.clip(row, -1, self.level_rows.take(level)) + self.level_top.take(level)
        column = (x + self.marks_half) * _MARKS_ACROSS - 0.5
        return cv2.remap(
            self.marks,
            column,
            row.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )


class GroundPainter:
    """Draws a :class:`GroundMap`."""

    def __init__(self, first: float, last: float, road_half: float, half_width: float) -> None:
        length = last - first
        self.first, self.half_width, self.road_half = first, half_width, road_half
        self.along = min(_MARKS_ALONG, _MAX_ROWS / length)
        shape = (int(length * self.along), int(2 * road_half * _MARKS_ACROSS))
        self.marks = np.zeros(shape, np.float32)
        self.shape = (int(length * SHADE_SCALE), int(2 * half_width * SHADE_SCALE))

    def line(self, x: Sequence[float], z: Sequence[float], strength: float = 1.0) -> None:
        """A rectangle of white paint, antialiased by exact coverage."""
        rows = _coverage(self.marks.shape[0], (np.array(z) - self.first) * self.along)
        columns = _coverage(self.marks.shape[1], (np.array(x) + self.road_half) * _MARKS_ACROSS)
        (top, down), (left, right) = rows[0], columns[0]
        patch = self.marks[top:down, left:right]
        np.maximum(patch, strength * np.outer(rows[1], columns[1]), out=patch)

    def finish(
        self, rng: np.random.Generator, camera_height: float, focal: float, road_surface: int
    ) -> GroundMap:
        """Wear the paint, stack the levels, spread the dirt; shadows stay empty."""
        wear = _tiled(drawn_noise(rng, 256, 24, 4), self.marks.shape)
        level: np.ndarray = self.marks * np.clip(1.25 - 0.9 * wear, 0.3, 1).astype(np.float32)
        tops, counts, stack = [], [], []
        row = 0
        for _ in range(_LEVELS):
            stack.append(np.pad(level, ((_APRON, _APRON), (0, 0)), mode="edge"))
            tops.append(row + _APRON)
            counts.append(len(level))
            row += len(level) + 2 * _APRON
            size = (level.shape[1], max(1, len(level) // 2))
            # Rows halve; columns blur, as the lateral footprint grows more slowly.
            level = cv2.blur(cv2.resize(level, size, interpolation=cv2.INTER_AREA), (3, 1))
        dirt = _tiled(drawn_noise(rng, 256, 8, 4), self.shape)
        return GroundMap(
            half_width=self.half_width,
            first=self.first,
            marks=np.concatenate(stack),
            level_top=np.array(tops, np.float32),
            level_rows=np.array(counts, np.float32),
            marks_along=self.along,
            marks_half=self.road_half,
            detail=float(np.log2(self.along / (camera_height * focal)) - 0.5),
            dirt=dirt,
            shadow=np.zeros(self.shape, np.float32),
            road_surface=road_surface,
        )


def _coverage(size: int, bounds: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
    """((first, last), weights): how much of each pixel an interval covers."""
    low, high = np.clip(bounds, 0, size)
    first, last = int(np.floor(low)), int(np.ceil(high))
    edges = np.arange(first, last)
    return (first, last), np.minimum(edges + 1, high) - np.maximum(edges, low)


def _tiled(tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    repeats = [-(-n // m) for n, m in zip(shape, tile.shape, strict=True)]
    return np.tile(tile, repeats)[: shape[0], : shape[1]].astype(np.float32)
