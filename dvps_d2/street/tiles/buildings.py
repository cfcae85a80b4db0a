"""Walls, windows, shop fronts and roofs; one tile is one bay of one storey."""

from __future__ import annotations

import numpy as np

from dvps_d2.street.tiles.drawing import GLASS, PAINT, Colour, add_grain, blank, fill_box, tile


def _bricks(
    rng: np.random.Generator, shade: int = 232, joint: int = 200, rows: int = 16
) -> np.ndarray:
    """Rows of bricks in two staggered places, each of its own tone."""
    picture = blank(joint)
    height = 1 / rows
    for row in range(rows):
        for column in range(-1, 5):
            left = column / 4 + (row % 2) / 8
            tone = (int(shade + rng.integers(-22, 22)),) * 3
            fill_box(
                picture,
                left + 0.01,
                row * height + 0.01,
                left + 0.24,
                (row + 1) * height,
                tone,
                PAINT,
            )
    return picture


def _window(
    picture: np.ndarray,
    rng: np.random.Generator,
    left: float,
    top: float,
    right: float,
    bottom: float,
    *,
    bars: int = 1,
    sill: bool = True,
    frame: Colour = (232, 230, 224),
) -> None:
    """A framed pane with sky glare above, a dark room below, perhaps a curtain."""
    edge = 0.022
    fill_box(picture, left - edge, top - edge, right + edge, bottom + edge, frame, 60)
    fill_box(picture, left, top, right, bottom, GLASS)
    fill_box(picture, left, top, right, top + (bottom - top) * 0.35, (98, 112, 126))
    if rng.random() < 0.5:
        curtain = left + (right - left) * 0.22
        fill_box(picture, left, top, curtain, bottom, (176, 172, 160))
        fill_box(picture, right - (curtain - left), top, right, bottom, (176, 172, 160))
    for bar in range(1, bars + 1):
        x = left + (right - left) * bar / (bars + 1)
        fill_box(picture, x - edge / 2, top, x + edge / 2, bottom, frame, 60)
    if sill:
        fill_box(picture, left - 0.05, bottom + edge, right + 0.05, bottom + 0.055, (222,) * 3, 160)
        fill_box(
            picture, left - 0.04, bottom + 0.055, right + 0.04, bottom + 0.075, (120,) * 3, PAINT
        )


@tile
def wall(rng: np.random.Generator) -> np.ndarray:
    return add_grain(blank(240), rng, 0.14, 4)


@tile
def brick_wall(rng: np.random.Generator) -> np.ndarray:
    return add_grain(_bricks(rng), rng, 0.12, 4)


@tile
def facade_plain(rng: np.random.Generator) -> np.ndarray:
    """One tall two-winged window on plaster."""
    picture = add_grain(blank(240), rng, 0.08, 4)
    _window(picture, rng, 0.29, 0.2, 0.71, 0.78)
    return picture


@tile
def facade_brick(rng: np.random.Generator) -> np.ndarray:
    """An arched window in brickwork with a pale lintel."""
    picture = add_grain(_bricks(rng), rng, 0.1, 4)
    fill_box(picture, 0.26, 0.15, 0.74, 0.22, (235, 228, 212), 90)
    _window(picture, rng, 0.31, 0.24, 0.69, 0.78)
    return picture


@tile
def facade_strip(rng: np.random.Generator) -> np.ndarray:
    """Ribbon glazing of an office block."""
    picture = add_grain(blank(236), rng, 0.06, 4)
    fill_box(picture, 0, 0.28, 1, 0.8, (70, 84, 98))
    fill_box(picture, 0, 0.28, 1, 0.45, (122, 138, 152))
    for bar in range(4):
        fill_box(picture, bar / 4, 0.28, bar / 4 + 0.035, 0.8, (200, 202, 204))
    fill_box(picture, 0, 0.78, 1, 0.82, (205,) * 3, 120)
    return picture


