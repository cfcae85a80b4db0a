"""The drawings: brick, glass, foliage, car doors, shop fronts, road signs.

Every function returns one (128, 128, 4) uint8 tile: RGB and paint (see ``textures``). Vertical
surfaces have their top in row 0; sides of vehicles have their front at the right edge.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dvps_d2.street.noise import fractal_noise

TILE_SIZE = 128
PAINT, SOLID = 255, 0
_GLASS = (52, 62, 74)
_DARK = (26, 26, 29)

TILES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {}


def _tile(draw: Callable[[np.random.Generator], np.ndarray]):
    TILES[draw.__name__] = draw
    return draw


def _blank(level: int = 255, paint: int = PAINT) -> np.ndarray:
    picture = np.full((TILE_SIZE, TILE_SIZE, 4), level, np.uint8)
    picture[..., 3] = paint
    return picture


def _box(picture, left, top, right, bottom, colour, paint=SOLID) -> None:
    """Fill a rectangle given in fractions of the tile."""
    corners = [round(f * TILE_SIZE) for f in (left, top, right, bottom)]
    cv2.rectangle(
        picture, corners[:2], (corners[2] - 1, corners[3] - 1), (*colour, paint), cv2.FILLED
    )


def _disc(picture, x, y, radius, colour, paint=SOLID) -> None:
    centre = (round(x * TILE_SIZE), round(y * TILE_SIZE))
    cv2.circle(
        picture, centre, round(radius * TILE_SIZE), (*colour, paint), cv2.FILLED, cv2.LINE_AA
    )


def _grain(picture: np.ndarray, rng, amount: float, cells: int = 16) -> np.ndarray:
    """Multiply the colour by noise around 1."""
    noise = 1 + amount * (fractal_noise(rng, TILE_SIZE, cells) - 0.5)
    picture[..., :3] = np.clip(picture[..., :3] * noise[..., None], 0, 255)
    return picture


# ---- ground -----------------------------------------------------------------------------------


@_tile
def plain(rng):
    return _grain(_blank(250), rng, 0.06)


@_tile
def asphalt(rng):
    picture = _grain(_blank(225), rng, 0.22, 32)
    speckle = rng.normal(0, 9, (TILE_SIZE, TILE_SIZE, 1))
    picture[..., :3] = np.clip(picture[..., :3] + speckle, 0, 255)
    return picture


@_tile
def paving(rng):
    picture = _blank()
    cells = 4
    for row in range(cells):
        for column in range(cells):
            shade = int(rng.integers(205, 250))
            box = [column / cells, row / cells, (column + 1) / cells, (row + 1) / cells]
            _box(picture, *box, (shade,) * 3, PAINT)
            _box(picture, box[0], box[1], box[2], box[1] + 0.02, (165,) * 3, PAINT)
            _box(picture, box[0], box[1], box[0] + 0.02, box[3], (165,) * 3, PAINT)
    return _grain(picture, rng, 0.1, 32)


@_tile
def kerb(rng):
    picture = _blank(245)
    _box(picture, 0, 0, 0.02, 1, (170,) * 3, PAINT)
    return _grain(picture, rng, 0.12)


@_tile
def grass(rng):
    picture = _blank(240)
    blades = fractal_noise(rng, TILE_SIZE, 16, 3)[..., None]
    dry = fractal_noise(rng, TILE_SIZE, 3, 2)[..., None]
    colour = (
        np.array([[[205, 235, 150]]]) * (0.62 + 0.5 * blades) + np.array([[[45, 15, 10]]]) * dry
    )
    picture[..., :3] = np.clip(colour, 0, 255)
    return picture


@_tile
def leaves(rng):
    """Clumps of lit leaves over dark gaps."""
    picture = _blank(120)
    for _ in range(520):
        x, y = rng.random(2)
        shade = int(np.clip(130 + 110 * rng.random() ** 1.5, 0, 255))
        radius = rng.uniform(0.015, 0.04)
        for dx in (-1, 0, 1):  # drawn three by three times, so that the tile repeats
            for dy in (-1, 0, 1):
                if -0.1 < x + dx < 1.1 and -0.1 < y + dy < 1.1:
                    warm = (shade, min(255, shade + 8), int(shade * 0.82))
                    _disc(picture, x + dx, y + dy, radius, warm, PAINT)
    return _grain(picture, rng, 0.35, 4)


@_tile
def bark(rng):
    picture = _blank(215)
    noise = fractal_noise(rng, TILE_SIZE, 8, 3)
    stripes = cv2.blur(np.tile(noise[:1], (TILE_SIZE, 1)) * 0.7 + noise * 0.3, (3, 9))
    picture[..., :3] = np.clip(picture[..., :3] * (0.6 + 0.6 * stripes[..., None]), 0, 255)
    return picture


# ---- buildings --------------------------------------------------------------------------------


def _bricks(rng, shade=232, joint=200, rows=16) -> np.ndarray:
    picture = _blank(joint)
    height = 1 / rows
    for row in range(rows):
        for column in range(-1, 5):
            left = column / 4 + (row % 2) / 8
            tone = (int(shade + rng.integers(-22, 22)),) * 3
            _box(
                picture,
                left + 0.01,
                row * height + 0.01,
                left + 0.24,
                (row + 1) * height,
                tone,
                PAINT,
            )
    return picture


def _window(picture, rng, left, top, right, bottom, *, bars=1, sill=True, frame=(232, 230, 224)):
    """A framed pane with sky glare above, a dark room below, perhaps a curtain."""
    edge = 0.022
    _box(picture, left - edge, top - edge, right + edge, bottom + edge, frame, 60)
    _box(picture, left, top, right, bottom, _GLASS)
    _box(picture, left, top, right, top + (bottom - top) * 0.35, (98, 112, 126))
    if rng.random() < 0.5:
        curtain = left + (right - left) * 0.22
        _box(picture, left, top, curtain, bottom, (176, 172, 160))
        _box(picture, right - (curtain - left), top, right, bottom, (176, 172, 160))
    for bar in range(1, bars + 1):
        x = left + (right - left) * bar / (bars + 1)
        _box(picture, x - edge / 2, top, x + edge / 2, bottom, frame, 60)
    if sill:
        _box(picture, left - 0.05, bottom + edge, right + 0.05, bottom + 0.055, (222,) * 3, 160)
        _box(picture, left - 0.04, bottom + 0.055, right + 0.04, bottom + 0.075, (120,) * 3, PAINT)


@_tile
def wall(rng):
    return _grain(_blank(240), rng, 0.14, 4)


@_tile
def brick_wall(rng):
    return _grain(_bricks(rng), rng, 0.12, 4)


@_tile
def facade_plain(rng):
    """One tall two-winged window on plaster."""
    picture = _grain(_blank(240), rng, 0.08, 4)
    _window(picture, rng, 0.29, 0.2, 0.71, 0.78)
    return picture


@_tile
def facade_brick(rng):
    """An arched window in brickwork with a pale lintel."""
    picture = _grain(_bricks(rng), rng, 0.1, 4)
    _box(picture, 0.26, 0.15, 0.74, 0.22, (235, 228, 212), 90)
    _window(picture, rng, 0.31, 0.24, 0.69, 0.78)
    return picture


@_tile
def facade_strip(rng):
    """Ribbon glazing of an office block."""
    picture = _grain(_blank(236), rng, 0.06, 4)
    _box(picture, 0, 0.28, 1, 0.8, (70, 84, 98))
    _box(picture, 0, 0.28, 1, 0.45, (122, 138, 152))
    for bar in range(4):
        _box(picture, bar / 4, 0.28, bar / 4 + 0.035, 0.8, (200, 202, 204))
    _box(picture, 0, 0.78, 1, 0.82, (205,) * 3, 120)
    return picture


@_tile
def facade_balcony(rng):
    """A window door behind a railing."""
    picture = _grain(_blank(242), rng, 0.06, 4)
    _window(picture, rng, 0.2, 0.14, 0.8, 0.86, bars=2, sill=False)
    _box(picture, 0.08, 0.84, 0.92, 0.95, (205,) * 3, 160)
    _box(picture, 0.08, 0.95, 0.92, 1.0, (110,) * 3, PAINT)
    for bar in range(9):
        x = 0.1 + bar * 0.1
        _box(picture, x, 0.56, x + 0.02, 0.86, (60, 60, 64))
    _box(picture, 0.08, 0.54, 0.92, 0.58, (52, 52, 56))
    return picture


@_tile
def facade_twin(rng):
    """Two narrow windows with shutters."""
    picture = _grain(_blank(242), rng, 0.08, 4)
    for left in (0.14, 0.6):
        _window(picture, rng, left + 0.02, 0.24, left + 0.24, 0.74, bars=0)
        for x in (left - 0.08, left + 0.265):
            _box(picture, x, 0.22, x + 0.075, 0.76, (92, 112, 98), 30)
    return picture


def _shop(rng, sign: tuple[int, int, int]) -> np.ndarray:
    picture = _blank(120)
    _box(picture, 0, 0.0, 1, 0.07, (205,) * 3, PAINT)
    _box(picture, 0.03, 0.08, 0.97, 0.25, sign)
    for letter in range(6):  # the name of the shop
        x = 0.2 + letter * 0.1
        _box(picture, x, 0.13, x + 0.06, 0.2, (240, 238, 228))
    _box(picture, 0.05, 0.28, 0.66, 0.88, (66, 74, 84))
    _box(picture, 0.05, 0.28, 0.66, 0.46, (108, 118, 128))
    for _ in range(7):  # goods on display
        x, y = rng.uniform(0.08, 0.58), rng.uniform(0.52, 0.78)
        colour = tuple(int(c) for c in rng.integers(80, 235, 3))
        _box(picture, x, y, x + 0.06, 0.86, colour)
    _box(picture, 0.34, 0.28, 0.36, 0.88, (45, 45, 48))
    _box(picture, 0.74, 0.3, 0.93, 1.0, (58, 56, 58))
    _box(picture, 0.77, 0.34, 0.9, 0.8, (92, 102, 112))
    _box(picture, 0, 0.92, 0.74, 1.0, (88,) * 3, 120)
    return picture


@_tile
def shop_red(rng):
    return _shop(rng, (168, 46, 42))


@_tile
def shop_green(rng):
    return _shop(rng, (44, 104, 70))


@_tile
def shop_blue(rng):
    return _shop(rng, (44, 74, 140))


@_tile
def doorway(rng):
    """Ground floor of a dwelling: a door, a window, a plinth."""
    picture = _grain(_blank(232), rng, 0.08, 4)
    _window(picture, rng, 0.1, 0.3, 0.46, 0.74)
    _box(picture, 0.6, 0.24, 0.88, 1, (210,) * 3, 100)
    _box(picture, 0.64, 0.28, 0.84, 1, (92, 58, 42))
    _box(picture, 0.66, 0.3, 0.82, 0.42, (96, 108, 120))
    _box(picture, 0, 0.9, 0.6, 1, (170,) * 3, PAINT)
    _box(picture, 0.88, 0.9, 1, 1, (170,) * 3, PAINT)
    return picture


@_tile
def roof_tiles(rng):
    picture = _blank(225)
    for row in range(8):
        shade = int(rng.integers(195, 240))
        _box(picture, 0, row / 8, 1, (row + 1) / 8 - 0.02, (shade,) * 3, PAINT)
        _box(picture, 0, (row + 1) / 8 - 0.025, 1, (row + 1) / 8, (130,) * 3, PAINT)
    return _grain(picture, rng, 0.2, 16)


# ---- vehicles ---------------------------------------------------------------------------------


@_tile
def car_side(rng):
    picture = _blank(244)
    _box(picture, 0, 0.0, 1, 0.1, (255,) * 3, PAINT)  # the shoulder catches the light
    _box(picture, 0, 0.42, 1, 0.48, (205,) * 3, PAINT)
    _box(picture, 0, 0.8, 1, 1, (52, 52, 55), 40)
    for x in (0.32, 0.53, 0.74):  # door gaps and handles
        _box(picture, x, 0.0, x + 0.012, 0.8, (120,) * 3, PAINT)
    for x in (0.34, 0.55):
        _box(picture, x, 0.2, x + 0.05, 0.27, (150,) * 3, 120)
    _disc(picture, 0.19, 0.86, 0.1, _DARK)
    _disc(picture, 0.81, 0.86, 0.1, _DARK)
    _box(picture, 0.0, 0.12, 0.05, 0.4, (196, 30, 28))
    _box(picture, 0.94, 0.16, 1.0, 0.42, (238, 236, 224))
    return picture


@_tile
def car_front(rng):
    picture = _blank(240)
    _box(picture, 0.3, 0.22, 0.7, 0.5, _DARK)
    _box(picture, 0.32, 0.33, 0.68, 0.37, (150, 152, 156))
    _box(picture, 0.03, 0.14, 0.27, 0.42, (250, 248, 236))
    _box(picture, 0.73, 0.14, 0.97, 0.42, (250, 248, 236))
    _box(picture, 0.03, 0.4, 0.27, 0.46, (120,) * 3, 120)
    _box(picture, 0.73, 0.4, 0.97, 0.46, (120,) * 3, 120)
    _box(picture, 0.0, 0.8, 1, 1, (46, 46, 49))
    _box(picture, 0.34, 0.62, 0.66, 0.76, (236, 236, 230))
    return picture


@_tile
def car_rear(rng):
    picture = _blank(238)
    _box(picture, 0.0, 0.12, 0.2, 0.5, (205, 28, 26))
    _box(picture, 0.8, 0.12, 1.0, 0.5, (205, 28, 26))
    _box(picture, 0.05, 0.34, 0.16, 0.46, (240, 190, 160))
    _box(picture, 0.84, 0.34, 0.95, 0.46, (240, 190, 160))
    _box(picture, 0.2, 0.06, 0.8, 0.09, (150,) * 3, PAINT)
    _box(picture, 0.34, 0.3, 0.66, 0.46, (238, 236, 224))
    _box(picture, 0.0, 0.66, 1, 0.7, (150,) * 3, PAINT)
    _box(picture, 0.0, 0.82, 1, 1, (46, 46, 49))
    return picture


@_tile
def glass_side(rng):
    picture = _blank(246)
    _box(picture, 0.1, 0.16, 0.9, 0.92, _GLASS)
    _box(picture, 0.1, 0.16, 0.9, 0.4, (96, 110, 122))
    for x in (0.36, 0.62):
        _box(picture, x, 0.1, x + 0.045, 0.92, (70,) * 3, 150)
    return picture


@_tile
def glass_end(rng):
    picture = _blank(246)
    _box(picture, 0.07, 0.12, 0.93, 0.94, _GLASS)
    _box(picture, 0.07, 0.12, 0.93, 0.42, (104, 118, 130))
    _disc(picture, 0.3, 0.8, 0.13, (38, 42, 48))  # head rests
    _disc(picture, 0.7, 0.8, 0.13, (38, 42, 48))
    return picture


@_tile
def cargo_side(rng):
    picture = _blank(246)
    for x in range(8):
        _box(picture, x / 8, 0, x / 8 + 0.012, 0.92, (205,) * 3, PAINT)
    _box(picture, 0.0, 0.3, 1, 0.58, (90, 104, 150), 90)
    for letter in range(6):
        x = 0.24 + letter * 0.09
        _box(picture, x, 0.36, x + 0.06, 0.52, (244, 244, 238))
    _box(picture, 0, 0.92, 1, 1, (70, 70, 74))
    _box(picture, 0, 0, 1, 0.03, (255,) * 3, 160)
    return picture


@_tile
def cargo_rear(rng):
    picture = _blank(240)
    _box(picture, 0.04, 0.04, 0.96, 0.86, (252,) * 3, PAINT)
    _box(picture, 0.49, 0.04, 0.51, 0.86, (110,) * 3, PAINT)
    for x in (0.3, 0.42, 0.58, 0.7):
        _box(picture, x, 0.06, x + 0.015, 0.84, (150,) * 3, 120)
    _box(picture, 0, 0.88, 1, 1, (52, 52, 55))
    _box(picture, 0.03, 0.9, 0.17, 0.98, (210, 30, 28))
    _box(picture, 0.83, 0.9, 0.97, 0.98, (210, 30, 28))
    for x in range(6):  # warning stripes
        _box(picture, 0.2 + x * 0.1, 0.9, 0.25 + x * 0.1, 0.96, (232, 200, 60))
    return picture


@_tile
def cab_side(rng):
    picture = _blank(244)
    _box(picture, 0.24, 0.1, 0.92, 0.48, _GLASS)
    _box(picture, 0.24, 0.1, 0.92, 0.24, (96, 110, 122))
    _box(picture, 0.2, 0.06, 0.23, 0.84, (140,) * 3, PAINT)
    _box(picture, 0, 0.84, 1, 1, (50, 50, 53))
    _box(picture, 0.93, 0.62, 1, 0.76, (240, 238, 226))
    return picture


@_tile
def cab_front(rng):
    picture = _blank(244)
    _box(picture, 0.06, 0.1, 0.94, 0.48, _GLASS)
    _box(picture, 0.06, 0.1, 0.94, 0.24, (100, 114, 126))
    _box(picture, 0.2, 0.56, 0.8, 0.76, (40, 40, 44))
    _box(picture, 0.04, 0.66, 0.18, 0.8, (250, 248, 236))
    _box(picture, 0.82, 0.66, 0.96, 0.8, (250, 248, 236))
    _box(picture, 0, 0.84, 1, 1, (60, 60, 64))
    return picture


@_tile
def bus_side(rng):
    picture = _blank(246)
    _box(picture, 0.02, 0.12, 0.98, 0.52, _GLASS)
    _box(picture, 0.02, 0.12, 0.98, 0.26, (96, 110, 122))
    for x in np.arange(0.14, 0.98, 0.14):
        _box(picture, x, 0.12, x + 0.015, 0.52, (36, 36, 40))
    for x in (0.42, 0.84):  # doors
        _box(picture, x, 0.14, x + 0.1, 0.9, (64, 76, 88))
        _box(picture, x + 0.045, 0.14, x + 0.055, 0.9, (30, 30, 33))
    _box(picture, 0, 0.66, 1, 0.73, (235, 235, 230), 40)
    _box(picture, 0, 0.92, 1, 1, (48, 48, 52))
    return picture


@_tile
def bus_front(rng):
    picture = _blank(244)
    _box(picture, 0.1, 0.02, 0.9, 0.12, (24, 24, 26))
    for letter in range(5):  # destination in lights
        _box(picture, 0.3 + letter * 0.09, 0.04, 0.36 + letter * 0.09, 0.1, (246, 186, 60))
    _box(picture, 0.05, 0.15, 0.95, 0.58, _GLASS)
    _box(picture, 0.05, 0.15, 0.95, 0.32, (104, 118, 130))
    _box(picture, 0.05, 0.74, 0.22, 0.84, (250, 248, 236))
    _box(picture, 0.78, 0.74, 0.95, 0.84, (250, 248, 236))
    _box(picture, 0.36, 0.8, 0.64, 0.88, (232, 232, 226))
    _box(picture, 0, 0.92, 1, 1, (50, 50, 54))
    return picture


@_tile
def bus_rear(rng):
    picture = _blank(240)
    _box(picture, 0.12, 0.1, 0.88, 0.42, (44, 52, 62))
    _box(picture, 0.2, 0.56, 0.8, 0.82, (205,) * 3, PAINT)
    for row in range(4):
        _box(picture, 0.22, 0.58 + row * 0.06, 0.78, 0.6 + row * 0.06, (100,) * 3, PAINT)
    _box(picture, 0.02, 0.56, 0.13, 0.86, (208, 30, 28))
    _box(picture, 0.87, 0.56, 0.98, 0.86, (208, 30, 28))
    _box(picture, 0, 0.92, 1, 1, (50, 50, 54))
    return picture


@_tile
def car_wheel(rng):
    picture = _blank(30, SOLID)
    _disc(picture, 0.5, 0.5, 0.33, (168, 170, 174))
    _disc(picture, 0.5, 0.5, 0.26, (96, 98, 102))
    for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
        tip = (round(64 + 36 * np.cos(angle)), round(64 + 36 * np.sin(angle)))
        cv2.line(picture, (64, 64), tip, (186, 188, 192, SOLID), 9, cv2.LINE_AA)
    _disc(picture, 0.5, 0.5, 0.07, (140, 142, 146))
    return picture


@_tile
def cycle_wheel(rng):
    """Solid, as annotators fill it: tyre, rim and a haze of spokes."""
    picture = _blank(24, SOLID)
    _disc(picture, 0.5, 0.5, 0.42, (170, 172, 176))
    _disc(picture, 0.5, 0.5, 0.385, (106, 106, 106))
    for angle in np.linspace(0, 2 * np.pi, 11)[:-1]:
        tip = (round(64 + 50 * np.cos(angle)), round(64 + 50 * np.sin(angle)))
        cv2.line(picture, (64, 64), tip, (150, 150, 152, SOLID), 2, cv2.LINE_AA)
    _disc(picture, 0.5, 0.5, 0.07, (60, 60, 62))
    return picture


# ---- people -----------------------------------------------------------------------------------


@_tile
def cloth(rng):
    picture = _blank(236)
    folds = np.tile(fractal_noise(rng, TILE_SIZE, 4, 3)[:1], (TILE_SIZE, 1))
    picture[..., :3] = np.clip(picture[..., :3] * (0.82 + 0.3 * folds[..., None]), 0, 255)
    return _grain(picture, rng, 0.14)


@_tile
def cloth_striped(rng):
    picture = cloth(rng)
    for row in range(5):
        _box(picture, 0, row / 5, 1, row / 5 + 0.09, (235, 235, 232), 40)
    return picture


# ---- signs ------------------------------------------------------------------------------------


@_tile
def sign_limit(rng):
    picture = _blank(245, SOLID)
    _disc(picture, 0.5, 0.5, 0.5, (208, 26, 32))
    _disc(picture, 0.5, 0.5, 0.36, (246, 246, 244))
    cv2.putText(picture, "30", (30, 84), cv2.FONT_HERSHEY_DUPLEX, 1.8, (20, 20, 22, SOLID), 6)
    picture[..., 3] = SOLID
    return picture


@_tile
def sign_no_entry(rng):
    picture = _blank(200, SOLID)
    picture[..., :3] = (208, 26, 32)
    _box(picture, 0.17, 0.41, 0.83, 0.59, (248, 248, 246))
    return picture


@_tile
def sign_arrow(rng):
    picture = _blank(0, SOLID)
    picture[..., :3] = (24, 86, 178)
    _box(picture, 0.42, 0.4, 0.58, 0.82, (248,) * 3)
    head = np.array([[64, 18], [98, 58], [30, 58]], np.int32)
    cv2.fillConvexPoly(picture, head, (248, 248, 248, SOLID), cv2.LINE_AA)
    return picture


@_tile
def sign_parking(rng):
    picture = _blank(0, SOLID)
    picture[..., :3] = (24, 86, 178)
    cv2.rectangle(picture, (5, 5), (122, 122), (245, 245, 245, SOLID), 4)
    cv2.putText(picture, "P", (34, 100), cv2.FONT_HERSHEY_DUPLEX, 3.0, (248, 248, 248, SOLID), 9)
    picture[..., 3] = SOLID
    return picture


@_tile
def sign_warning(rng):
    picture = _blank(244, SOLID)
    picture[..., :3] = (204, 26, 32)
    inner = np.array([[64, 34], [104, 112], [24, 112]], np.int32)
    cv2.fillConvexPoly(picture, inner, (246, 244, 238, SOLID), cv2.LINE_AA)
    _box(picture, 0.46, 0.45, 0.54, 0.72, (24, 24, 26))
    _disc(picture, 0.5, 0.79, 0.045, (24, 24, 26))
    return picture


@_tile
def sign_yellow(rng):
    picture = _blank(0, SOLID)
    picture[..., :3] = (240, 186, 28)
    cv2.rectangle(picture, (5, 5), (122, 122), (26, 26, 28, SOLID), 4)
    for row in (0.22, 0.45, 0.68):
        _box(picture, 0.16, row, 0.84, row + 0.1, (32, 32, 34))
    return picture
