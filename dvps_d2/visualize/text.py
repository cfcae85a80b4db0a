"""Small text that stays readable over any picture."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
_UNIT_HEIGHT = 22  # pixels of a capital letter at font scale 1
_RIM = 1  # pixels of dark outline


@lru_cache(maxsize=4096)
def _masks(text: str, height: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Letters and letters with their rim as (h, w) coverage 0..1, and the row of the baseline.

    Drawn once and measured by what was drawn: the widths OpenCV predicts, and how they change
    with line thickness, differ between its versions.
    """
    scale = height / _UNIT_HEIGHT
    thickness = max(1, round(height / 12))
    (width, _), below = cv2.getTextSize(text, FONT, scale, thickness)
    baseline = 2 * height
    canvas = np.zeros((baseline + below + height, width + 4 * height), np.uint8)
    at = (2 * height, baseline)
    cv2.putText(canvas, text, at, FONT, scale, 255, thickness, cv2.LINE_AA)
    columns = np.flatnonzero(canvas.any(0))
    if not len(columns):
        columns = np.array([0])
    letters = canvas[:, max(0, columns[0] - _RIM) : columns[-1] + _RIM + 1].astype(np.float32) / 255
    rim = cv2.dilate(letters, np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    return letters, rim, baseline


def text_size(text: str, height: int) -> tuple[int, int]:
    """(width, height) in pixels of one line with capital letters ``height`` pixels high."""
    return _masks(text, height)[0].shape[1], height


def put_text(
    image: np.ndarray,
    text: str,
    left: int,
    baseline: int,
    height: int,
    *,
    color: tuple[int, int, int] = (255, 255, 255),
    outline: tuple[int, int, int] | None = (0, 0, 0),
) -> None:
    """Draw one line into ``image`` (H, W, 3) uint8 in place, with a dark rim by default.

    Args:
        image: the picture.
        text: ASCII; OpenCV's font has little else.
        left: column of the first letter.
        baseline: row the letters stand on.
        height: of capital letters, pixels.
        color: of the letters.
        outline: of the rim; None for no rim.
    """
    letters, rim, base = _masks(text, height)
    top = baseline - base
    y0, x0 = max(0, top), max(0, left)
    y1 = min(image.shape[0], top + letters.shape[0])
    x1 = min(image.shape[1], left + letters.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    cut = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left), None)
    patch = image[y0:y1, x0:x1].astype(np.float32)
    if outline is not None:
        patch += (np.array(outline, np.float32) - patch) * rim[cut]
    patch += (np.array(color, np.float32) - patch) * letters[cut]
    image[y0:y1, x0:x1] = patch + np.float32(0.5)
