"""Colours for classes that come without."""

from __future__ import annotations

import numpy as np

from dvps_d2.visualize.palette import oklab_to_rgb

GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
CHROMA, LIGHTNESS = 0.13, (0.58, 0.72)


def spread_colors(count: int) -> list[tuple[int, int, int]]:
    """``count`` (r, g, b) whose neighbours are far apart in hue; always the same ones."""
    turns = np.arange(count) * GOLDEN_ANGLE
    lightness = np.where(np.arange(count) % 2, LIGHTNESS[0], LIGHTNESS[1])
    lab = np.stack([lightness, CHROMA * np.cos(turns), CHROMA * np.sin(turns)], -1)
    return [tuple(color) for color in oklab_to_rgb(lab.reshape(-1, 3)).tolist()]
