"""Depth in colours with a scale in metres.

Near is bright and far is dark, in a map whose steps look equally large (magma), over the
logarithm of depth: from 2 m to 4 m is as far as from 20 m to 40 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dvps_d2.visualize.text import put_text, text_size

_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 250)
# The ends of the map are cut: near black would look like "no depth".
_DARKEST, _BRIGHTEST = 45, 255
HATCH = ((34, 34, 38), (58, 58, 64))


@dataclass(frozen=True)
class DepthScale:
    """Which metres get which colour; keep one for a whole video.

    Attributes:
        near: metres of the brightest colour; nearer is shown the same.
        far: metres of the darkest colour; farther is shown the same.
    """

    near: float = 3.0
    far: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.near < self.far < np.inf:
            raise ValueError(
                f"metres of a depth scale must be 0 < near < far, got near={self.near}, "
                f"far={self.far}"
            )

    def place(self, metres: np.ndarray | float) -> np.ndarray:
        """Metres above 0 -> 0 (near) .. 1 (far)."""
        inside = np.clip(np.asarray(metres, np.float32), self.near, self.far)
        return np.log(inside / np.float32(self.near)) / np.float32(np.log(self.far / self.near))

    def ticks(self) -> list[float]:
        """Round metres inside the scale, ascending, its two ends included."""
        inside = [t for t in _TICKS if self.near * 1.25 < t < self.far / 1.25]
        return [self.near, *inside, self.far]


def draw_depth(metres: np.ndarray, scale: DepthScale | None = None) -> np.ndarray:
    """Depth as colours.

    Args:
        metres: (H, W) float; 0, negative or not finite means "no depth".
        scale: metres to colours; `DepthScale()` by default.

    Returns:
        (H, W, 3) uint8, RGB; pixels without depth are hatched dark grey.
    """
    if metres.ndim != 2:
        raise ValueError(f"metres must be (H, W), got {metres.shape}")
    scale = scale or DepthScale()
    metres = np.asarray(metres, np.float32)
    unknown = ~((metres > 0) & (metres < np.inf))  # NaN among them
    drawn = _colormap(scale.place(metres))
    if unknown.any():
        cv2.copyTo(_hatching(metres.shape), unknown.astype(np.uint8), drawn)
    return drawn


def _colormap(place: np.ndarray) -> np.ndarray:
    """0 (near) .. 1 (far) -> RGB."""
    # NaN, where the depth is unknown, becomes any colour here and is hatched over.
    level = _BRIGHTEST - np.nan_to_num(place) * np.float32(_BRIGHTEST - _DARKEST)
    bgr = cv2.applyColorMap(level.astype(np.uint8), cv2.COLORMAP_MAGMA)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


@lru_cache(maxsize=4)
def _hatching(shape: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) diagonal stripes in two dark greys."""
    height, width = shape
    period = max(6, height // 40)
    ramp = np.arange(width)[None] + np.arange(height)[:, None]
    stripe = (ramp % period < period // 3).astype(np.uint8)
    return np.array(HATCH, np.uint8)[stripe]


def draw_scale_bar(width: int, scale: DepthScale | None = None, *, height: int = 34) -> np.ndarray:
    """A horizontal bar of the depth colours with ticks in metres.

    Args:
        width: pixels.
        scale: the one the depth was drawn with.
        height: pixels, text included.

    Returns:
        (height, width, 3) uint8, RGB, on black.
    """
    scale = scale or DepthScale()
    bar = np.zeros((height, width, 3), np.uint8)
    letters = max(7, round(height * 0.28))
    thick = height - letters - 9
    bar[:thick] = _colormap(np.linspace(0, 1, width, dtype=np.float32)[None])
    free = 0  # texts must start right of this
    for metres in scale.ticks():
        x = int(scale.place(metres) * (width - 1))
        bar[thick : thick + 4, max(0, x - 1) : x + 1] = 255
        text = f"{metres:g} m"
        text_width, _ = text_size(text, letters)
        left = int(np.clip(x - text_width / 2, 0, width - text_width - 1))
        if left < free or (metres != scale.far and left + text_width > width - 4 * letters):
            continue
        put_text(bar, text, left, height - 2, letters, outline=None)
        free = left + text_width + letters
    return bar
