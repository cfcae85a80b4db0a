"""Sides, fronts and rears of vehicles, and wheels. The front is at the right edge of a side."""

from __future__ import annotations

import cv2
import numpy as np

from dvps_d2.street.tiles.drawing import DARK, GLASS, PAINT, SOLID, blank, fill_box, fill_disc, tile


@tile
def car_side(rng: np.random.Generator) -> np.ndarray:
    picture = blank(244)
    fill_box(picture, 0, 0.0, 1, 0.1, (255,) * 3, PAINT)  # the shoulder catches the light
    fill_box(picture, 0, 0.42, 1, 0.48, (205,) * 3, PAINT)
    fill_box(picture, 0, 0.8, 1, 1, (52, 52, 55), 40)
    for x in (0.32, 0.53, 0.74):  # door gaps and handles
        fill_box(picture, x, 0.0, x + 0.012, 0.8, (120,) * 3, PAINT)
    for x in (0.34, 0.55):
        fill_box(picture, x, 0.2, x + 0.05, 0.27, (150,) * 3, 120)
    fill_disc(picture, 0.19, 0.86, 0.1, DARK)
    fill_disc(picture, 0.81, 0.86, 0.1, DARK)
    fill_box(picture, 0.0, 0.12, 0.05, 0.4, (196, 30, 28))
    fill_box(picture, 0.94, 0.16, 1.0, 0.42, (238, 236, 224))
    return picture


@tile
def car_front(rng: np.random.Generator) -> np.ndarray:
    picture = blank(240)
    fill_box(picture, 0.3, 0.22, 0.7, 0.5, DARK)
    fill_box(picture, 0.32, 0.33, 0.68, 0.37, (150, 152, 156))
    fill_box(picture, 0.03, 0.14, 0.27, 0.42, (250, 248, 236))
    fill_box(picture, 0.73, 0.14, 0.97, 0.42, (250, 248, 236))
    fill_box(picture, 0.03, 0.4, 0.27, 0.46, (120,) * 3, 120)
    fill_box(picture, 0.73, 0.4, 0.97, 0.46, (120,) * 3, 120)
    fill_box(picture, 0.0, 0.8, 1, 1, (46, 46, 49))
    fill_box(picture, 0.34, 0.62, 0.66, 0.76, (236, 236, 230))
    return picture


@tile
def car_rear(rng: np.random.Generator) -> np.ndarray:
    picture = blank(238)
    fill_box(picture, 0.0, 0.12, 0.2, 0.5, (205, 28, 26))
    fill_box(picture, 0.8, 0.12, 1.0, 0.5, (205, 28, 26))
    fill_box(picture, 0.05, 0.34, 0.16, 0.46, (240, 190, 160))
    fill_box(picture, 0.84, 0.34, 0.95, 0.46, (240, 190, 160))
    fill_box(picture, 0.2, 0.06, 0.8, 0.09, (150,) * 3, PAINT)
    fill_box(picture, 0.34, 0.3, 0.66, 0.46, (238, 236, 224))
    fill_box(picture, 0.0, 0.66, 1, 0.7, (150,) * 3, PAINT)
    fill_box(picture, 0.0, 0.82, 1, 1, (46, 46, 49))
    return picture


@tile
def glass_side(rng: np.random.Generator) -> np.ndarray:
    picture = blank(246)
    fill_box(picture, 0.1, 0.16, 0.9, 0.92, GLASS)
    fill_box(picture, 0.1, 0.16, 0.9, 0.4, (96, 110, 122))
    for x in (0.36, 0.62):
        fill_box(picture, x, 0.1, x + 0.045, 0.92, (70,) * 3, 150)
    return picture


@tile
def glass_end(rng: np.random.Generator) -> np.ndarray:
    picture = blank(246)
    fill_box(picture, 0.07, 0.12, 0.93, 0.94, GLASS)
    fill_box(picture, 0.07, 0.12, 0.93, 0.42, (104, 118, 130))
    fill_disc(picture, 0.3, 0.8, 0.13, (38, 42, 48))  # head rests
    fill_disc(picture, 0.7, 0.8, 0.13, (38, 42, 48))
    return picture


@tile
def cargo_side(rng: np.random.Generator) -> np.ndarray:
    picture = blank(246)
    for rib in range(8):
        fill_box(picture, rib / 8, 0, rib / 8 + 0.012, 0.92, (205,) * 3, PAINT)
    fill_box(picture, 0.0, 0.3, 1, 0.58, (90, 104, 150), 90)
    for letter in range(6):
        x = 0.24 + letter * 0.09
        fill_box(picture, x, 0.36, x + 0.06, 0.52, (244, 244, 238))
    fill_box(picture, 0, 0.92, 1, 1, (70, 70, 74))
    fill_box(picture, 0, 0, 1, 0.03, (255,) * 3, 160)
    return picture


@tile
def cargo_rear(rng: np.random.Generator) -> np.ndarray:
    picture = blank(240)
    fill_box(picture, 0.04, 0.04, 0.96, 0.86, (252,) * 3, PAINT)
    fill_box(picture, 0.49, 0.04, 0.51, 0.86, (110,) * 3, PAINT)
    for x in (0.3, 0.42, 0.58, 0.7):
        fill_box(picture, x, 0.06, x + 0.015, 0.84, (150,) * 3, 120)
    fill_box(picture, 0, 0.88, 1, 1, (52, 52, 55))
    fill_box(picture, 0.03, 0.9, 0.17, 0.98, (210, 30, 28))
    fill_box(picture, 0.83, 0.9, 0.97, 0.98, (210, 30, 28))
    for x in range(6):  # warning stripes
        fill_box(picture, 0.2 + x * 0.1, 0.9, 0.25 + x * 0.1, 0.96, (232, 200, 60))
    return picture


