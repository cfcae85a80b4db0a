"""One atlas that holds every surface pattern at every level of detail.

A pattern ("tile") is a square RGBA picture that repeats in both directions. Its fourth channel says
how much of the texel is paint: the colour on screen is ``rgb * (1 - a + a * tint)``, so one drawing
of a car door serves cars of every colour while its window stays glass. Each tile is stored at
halved sizes down to 2 x 2 texels; a lookup picks the level whose texels are about as large as the
pixel, which keeps distant brickwork from flickering.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from zlib import crc32

import cv2
import numpy as np

from dvps_d2.street.tiles import TILE_SIZE, TILES

# Texels repeated around each tile, so that bilinear lookups wrap instead of bleeding.
_APRON = 2


@dataclass(frozen=True, eq=False)
class Atlas:
    """All tiles side by side, levels of detail below one another.

    Attributes:
        texels: (H, W, 4) uint8, RGB and paint.
        left: (tiles,) float32, column of each tile's texel 0.
        top, size: (levels,) float32, row of a level's texel 0 and its texels per tile.
        index: tile name -> position in ``left``.
    """

    texels: np.ndarray
    left: np.ndarray
    top: np.ndarray
    size: np.ndarray
    index: dict[str, int]

    def sample(
        self, tile_left: np.ndarray, u: np.ndarray, v: np.ndarray, level: np.ndarray
    ) -> np.ndarray:
        """Bilinear lookup.

        Args:
            tile_left: (N, M) float32, ``left`` of the tile of each sample.
            u, v: (N, M) float32 tile coordinates, one tile per unit, any range.
            level: (N, M) float, wanted level of detail; 0 is the full size.

        Returns:
            (N, M, 4) uint8.
        """
        level = np.clip(np.rint(level), 0, len(self.size) - 1).astype(np.intp)
        size = self.size.take(level)
        # Texel i has its centre at (i + 0.5) / size.
        column = tile_left + (u - np.floor(u)) * size - 0.5
        row = self.top.take(level) + (v - np.floor(v)) * size - 0.5
        return cv2.remap(self.texels, column, row, cv2.INTER_LINEAR)


@cache
def build_atlas() -> Atlas:
    """Draw every tile once per process (about 0.1 s)."""
    levels = int(np.log2(TILE_SIZE))
    sizes = [TILE_SIZE >> k for k in range(levels)]
    pitch = TILE_SIZE + 2 * _APRON
    tops = np.cumsum([0] + [size + 2 * _APRON for size in sizes])
    texels = np.zeros((tops[-1], pitch * len(TILES), 4), np.uint8)
    for number, (name, draw) in enumerate(TILES.items()):
        picture = draw(np.random.default_rng(crc32(name.encode())))
        for top, size in zip(tops, sizes, strict=False):
            small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
            padded = np.pad(small, ((_APRON, _APRON), (_APRON, _APRON), (0, 0)), mode="wrap")
            left = number * pitch
            texels[top : top + len(padded), left : left + len(padded)] = padded
    return Atlas(
        texels=texels,
        left=(np.arange(len(TILES)) * pitch + _APRON).astype(np.float32),
        top=(tops[:-1] + _APRON).astype(np.float32),
        size=np.array(sizes, np.float32),
        index={name: i for i, name in enumerate(TILES)},
    )
