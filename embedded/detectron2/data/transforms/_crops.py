"""Augmentations that cut out a part of the image. Random numbers come from ``np.random``."""

from collections.abc import Sequence

import numpy as np
from fvcore.transforms.transform import (
    CropTransform,
    NoOpTransform,
    PadTransform,
    Transform,
    TransformList,
)

from detectron2.structures import Boxes, pairwise_iou

from .augmentation import Augmentation
from .transform import ExtentTransform

__all__ = [
    "FixedSizeCrop",
    "MinIoURandomCrop",
    "RandomCrop",
    "RandomCrop_CategoryAreaConstraint",
    "RandomExtent",
]


class FixedSizeCrop(Augmentation):
    """Crop to a size where the image is larger, pad to it where it is smaller.

    One random number places the crop on both axes. Padding is on the right and at the bottom.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        pad: bool = True,
        pad_value: float = 128.0,
        seg_pad_value: int = 255,
    ) -> None:
        """
        Args:
            crop_size: (h, w).
            pad: whether to pad.
            pad_value: in images.
            seg_pad_value: in label maps.
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> TransformList:
        transforms = [self._get_crop(image)]
        if self.pad:
            transforms.append(self._get_pad(image))
        return TransformList(transforms)

    def _get_crop(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_h, crop_w = self.crop_size
        most = np.maximum([height - crop_h, width - crop_w], 0)
        y0, x0 = np.round(most * np.random.uniform(0.0, 1.0)).astype(int)
        return CropTransform(int(x0), int(y0), crop_w, crop_h, width, height)

    def _get_pad(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_h, crop_w = self.crop_size
        return PadTransform(
            0,
            0,
            max(crop_w - width, 0),
            max(crop_h - height, 0),
            min(width, crop_w),
            min(height, crop_h),
            self.pad_value,
            self.seg_pad_value,
        )


class RandomCrop(Augmentation):
    """Crop a rectangle: first its size is drawn, then its top, then its left."""

    def __init__(self, crop_type: str, crop_size: Sequence[float]) -> None:
        """
        Args:
            crop_type: "relative": the fractions (h, w) of the image. "relative_range": fractions
                between them and 1. "absolute": (h, w) pixels, or the image where it is smaller.
                "absolute_range": between the first and the second number of pixels on both axes.
            crop_size: two numbers, see above.
        """
        super().__init__()
        types = ("relative_range", "relative", "absolute", "absolute_range")
        assert crop_type in types, f"crop_type must be one of {types}, got {crop_type!r}"
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        crop_h, crop_w = self.get_crop_size((height, width))
        assert height >= crop_h and width >= crop_w, (
            f"Crop of {crop_h} x {crop_w} from an image of {height} x {width} ({self})"
        )
        y0 = np.random.randint(height - crop_h + 1)
        x0 = np.random.randint(width - crop_w + 1)
        return CropTransform(x0, y0, crop_w, crop_h)

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Draw the (h, w) of a crop for an image of (h, w)."""
        height, width = image_size
        first, second = self.crop_size
        if self.crop_type == "relative":
            return int(height * first + 0.5), int(width * second + 0.5)
        if self.crop_type == "relative_range":
            lowest = np.asarray(self.crop_size, dtype=np.float32)
            share_h, share_w = lowest + np.random.rand(2) * (1 - lowest)
            return int(height * share_h + 0.5), int(width * share_w + 0.5)
        if self.crop_type == "absolute":
            return min(first, height), min(second, width)
        assert first <= second, f"absolute_range needs (lowest, highest), got {self.crop_size}"
        crop_h = np.random.randint(min(height, first), min(height, second) + 1)
        crop_w = np.random.randint(min(width, first), min(width, second) + 1)
        return crop_h, crop_w


class RandomCrop_CategoryAreaConstraint(Augmentation):
    """`RandomCrop` that tries not to be filled by one category."""

    _TRIES = 10

    def __init__(
        self,
        crop_type: str,
        crop_size: Sequence[float],
        single_category_max_area: float = 1.0,
        ignored_category: int | None = None,
    ) -> None:
        """
        Args:
            crop_type: see `RandomCrop`.
            crop_size: see `RandomCrop`.
            single_category_max_area: highest share of the crop for one category; 1 = any crop.
            ignored_category: label that does not count.
        """
        self.crop_aug = RandomCrop(crop_type, crop_size)
        self._init(locals())

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> Transform:
        if self.single_category_max_area >= 1.0:
            return self.crop_aug.get_transform(image)
        for _ in range(self._TRIES):
            crop = self.crop_aug.get_transform(sem_seg)
            labels, areas = np.unique(crop.apply_image(sem_seg), return_counts=True)
            if self.ignored_category is not None:
                areas = areas[labels != self.ignored_category]
            if len(areas) > 1 and np.max(areas) < np.sum(areas) * self.single_category_max_area:
                break
        return crop


class RandomExtent(Augmentation):
    """Cut out a rectangle of another scale and place, which may reach outside the image."""

    def __init__(self, scale_range: tuple[float, float], shift_range: tuple[float, float]) -> None:
        """
        Args:
            scale_range: lowest and highest side of the rectangle, as a factor on the image's.
            shift_range: (x, y) fractions of the image; its centre moves by up to half of them.
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        rect = np.array([-0.5 * width, -0.5 * height, 0.5 * width, 0.5 * height])
        rect *= np.random.uniform(self.scale_range[0], self.scale_range[1])
        rect[0::2] += self.shift_range[0] * width * (np.random.rand() - 0.5) + 0.5 * width
        rect[1::2] += self.shift_range[1] * height * (np.random.rand() - 0.5) + 0.5 * height
        x0, y0, x1, y1 = rect
        return ExtentTransform(src_rect=tuple(rect), output_size=(int(y1 - y0), int(x1 - x0)))


class MinIoURandomCrop(Augmentation):
    """Crop so that every box overlaps the crop by a random minimum, as in SSD.

    Source: Liu et al., 2016, section 2.2. In a trial: the minimum is drawn first ("1" = no crop),
    then width, height, left and top.
    """

    _LARGEST_ASPECT = 2.0

    def __init__(
        self,
        min_ious: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        min_crop_size: float = 0.3,
        mode_trials: int = 1000,
        crop_trials: int = 50,
    ) -> None:
        """
        Args:
            min_ious: minima to draw from, beside 0 and 1.
            min_crop_size: shortest side of the crop as a fraction of the image's.
            mode_trials: how often to draw a minimum.
            crop_trials: how often to draw a crop for each.
        """
        self.min_ious = min_ious
        self.sample_mode = (1, *min_ious, 0)
        self.min_crop_size = min_crop_size
        self.mode_trials = mode_trials
        self.crop_trials = crop_trials

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> Transform:
        """``boxes``: (N, 4) XYXY; None means no crop."""
        if boxes is None:
            return NoOpTransform()
        for _ in range(self.mode_trials):
            min_iou = np.random.choice(self.sample_mode)
            if min_iou == 1:
                return NoOpTransform()
            for _ in range(self.crop_trials):
                crop = self._draw_crop(image.shape[:2])
                if crop is not None and self._suits(crop, boxes, min_iou):
                    x0, y0, x1, y1 = crop
                    return CropTransform(x0, y0, x1 - x0, y1 - y0)
        return NoOpTransform()

    def _draw_crop(self, image_size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """x0, y0, x1, y1, or None when it is too narrow, too flat or empty."""
        height, width = image_size
        crop_w = np.random.uniform(self.min_crop_size * width, width)
        crop_h = np.random.uniform(self.min_crop_size * height, height)
        if not 1 / self._LARGEST_ASPECT <= crop_h / crop_w <= self._LARGEST_ASPECT:
            return None
        left = np.random.uniform(width - crop_w)
        top = np.random.uniform(height - crop_h)
        x0, y0, x1, y1 = int(left), int(top), int(left + crop_w), int(top + crop_h)
        return None if x0 == x1 or y0 == y1 else (x0, y0, x1, y1)

    @staticmethod
    def _suits(crop: tuple[int, int, int, int], boxes: np.ndarray, min_iou: float) -> bool:
        """Whether all boxes overlap enough and the centre of one is inside."""
        overlaps = pairwise_iou(Boxes([crop]), Boxes(boxes)).flatten()
        if len(overlaps) == 0:
            return True
        if overlaps.min() < min_iou:
            return False
        x0, y0, x1, y1 = crop
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = (centers > (x0, y0)) & (centers < (x1, y1))
        return bool(inside.all(axis=1).any())