@tile
def cab_side(rng: np.random.Generator) -> np.ndarray:
    picture = blank(244)
    fill_box(picture, 0.24, 0.1, 0.92, 0.48, GLASS)
    fill_box(picture, 0.24, 0.1, 0.92, 0.24, (96, 110, 122))
    fill_box(picture, 0.2, 0.06, 0.23, 0.84, (140,) * 3, PAINT)
    fill_box(picture, 0, 0.84, 1, 1, (50, 50, 53))
    fill_box(picture, 0.93, 0.62, 1, 0.76, (240, 238, 226))
    return picture


@tile
def cab_front(rng: np.random.Generator) -> np.ndarray:
    picture = blank(244)
    fill_box(picture, 0.06, 0.1, 0.94, 0.48, GLASS)
    fill_box(picture, 0.06, 0.1, 0.94, 0.24, (100, 114, 126))
    fill_box(picture, 0.2, 0.56, 0.8, 0.76, (40, 40, 44))
    fill_box(picture, 0.04, 0.66, 0.18, 0.8, (250, 248, 236))
    fill_box(picture, 0.82, 0.66, 0.96, 0.8, (250, 248, 236))
    fill_box(picture, 0, 0.84, 1, 1, (60, 60, 64))
    return picture


@tile
def bus_side(rng: np.random.Generator) -> np.ndarray:
    picture = blank(246)
    fill_box(picture, 0.02, 0.12, 0.98, 0.52, GLASS)
    fill_box(picture, 0.02, 0.12, 0.98, 0.26, (96, 110, 122))
    for x in np.arange(0.14, 0.98, 0.14):
        fill_box(picture, x, 0.12, x + 0.015, 0.52, (36, 36, 40))
    for x in (0.42, 0.84):  # doors
        fill_box(picture, x, 0.14, x + 0.1, 0.9, (64, 76, 88))
        fill_box(picture, x + 0.045, 0.14, x + 0.055, 0.9, (30, 30, 33))
    fill_box(picture, 0, 0.66, 1, 0.73, (235, 235, 230), 40)
    fill_box(picture, 0, 0.92, 1, 1, (48, 48, 52))
    return picture


@tile
def bus_front(rng: np.random.Generator) -> np.ndarray:
    picture = blank(244)
    fill_box(picture, 0.1, 0.02, 0.9, 0.12, (24, 24, 26))
    for letter in range(5):  # destination in lights
        fill_box(picture, 0.3 + letter * 0.09, 0.04, 0.36 + letter * 0.09, 0.1, (246, 186, 60))
    fill_box(picture, 0.05, 0.15, 0.95, 0.58, GLASS)
    fill_box(picture, 0.05, 0.15, 0.95, 0.32, (104, 118, 130))
    fill_box(picture, 0.05, 0.74, 0.22, 0.84, (250, 248, 236))
    fill_box(picture, 0.78, 0.74, 0.95, 0.84, (250, 248, 236))
    fill_box(picture, 0.36, 0.8, 0.64, 0.88, (232, 232, 226))
    fill_box(picture, 0, 0.92, 1, 1, (50, 50, 54))
    return picture


@tile
def bus_rear(rng: np.random.Generator) -> np.ndarray:
    picture = blank(240)
    fill_box(picture, 0.12, 0.1, 0.88, 0.42, (44, 52, 62))
    fill_box(picture, 0.2, 0.56, 0.8, 0.82, (205,) * 3, PAINT)
    for row in range(4):
        fill_box(picture, 0.22, 0.58 + row * 0.06, 0.78, 0.6 + row * 0.06, (100,) * 3, PAINT)
    fill_box(picture, 0.02, 0.56, 0.13, 0.86, (208, 30, 28))
    fill_box(picture, 0.87, 0.56, 0.98, 0.86, (208, 30, 28))
    fill_box(picture, 0, 0.92, 1, 1, (50, 50, 54))
    return picture


@tile
def car_wheel(rng: np.random.Generator) -> np.ndarray:
    picture = blank(30, SOLID)
    fill_disc(picture, 0.5, 0.5, 0.33, (168, 170, 174))
    fill_disc(picture, 0.5, 0.5, 0.26, (96, 98, 102))
    for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
        tip = (round(64 + 36 * np.cos(angle)), round(64 + 36 * np.sin(angle)))
        cv2.line(picture, (64, 64), tip, (186, 188, 192, SOLID), 9, cv2.LINE_AA)
    fill_disc(picture, 0.5, 0.5, 0.07, (140, 142, 146))
    return picture


@tile
def cycle_wheel(rng: np.random.Generator) -> np.ndarray:
    """Solid, as annotators fill it: tyre, rim and a haze of spokes."""
    picture = blank(24, SOLID)
    fill_disc(picture, 0.5, 0.5, 0.42, (170, 172, 176))
    fill_disc(picture, 0.5, 0.5, 0.385, (106, 106, 106))
    for angle in np.linspace(0, 2 * np.pi, 11)[:-1]:
        tip = (round(64 + 50 * np.cos(angle)), round(64 + 50 * np.sin(angle)))
        cv2.line(picture, (64, 64), tip, (150, 150, 152, SOLID), 2, cv2.LINE_AA)
    fill_disc(picture, 0.5, 0.5, 0.07, (60, 60, 62))
    return picture