@tile
def facade_balcony(rng: np.random.Generator) -> np.ndarray:
    """A window door behind a railing."""
    picture = add_grain(blank(242), rng, 0.06, 4)
    _window(picture, rng, 0.2, 0.14, 0.8, 0.86, bars=2, sill=False)
    fill_box(picture, 0.08, 0.84, 0.92, 0.95, (205,) * 3, 160)
    fill_box(picture, 0.08, 0.95, 0.92, 1.0, (110,) * 3, PAINT)
    for bar in range(9):
        x = 0.1 + bar * 0.1
        fill_box(picture, x, 0.56, x + 0.02, 0.86, (60, 60, 64))
    fill_box(picture, 0.08, 0.54, 0.92, 0.58, (52, 52, 56))
    return picture


@tile
def facade_twin(rng: np.random.Generator) -> np.ndarray:
    """Two narrow windows with shutters."""
    picture = add_grain(blank(242), rng, 0.08, 4)
    for left in (0.14, 0.6):
        _window(picture, rng, left + 0.02, 0.24, left + 0.24, 0.74, bars=0)
        for x in (left - 0.08, left + 0.265):
            fill_box(picture, x, 0.22, x + 0.075, 0.76, (92, 112, 98), 30)
    return picture


def _shop(rng: np.random.Generator, sign: Colour) -> np.ndarray:
    picture = blank(120)
    fill_box(picture, 0, 0.0, 1, 0.07, (205,) * 3, PAINT)
    fill_box(picture, 0.03, 0.08, 0.97, 0.25, sign)
    for letter in range(6):  # the name of the shop
        x = 0.2 + letter * 0.1
        fill_box(picture, x, 0.13, x + 0.06, 0.2, (240, 238, 228))
    fill_box(picture, 0.05, 0.28, 0.66, 0.88, (66, 74, 84))
    fill_box(picture, 0.05, 0.28, 0.66, 0.46, (108, 118, 128))
    for _ in range(7):  # goods on display
        x, y = rng.uniform(0.08, 0.58), rng.uniform(0.52, 0.78)
        red, green, blue = rng.integers(80, 235, 3).tolist()
        fill_box(picture, x, y, x + 0.06, 0.86, (red, green, blue))
    fill_box(picture, 0.34, 0.28, 0.36, 0.88, (45, 45, 48))
    fill_box(picture, 0.74, 0.3, 0.93, 1.0, (58, 56, 58))
    fill_box(picture, 0.77, 0.34, 0.9, 0.8, (92, 102, 112))
    fill_box(picture, 0, 0.92, 0.74, 1.0, (88,) * 3, 120)
    return picture


@tile
def shop_red(rng: np.random.Generator) -> np.ndarray:
    return _shop(rng, (168, 46, 42))


@tile
def shop_green(rng: np.random.Generator) -> np.ndarray:
    return _shop(rng, (44, 104, 70))


@tile
def shop_blue(rng: np.random.Generator) -> np.ndarray:
    return _shop(rng, (44, 74, 140))


@tile
def doorway(rng: np.random.Generator) -> np.ndarray:
    """Ground floor of a dwelling: a door, a window, a plinth."""
    picture = add_grain(blank(232), rng, 0.08, 4)
    _window(picture, rng, 0.1, 0.3, 0.46, 0.74)
    fill_box(picture, 0.6, 0.24, 0.88, 1, (210,) * 3, 100)
    fill_box(picture, 0.64, 0.28, 0.84, 1, (92, 58, 42))
    fill_box(picture, 0.66, 0.3, 0.82, 0.42, (96, 108, 120))
    fill_box(picture, 0, 0.9, 0.6, 1, (170,) * 3, PAINT)
    fill_box(picture, 0.88, 0.9, 1, 1, (170,) * 3, PAINT)
    return picture


@tile
def roof_tiles(rng: np.random.Generator) -> np.ndarray:
    picture = blank(225)
    for row in range(8):
        shade = int(rng.integers(195, 240))
        fill_box(picture, 0, row / 8, 1, (row + 1) / 8 - 0.02, (shade,) * 3, PAINT)
        fill_box(picture, 0, (row + 1) / 8 - 0.025, 1, (row + 1) / 8, (130,) * 3, PAINT)
    return add_grain(picture, rng, 0.2, 16)
