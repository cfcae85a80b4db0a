"""Colours that are easy to tell apart."""

import colorsys

import numpy as np

__all__ = ["colormap", "random_color", "random_colors"]

_NUM_COLORS = 74
_GOLDEN_RATIO = 0.618033988749895
# (saturation, value): turns of the hue wheel take another one each, so that near hues differ.
_TONES = ((0.85, 0.95), (0.55, 1.0), (0.95, 0.65), (0.45, 0.75))


def _make_colors() -> np.ndarray:
    """(74, 3) float32 RGB in 0..1: hues in golden-ratio steps, which never come close soon."""
    colors = [
        colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, *_TONES[index % len(_TONES)])
        for index in range(_NUM_COLORS)
    ]
    return np.array(colors, dtype=np.float32)


_COLORS = _make_colors()


def colormap(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """All colours.

    Args:
        rgb: RGB order instead of BGR.
        maximum: 255 or 1.

    Returns:
        (74, 3) float32 in 0..maximum.
    """
    assert maximum in (255, 1), maximum
    colors = _COLORS * maximum
    return colors if rgb else colors[:, ::-1]


def random_color(rgb: bool = False, maximum: int = 255) -> np.ndarray:
    """One colour, drawn with ``np.random``.

    Args:
        rgb: RGB order instead of BGR.
        maximum: 255 or 1.

    Returns:
        (3,) float32 in 0..maximum.
    """
    color = _COLORS[np.random.randint(0, len(_COLORS))] * maximum
    return color if rgb else color[::-1]


def random_colors(N: int, rgb: bool = False, maximum: int = 255) -> list[np.ndarray]:
    """N different colours, drawn with ``np.random``; at most 74. See `random_color`."""
    chosen = np.random.permutation(len(_COLORS))[:N]
    assert len(chosen) == N, f"there are {len(_COLORS)} colours, {N} are asked for"
    colors = [_COLORS[index] * maximum for index in chosen]
    return colors if rgb else [color[::-1] for color in colors]
