"""Colours that name: one per stuff class, and one per track near the colour of its class.

A colour depends on nothing but class, track id and class colour, so that the same object looks
the same in every frame, in every run and on every machine.

Source: Ottosson, "A perceptual color space for image processing", 2020 (OKLab).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

VOID = 255  # class id without a label
VOID_COLOR = (0, 0, 0)

# Track id times these steps, modulo 1, is a place in the cube (lightness, hue, chroma). Found by
# search: any eight neighbouring ids stay visibly apart in every Cityscapes thing class.
_STEPS = np.array([0.7449, 0.6386, 0.5051])

LIGHTNESS = (0.46, 0.80)  # where tracks live: readable over dark and over bright pixels
LIGHTNESS_SPREAD = 0.30
HUE_SPREAD = np.deg2rad(54)
CHROMA_RANGE = (0.75, 1.35)
LEAST_CHROMA = 0.10  # a grey thing class still gives tracks that can be told apart

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def rgb_to_oklab(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) sRGB in 0..255 -> (..., 3) OKLab: lightness 0..1, green-red, blue-yellow."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T


def _oklab_to_linear(lab: np.ndarray) -> np.ndarray:
    """(..., 3) OKLab -> (..., 3) linear RGB, outside 0..1 where a screen cannot show it."""
    lms = (lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3
    return lms @ np.linalg.inv(_RGB_TO_LMS).T


def oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """(..., 3) OKLab -> (..., 3) uint8 sRGB; colours no screen shows lose chroma, not hue."""
    lab = np.asarray(lab, np.float64)
    kept = np.ones(lab.shape[:-1])
    for _ in range(20):
        linear = _oklab_to_linear(lab * np.stack([np.ones_like(kept), kept, kept], -1))
        outside = ((linear < -1e-4) | (linear > 1 + 1e-4)).any(-1)
        kept = np.where(outside, kept * 0.93, kept)
    linear = np.clip(linear, 0, 1)
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(value * 255).astype(np.uint8)


class Palette:
    """Colours of one dataset's classes and of the tracks in them.

    Args:
        colors: (r, g, b), 0..255, per class id.
        thing_ids: class ids whose tracks get a colour each.
    """

    def __init__(self, colors: Sequence[Sequence[int]], thing_ids: Iterable[int]) -> None:
        self.class_colors = np.asarray(colors, np.uint8).reshape(-1, 3)
        self.thing_ids = frozenset(thing_ids)
        unknown = [i for i in self.thing_ids if not 0 <= i < len(self.class_colors)]
        if unknown:
            raise ValueError(
                f"thing_ids must be below the {len(self.class_colors)} classes, got {unknown}"
            )
        self._known: dict[tuple[int, int], tuple[int, int, int]] = {}

    def color(self, class_id: int, track_id: int = 0) -> tuple[int, int, int]:
        """(r, g, b) of a segment.

        Args:
            class_id: 0..K-1, or 255 for void.
            track_id: above 0 for a track of a thing class; else the class colour is returned.
        """
        if class_id == VOID:
            return VOID_COLOR
        if not 0 <= class_id < len(self.class_colors):
            raise ValueError(
                f"class_id must be in 0..{len(self.class_colors) - 1} or 255, got {class_id}"
            )
        if track_id == 0 or class_id not in self.thing_ids:
            return _triple(self.class_colors[class_id])
        key = (class_id, track_id)
        if key not in self._known:
            self._known[key] = _track_color(self.class_colors[class_id], track_id)
        return self._known[key]

    def colors(self, class_ids: Iterable[int], track_ids: Iterable[int]) -> np.ndarray:
        """(N, 3) uint8 colours of N segments."""
        pairs = zip(class_ids, track_ids, strict=True)
        rows = [self.color(int(class_id), int(track_id)) for class_id, track_id in pairs]
        return np.array(rows, np.uint8).reshape(-1, 3)


def _track_color(class_color: np.ndarray, track_id: int) -> tuple[int, int, int]:
    """A colour near the class colour, chosen by the track id alone."""
    lightness, a, b = rgb_to_oklab(class_color)
    place = (0.5 + _STEPS * track_id) % 1.0  # (3,) in 0..1
    low, high = LIGHTNESS
    half = LIGHTNESS_SPREAD / 2
    middle = np.clip(lightness, low + half / 2, high - half / 2)
    lightness = np.clip(middle + (place[0] - 0.5) * LIGHTNESS_SPREAD, low, high)
    hue = np.arctan2(b, a) + (place[1] - 0.5) * HUE_SPREAD
    chroma = max(np.hypot(a, b), LEAST_CHROMA)
    chroma *= CHROMA_RANGE[0] + place[2] * (CHROMA_RANGE[1] - CHROMA_RANGE[0])
    lab = np.array([lightness, chroma * np.cos(hue), chroma * np.sin(hue)])
    return _triple(oklab_to_rgb(lab))


def _triple(rgb: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = rgb.tolist()
    return red, green, blue
