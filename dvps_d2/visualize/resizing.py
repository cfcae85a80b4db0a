"""Bringing frames to another size."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np

LARGEST_SHORT_SIDE = 1080  # of "auto": larger frames cost time and show no more on most screens
ALLOWED_SIDES = (16, 8192)  # pixels that may be asked for


@dataclass(frozen=True)
class Resizing:
    """How frames change their size.

    Attributes:
        short_side: wanted length of the shorter side in pixels; None leaves frames as they are.
        size: wanted (height, width), whatever the shape was; None keeps the shape.
        only_shrink: never enlarge.
    """

    short_side: int | None = None
    size: tuple[int, int] | None = None
    only_shrink: bool = False

    @classmethod
    def parse(cls, text: str) -> Resizing:
        """From "none", "auto" (at most 1080), "720" (short side) or "1280x720" (width, height).

        Raises:
            ValueError: it is none of these.
        """
        if text == "none":
            return cls()
        if text == "auto":
            return cls(LARGEST_SHORT_SIDE, only_shrink=True)
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        least, most = ALLOWED_SIDES
        if all(least <= number <= most for number in numbers):
            if re.fullmatch(r"\d+", text):
                return cls(numbers[0])
            if re.fullmatch(r"\d+[x×]\d+", text):
                return cls(size=(numbers[1], numbers[0]))
        raise ValueError(
            f"resize must be none, auto, a short side such as 720 or WIDTHxHEIGHT such as "
            f"1280x720, each in {least}..{most}, got {text!r}"
        )

    def target(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a frame after it."""
        if self.size is not None:
            return self.size
        short = min(height, width)
        if self.short_side is None or (self.only_shrink and short <= self.short_side):
            return height, width
        scale = self.short_side / short
        return round(height * scale), round(width * scale)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 in the wanted size."""
        height, width = self.target(*image.shape[:2])
        if (height, width) == image.shape[:2]:
            return image
        how = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def nearest(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) numbers in another (height, width), without mixing them."""
    if numbers.shape == size:
        return numbers
    return np.asarray(cv2.resize(numbers, size[::-1], interpolation=cv2.INTER_NEAREST))
