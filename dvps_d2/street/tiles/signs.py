"""Faces of road signs."""

from __future__ import annotations

import cv2
import numpy as np

from dvps_d2.street.tiles.drawing import SOLID, blank, fill_box, fill_disc, tile


@tile
def sign_limit(rng: np.random.Generator) -> np.ndarray:
    picture = blank(245, SOLID)
    fill_disc(picture, 0.5, 0.5, 0.5, (208, 26, 32))
    fill_disc(picture, 0.5, 0.5, 0.36, (246, 246, 244))
    cv2.putText(picture, "30", (30, 84), cv2.FONT_HERSHEY_DUPLEX, 1.8, (20, 20, 22, SOLID), 6)
    picture[..., 3] = SOLID
    return picture


@tile
def sign_no_entry(rng: np.random.Generator) -> np.ndarray:
    picture = blank(200, SOLID)
    picture[..., :3] = (208, 26, 32)
    fill_box(picture, 0.17, 0.41, 0.83, 0.59, (248, 248, 246))
    return picture


@tile
def sign_arrow(rng: np.random.Generator) -> np.ndarray:
    picture = blank(0, SOLID)
    picture[..., :3] = (24, 86, 178)
    fill_box(picture, 0.42, 0.4, 0.58, 0.82, (248,) * 3)
    head = np.array([[64, 18], [98, 58], [30, 58]], np.int32)
    cv2.fillConvexPoly(picture, head, (248, 248, 248, SOLID), cv2.LINE_AA)
    return picture


@tile
def sign_parking(rng: np.random.Generator) -> np.ndarray:
    picture = blank(0, SOLID)
    picture[..., :3] = (24, 86, 178)
    cv2.rectangle(picture, (5, 5), (122, 122), (245, 245, 245, SOLID), 4)
    cv2.putText(picture, "P", (34, 100), cv2.FONT_HERSHEY_DUPLEX, 3.0, (248, 248, 248, SOLID), 9)
    picture[..., 3] = SOLID
    return picture


@tile
def sign_warning(rng: np.random.Generator) -> np.ndarray:
    picture = blank(244, SOLID)
    picture[..., :3] = (204, 26, 32)
    inner = np.array([[64, 34], [104, 112], [24, 112]], np.int32)
    cv2.fillConvexPoly(picture, inner, (246, 244, 238, SOLID), cv2.LINE_AA)
    fill_box(picture, 0.46, 0.45, 0.54, 0.72, (24, 24, 26))
    fill_disc(picture, 0.5, 0.79, 0.045, (24, 24, 26))
    return picture


@tile
def sign_yellow(rng: np.random.Generator) -> np.ndarray:
    picture = blank(0, SOLID)
    picture[..., :3] = (240, 186, 28)
    cv2.rectangle(picture, (5, 5), (122, 122), (26, 26, 28, SOLID), 4)
    for row in (0.22, 0.45, 0.68):
        fill_box(picture, 0.16, row, 0.84, row + 0.1, (32, 32, 34))
    return picture
