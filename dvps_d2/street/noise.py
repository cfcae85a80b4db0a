"""Smooth random patterns."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np


def fractal_noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """(size, size) float32 in 0..1 that repeats seamlessly; ``cells`` lumps across at first."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = min(cells << octave, size)
        grid = np.pad(rng.random((count, count), dtype=np.float32), 2, mode="wrap")
        scale = size / count
        steps = (np.arange(size, dtype=np.float32) + 0.5) / scale + 1.5
        columns, rows = np.meshgrid(steps, steps)
        total += cv2.remap(grid, columns, rows, cv2.INTER_CUBIC) * 0.5**octave
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


@cache
def _stored_noise(size: int, cells: int, octaves: int, variant: int) -> np.ndarray:
    return fractal_noise(np.random.default_rng(variant), size, cells, octaves)


def drawn_noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """Like :func:`fractal_noise`, but one of eight stored patterns, shifted: much faster."""
    variant, down, right = rng.integers((8, size, size))
    return np.roll(_stored_noise(size, cells, octaves, int(variant)), (down, right), (0, 1))
