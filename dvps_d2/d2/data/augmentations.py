"""Detectron2's augmentations as ``INPUT.*`` asks for them, and how they are replayed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from detectron2.data import transforms as T


def training_augmentations(cfg: Any) -> list[Any]:
    """Resize, crop, flip and colour, as ``INPUT.*`` says."""
    augmentations: list[Any] = [
        T.ResizeShortestEdge(
            cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
        )
    ]
    if cfg.INPUT.CROP.ENABLED:
        augmentations.append(T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    if cfg.INPUT.RANDOM_FLIP != "none":
        vertical = cfg.INPUT.RANDOM_FLIP == "vertical"
        augmentations.append(T.RandomFlip(horizontal=not vertical, vertical=vertical))
    if cfg.INPUT.COLOR_AUG_SSD:
        from detectron2.projects.point_rend import ColorAugSSDTransform

        augmentations.append(ColorAugSSDTransform(img_format=cfg.INPUT.FORMAT))
    if cfg.INPUT.COLOR_JITTER > 0:
        low, high = 1 - cfg.INPUT.COLOR_JITTER, 1 + cfg.INPUT.COLOR_JITTER
        augmentations += [
            T.RandomBrightness(low, high),
            T.RandomContrast(low, high),
            T.RandomSaturation(low, high),
        ]
    return augmentations


def test_augmentations(cfg: Any) -> list[Any]:
    """Resize the shortest edge to INPUT.MIN_SIZE_TEST (0: leave frames as they are)."""
    return [T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)]


def magnification(transforms: Any) -> float:
    """How much larger a transform list makes objects: mean of the two axes' factors."""
    scale = 1.0
    for transform in transforms.transforms:
        if isinstance(transform, T.ResizeTransform):
            scale *= (transform.new_h / transform.h + transform.new_w / transform.w) / 2
    return scale


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that Detectron2's augmentations use, and put them back afterwards."""
    # Detectron2's augmentations draw from NumPy's global generator.
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def apply_to_numbers(transforms: Any, values: np.ndarray) -> np.ndarray:
    """Nearest-neighbour transform of an (H, W) map of numbers up to 65535.

    Detectron2 resizes 8-bit label maps alone in the way that it resizes images; wider integers
    are refused and floats are sampled at other places. So wide numbers travel as two bytes.

    Returns:
        uint8 for 8-bit maps, else uint16.
    """
    if values.dtype == np.uint8:
        return transforms.apply_segmentation(values)
    low = transforms.apply_segmentation((values & 0xFF).astype(np.uint8)).astype(np.uint16)
    high = transforms.apply_segmentation((values >> 8).astype(np.uint8)).astype(np.uint16)
    return (high << 8) | low
