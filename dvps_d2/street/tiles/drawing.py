"""Canvas and brushes for the tiles, and the registry that they are entered in."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dvps_d2.street.noise import fractal_noise

TILE_SIZE = 128
PAINT, SOLID = 255, 0
GLASS = (52, 62, 74)
DARK = (26, 26, 29)

Colour = tuple[int, int, int]
Drawing = Callable[[np.random.Generator], np.ndarray]

TILES: dict[str, Drawing] = {}


def tile(draw: Drawing) -> Drawing:
    """Enter a drawing under its function's name."""
    TILES[draw.__name__] = draw
    return draw


def blank(level: int = 255, paint: int = PAINT) -> np.ndarray:
    """A grey canvas."""
    picture = np.full((TILE_SIZE, TILE_SIZE, 4), level, np.uint8)
    picture[..., 3] = paint
    return picture


def fill_box(
    picture: np.ndarray,
    left: float,
    top: float,
    right: float,
    bottom: float,
    colour: Colour,
    paint: int = SOLID,
) -> None:
    """Fill a rectangle given in fractions of the tile."""
    first = round(left * TILE_SIZE), round(top * TILE_SIZE)
    last = round(right * TILE_SIZE) - 1, round(bottom * TILE_SIZE) - 1
    cv2.rectangle(picture, first, last, (*colour, paint), cv2.FILLED)


def fill_disc(
    picture: np.ndarray, x: float, y: float, radius: float, colour: Colour, paint: int = SOLID
) -> None:
    """Fill a circle given in fractions of the tile."""
    centre = (round(x * TILE_SIZE), round(y * TILE_SIZE))
    cv2.circle(
        picture, centre, round(radius * TILE_SIZE), (*colour, paint), cv2.FILLED, cv2.LINE_AA
    )


def add_grain(
    picture: np.ndarray, rng: np.random.Generator, amount: float, cells: int = 16
) -> np.ndarray:
    """Multiply the colour by noise around 1."""
    noise = 1 + amount * (fractal_noise(rng, TILE_SIZE, cells) - 0.5)
    picture[..., :3] = np.clip(picture[..., :3] * noise[..., None], 0, 255)
    return picture
