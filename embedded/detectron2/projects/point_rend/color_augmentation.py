"""Colour jitter as in SSD."""

from __future__ import annotations

import random

import cv2
import numpy as np
from fvcore.transforms.transform import Transform


class ColorAugSSDTransform(Transform):
    """Brightness, contrast, saturation and hue, each changed in half of the cases.

    It draws from Python's ``random`` in every ``apply_image``: two calls give two jitters,
    unless the generator's state is restored between them. Coordinates and labels stay.

    Source: Liu et al., SSD, 2016, section 2.2 (and its reference code).
    """

    def __init__(
        self,
        img_format: str,
        brightness_delta: int = 32,
        contrast_low: float = 0.5,
        contrast_high: float = 1.5,
        saturation_low: float = 0.5,
        saturation_high: float = 1.5,
        hue_delta: int = 18,
    ) -> None:
        """Set the ranges.

        Args:
            img_format: "BGR" or "RGB".
            brightness_delta: largest value added, in 0..255.
            contrast_low: smallest factor.
            contrast_high: largest factor.
            saturation_low: smallest factor.
            saturation_high: largest factor.
            hue_delta: largest rotation, in OpenCV's half degrees.
        """
        super().__init__()
        assert img_format in ("BGR", "RGB"), f"img_format must be BGR or RGB, got {img_format!r}"
        self.is_rgb = img_format == "RGB"
        self.brightness_delta = brightness_delta
        self.contrast_low = contrast_low
        self.contrast_high = contrast_high
        self.saturation_low = saturation_low
        self.saturation_high = saturation_high
        self.hue_delta = hue_delta

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Coordinates stay."""
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Labels stay."""
        return segmentation

    def apply_image(self, img: np.ndarray, interp: str | None = None) -> np.ndarray:
        """Jitter (H, W, 3) uint8."""
        if self.is_rgb:
            img = img[:, :, [2, 1, 0]]
        img = self.brightness(img)
        # Contrast before or after the two that work on saturation and hue.
        if random.randrange(2):
            img = self.hue(self.saturation(self.contrast(img)))
        else:
            img = self.contrast(self.hue(self.saturation(img)))
        return img[:, :, [2, 1, 0]] if self.is_rgb else img

    @staticmethod
    def convert(img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """``img * alpha + beta``, cut to 0..255, as uint8."""
        return np.clip(img.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)

    def brightness(self, img: np.ndarray) -> np.ndarray:
        """Add a number, or not."""
        if random.randrange(2):
            delta = random.uniform(-self.brightness_delta, self.brightness_delta)
            return self.convert(img, beta=delta)
        return img

    def contrast(self, img: np.ndarray) -> np.ndarray:
        """Multiply by a number, or not."""
        if random.randrange(2):
            return self.convert(img, alpha=random.uniform(self.contrast_low, self.contrast_high))
        return img

    def saturation(self, img: np.ndarray) -> np.ndarray:
        """Multiply the saturation by a number, or not."""
        if random.randrange(2):
            hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            factor = random.uniform(self.saturation_low, self.saturation_high)
            hsv[:, :, 1] = self.convert(hsv[:, :, 1], alpha=factor)
            return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        return img

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue, or not."""
        if random.randrange(2):
            hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            shift = random.randint(-self.hue_delta, self.hue_delta)
            hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + shift) % 180
            return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        return img
