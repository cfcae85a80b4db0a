"""What the street is paved with, what grows there, what people wear."""

from __future__ import annotations

import cv2
import numpy as np

from dvps_d2.street.noise import fractal_noise
from dvps_d2.street.tiles.drawing import (
    PAINT,
    TILE_SIZE,
    add_grain,
    blank,
    fill_box,
    fill_disc,
    tile,
)


@tile
def plain(rng: np.random.Generator) -> np.ndarray:
    return add_grain(blank(250), rng, 0.06)


@tile
def asphalt(rng: np.random.Generator) -> np.ndarray:
    picture = add_grain(blank(225), rng, 0.22, 32)
    speckle = rng.normal(0, 9, (TILE_SIZE, TILE_SIZE, 1))
    picture[..., :3] = np.clip(picture[..., :3] + speckle, 0, 255)
    return picture


@tile
def paving(rng: np.random.Generator) -> np.ndarray:
    picture = blank()
    cells = 4
    for row in range(cells):
        for column in range(cells):
            shade = int(rng.integers(205, 250))
            left, top = column / cells, row / cells
            right, bottom = left + 1 / cells, top + 1 / cells
            fill_box(picture, left, top, right, bottom, (shade,) * 3, PAINT)
            fill_box(picture, left, top, right, top + 0.02, (165,) * 3, PAINT)
            fill_box(picture, left, top, left + 0.02, bottom, (165,) * 3, PAINT)
    return add_grain(picture, rng, 0.1, 32)


@tile
def kerb(rng: np.random.Generator) -> np.ndarray:
    picture = blank(245)
    fill_box(picture, 0, 0, 0.02, 1, (170,) * 3, PAINT)
    return add_grain(picture, rng, 0.12)


@tile
def grass(rng: np.random.Generator) -> np.ndarray:
    picture = blank(240)
    blades = fractal_noise(rng, TILE_SIZE, 16, 3)[..., None]
    dry = fractal_noise(rng, TILE_SIZE, 3, 2)[..., None]
    colour = (
        np.array([[[205, 235, 150]]]) * (0.62 + 0.5 * blades) + np.array([[[45, 15, 10]]]) * dry
    )
    picture[..., :3] = np.clip(colour, 0, 255)
    return picture


@tile
def leaves(rng: np.random.Generator) -> np.ndarray:
    """Clumps of lit leaves over dark gaps."""
    picture = blank(120)
    for _ in range(520):
        x, y = rng.random(2)
        shade = int(np.clip(130 + 110 * rng.random() ** 1.5, 0, 255))
        radius = rng.uniform(0.015, 0.04)
        for dx in (-1, 0, 1):  # drawn three by three times, so that the tile repeats
            for dy in (-1, 0, 1):
                if -0.1 < x + dx < 1.1 and -0.1 < y + dy < 1.1:
                    warm = (shade, min(255, shade + 8), int(shade * 0.82))
                    fill_disc(picture, x + dx, y + dy, radius, warm, PAINT)
    return add_grain(picture, rng, 0.35, 4)


@tile
def bark(rng: np.random.Generator) -> np.ndarray:
    picture = blank(215)
    noise = fractal_noise(rng, TILE_SIZE, 8, 3)
    stripes = cv2.blur(np.tile(noise[:1], (TILE_SIZE, 1)) * 0.7 + noise * 0.3, (3, 9))
    picture[..., :3] = np.clip(picture[..., :3] * (0.6 + 0.6 * stripes[..., None]), 0, 255)
    return picture


@tile
def cloth(rng: np.random.Generator) -> np.ndarray:
    picture = blank(236)
    folds = np.tile(fractal_noise(rng, TILE_SIZE, 4, 3)[:1], (TILE_SIZE, 1))
    picture[..., :3] = np.clip(picture[..., :3] * (0.82 + 0.3 * folds[..., None]), 0, 255)
    return add_grain(picture, rng, 0.14)


@tile
def cloth_striped(rng: np.random.Generator) -> np.ndarray:
    picture = cloth(rng)
    for row in range(5):
        fill_box(picture, 0, row / 5, 1, row / 5 + 0.09, (235, 235, 232), 40)
    return picture
