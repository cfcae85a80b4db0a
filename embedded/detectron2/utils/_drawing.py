"""Primitives on an RGB canvas, by OpenCV. Coordinates are floats in pixels of the canvas."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import ImageColor

Color = str | Sequence[float]

_LETTERS = {
    "b": "blue",
    "g": "green",
    "r": "red",
    "c": "cyan",
    "m": "magenta",
    "y": "yellow",
    "k": "black",
    "w": "white",
}
_SHIFT = 4  # OpenCV takes fixed-point coordinates: 1/16 pixel
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PIXELS = 30.0  # points at scale 1: letters and what hangs below them


def to_rgb(color: Color) -> tuple[int, int, int]:
    """A colour as OpenCV wants it.

    Args:
        color: three (or four) numbers in 0..1, a name, a letter as in matplotlib, or "#rrggbb".

    Returns:
        Three numbers in 0..255.
    """
    if isinstance(color, str):
        return ImageColor.getrgb(_LETTERS.get(color, color))[:3]
    red, green, blue = (round(255 * float(np.clip(value, 0, 1))) for value in list(color)[:3])
    return red, green, blue


def _fixed(points: Any) -> np.ndarray:
    """Points as fixed-point integers; OpenCV's pixel centres are whole numbers, ours halves."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


def blend(canvas: np.ndarray, painted: np.ndarray, alpha: float) -> None:
    """Mix a painted copy into the canvas, in place."""
    cv2.addWeighted(painted, alpha, canvas, 1 - alpha, 0, dst=canvas)


def fill_mask(canvas: np.ndarray, mask: np.ndarray, color: Color, alpha: Any) -> None:
    """Colour the pixels of a mask, in place.

    Args:
        canvas: (H, W, 3) uint8.
        mask: (H, W) bool.
        color: of the pixels.
        alpha: opacity, a number or an (H, W) array.
    """
    weight = np.broadcast_to(np.asarray(alpha, dtype=np.float32), mask.shape)[mask][:, None]
    mixed = canvas[mask] * (1 - weight) + np.array(to_rgb(color), dtype=np.float32) * weight
    canvas[mask] = np.round(mixed).astype(np.uint8)


def fill_polygon(canvas: np.ndarray, points: np.ndarray, color: Color, alpha: float) -> None:
    """Fill a polygon of (N, 2) points, in place."""
    painted = canvas.copy()
    cv2.fillPoly(painted, [_fixed(points)], to_rgb(color), cv2.LINE_AA, _SHIFT)
    blend(canvas, painted, alpha)


def draw_lines(
    canvas: np.ndarray,
    points: np.ndarray,
    color: Color,
    width: float,
    *,
    closed: bool = False,
    alpha: float = 1.0,
) -> None:
    """Join (N, 2) points by lines, in place."""
    painted = canvas.copy() if alpha < 1 else canvas
    thickness = max(1, round(width))
    cv2.polylines(painted, [_fixed(points)], closed, to_rgb(color), thickness, cv2.LINE_AA, _SHIFT)
    if alpha < 1:
        blend(canvas, painted, alpha)


def draw_disc(canvas: np.ndarray, center: Sequence[float], radius: float, color: Color) -> None:
    """Fill a circle, in place."""
    ((x, y),) = _fixed([center])
    scaled = round(radius * (1 << _SHIFT))
    cv2.circle(canvas, (int(x), int(y)), scaled, to_rgb(color), -1, cv2.LINE_AA, _SHIFT)


def draw_label(
    canvas: np.ndarray,
    text: str,
    position: Sequence[float],
    pixels: float,
    color: Color,
    alignment: str,
) -> None:
    """Write text on a dark plate, in place; the plate is moved into the canvas.

    Args:
        canvas: (H, W, 3) uint8.
        text: one line; what the font does not have becomes "?".
        position: (x, y) of the top of the plate; its left edge, middle or right edge.
        pixels: height of the letters.
        color: of the letters.
        alignment: "left", "center" or "right".
    """
    text = text.encode("ascii", "replace").decode()
    scale = pixels / _FONT_PIXELS
    thickness = max(1, round(scale * 1.5))
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    margin = max(1, round(pixels / 8))
    plate_w, plate_h = width + 2 * margin, height + baseline + 2 * margin
    shares = {"left": 0.0, "center": 0.5, "right": 1.0}
    left = round(position[0] - shares[alignment] * plate_w)
    left = max(0, min(left, canvas.shape[1] - plate_w))
    top = max(0, min(round(position[1]), canvas.shape[0] - plate_h))
    plate = canvas[top : top + plate_h, left : left + plate_w]
    plate[:] = (plate * 0.2).astype(np.uint8)
    origin = (left + margin, top + margin + height)
    cv2.putText(canvas, text, origin, _FONT, scale, to_rgb(color), thickness, cv2.LINE_AA)


def remove_small_parts(mask: np.ndarray, area: float) -> np.ndarray:
    """A mask without its connected parts of less than ``area`` pixels."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = np.zeros(count, dtype=bool)
    large[1:] = stats[1:, cv2.CC_STAT_AREA] >= area
    return large[parts]


def large_parts(mask: np.ndarray, area: float) -> list[np.ndarray]:
    """The largest connected part of a mask, and every other one above ``area`` pixels."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return []
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = int(areas.argmax())
    chosen = [index for index in range(len(areas)) if index == largest or areas[index] > area]
    return [parts == index + 1 for index in chosen]
