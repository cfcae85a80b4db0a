"""The augmentations. Random numbers come from ``np.random``, in the order the docstrings tell."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    PadTransform,
    Transform,
    TransformList,
    VFlipTransform,
)
from PIL import Image

from detectron2.structures import Boxes, pairwise_iou

from .augmentation import Augmentation, _as_augmentation
from .transform import ExtentTransform, ResizeTransform, RotationTransform

__all__ = [
    "FixedSizeCrop",
    "MinIoURandomCrop",
    "RandomApply",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomCrop_CategoryAreaConstraint",
    "RandomExtent",
    "RandomFlip",
    "RandomLighting",
    "RandomResize",
    "RandomRotation",
    "RandomSaturation",
    "Resize",
    "ResizeScale",
    "ResizeShortestEdge",
]


class RandomApply(Augmentation):
    """Apply another augmentation with some probability."""

    def __init__(self, tfm_or_aug: Augmentation | Transform, prob: float = 0.5) -> None:
        """
        Args:
            tfm_or_aug: what to apply.
            prob: how often, 0..1.
        """
        super().__init__()
        self.aug = _as_augmentation(tfm_or_aug)
        assert 0.0 <= prob <= 1.0, f"prob must be in [0, 1], got {prob}"
        self.prob = prob

    def get_transform(self, *args: Any) -> Transform:
        return self.aug.get_transform(*args) if self._rand_range() < self.prob else NoOpTransform()

    def __call__(self, aug_input: Any) -> Transform:
        return self.aug(aug_input) if self._rand_range() < self.prob else NoOpTransform()


class RandomFlip(Augmentation):
    """Flip with some probability, in one of the two directions."""

    def __init__(
        self, prob: float = 0.5, *, horizontal: bool = True, vertical: bool = False
    ) -> None:
        """
        Args:
            prob: how often, 0..1.
            horizontal: swap left and right.
            vertical: swap top and bottom.

        Raises:
            ValueError: both directions, or none.
        """
        super().__init__()
        if horizontal and vertical:
            raise ValueError("horizontal and vertical exclude each other: use two RandomFlip")
        if not horizontal and not vertical:
            raise ValueError("one of horizontal and vertical must be True")
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        return HFlipTransform(width) if self.horizontal else VFlipTransform(height)


class Resize(Augmentation):
    """Resize to a fixed size."""

    def __init__(self, shape: int | Sequence[int], interp: int = Image.BILINEAR) -> None:
        """
        Args:
            shape: (h, w), or an int for both.
            interp: a PIL filter.
        """
        shape = (shape, shape) if isinstance(shape, int) else tuple(shape)
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        return ResizeTransform(*image.shape[:2], *self.shape, self.interp)


class ResizeShortestEdge(Augmentation):
    """Resize so that the short side has a chosen length and the long side does not pass a limit."""

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int = sys.maxsize,
        sample_style: str = "range",
        interp: int = Image.BILINEAR,
    ) -> None:
        """
        Args:
            short_edge_length: pixels: (lowest, highest) for "range", any number of values for
                "choice", or an int. 0 means no resizing.
            max_size: pixels; wins over the short side.
            sample_style: "range" or "choice".
            interp: a PIL filter.
        """
        super().__init__()
        assert sample_style in ("range", "choice"), sample_style
        self.is_range = sample_style == "range"
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length, short_edge_length)
        if self.is_range:
            assert len(short_edge_length) == 2, (
                f"sample_style='range' needs (lowest, highest), got {short_edge_length}"
            )
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        if self.is_range:
            lowest, highest = self.short_edge_length
            size = np.random.randint(lowest, highest + 1)
        else:
            size = np.random.choice(self.short_edge_length)
        if size == 0:
            return NoOpTransform()
        new_h, new_w = self.get_output_shape(height, width, size, self.max_size)
        return ResizeTransform(height, width, new_h, new_w, self.interp)

    @staticmethod
    def get_output_shape(
        oldh: int, oldw: int, short_edge_length: int, max_size: int
    ) -> tuple[int, int]:
        """(h, w) after resizing.

        The short side is exact at first. When the long side passes the limit, both shrink, so the
        short side falls below its wish. Both are rounded to the nearest integer at the end.
        """
        size = short_edge_length * 1.0
        scale = size / min(oldh, oldw)
        newh, neww = (size, scale * oldw) if oldh < oldw else (scale * oldh, size)
        if max(newh, neww) > max_size:
            shrink = max_size * 1.0 / max(newh, neww)
            newh, neww = newh * shrink, neww * shrink
        return int(newh + 0.5), int(neww + 0.5)


class ResizeScale(Augmentation):
    """Resize to the largest size inside a randomly scaled target that keeps the aspect ratio."""

    def __init__(
        self,
        min_scale: float,
        max_scale: float,
        target_height: int,
        target_width: int,
        interp: int = Image.BILINEAR,
    ) -> None:
        """
        Args:
            min_scale: lowest factor on the target.
            max_scale: highest factor.
            target_height: pixels.
            target_width: pixels.
            interp: a PIL filter.
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        return self._get_resize(image, np.random.uniform(self.min_scale, self.max_scale))

    def _get_resize(self, image: np.ndarray, scale: float) -> Transform:
        old = np.array(image.shape[:2])
        target = np.array([self.target_height, self.target_width]) * scale
        new_h, new_w = np.round(old * np.min(target / old)).astype(int)
        return ResizeTransform(*image.shape[:2], int(new_h), int(new_w), self.interp)


class RandomResize(Augmentation):
    """Resize to one of several sizes."""

    def __init__(self, shape_list: Sequence[tuple[int, int]], interp: int = Image.BILINEAR) -> None:
        """
        Args:
            shape_list: (h, w) each.
            interp: a PIL filter.
        """
        self.shape_list = shape_list
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        new_h, new_w = self.shape_list[np.random.choice(len(self.shape_list))]
        return ResizeTransform(*image.shape[:2], new_h, new_w, self.interp)


class RandomRotation(Augmentation):
    """Rotate by a random angle about the middle, or about a random point."""

    def __init__(
        self,
        angle: float | Sequence[float],
        expand: bool = True,
        center: Sequence | None = None,
        sample_style: str = "range",
        interp: int | None = None,
    ) -> None:
        """
        Args:
            angle: degrees, counter-clockwise: (lowest, highest) for "range", any number of values
                for "choice", or a number.
            expand: enlarge the image so that everything stays inside.
            center: fractions of the image: [(x, y), (x, y)] as lowest and highest, or one point;
                None is the middle. Only for "range".
            sample_style: "range" or "choice".
            interp: an OpenCV flag.
        """
        super().__init__()
        assert sample_style in ("range", "choice"), sample_style
        self.is_range = sample_style == "range"
        if isinstance(angle, (float, int)):
            angle = (angle, angle)
        if center is not None and isinstance(center[0], (float, int)):
            center = (center, center)
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        height, width = image.shape[:2]
        center = None
        if self.is_range:
            angle = np.random.uniform(self.angle[0], self.angle[1])
            if self.center is not None:
                low, high = self.center
                center = [np.random.uniform(low[axis], high[axis]) for axis in (0, 1)]
        else:
            angle = np.random.choice(self.angle)
            if self.center is not None:
                raise ValueError("RandomRotation takes a center only with sample_style='range'")
        if center is not None:
            center = (width * center[0], height * center[1])
        if angle % 360 == 0:
            return NoOpTransform()
        return RotationTransform(
            height, width, angle, expand=self.expand, center=center, interp=self.interp
        )


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


class _RandomBlend(Augmentation):
    """Blend an image with something made from it, with a random weight (1 = unchanged)."""

    def __init__(self, intensity_min: float, intensity_max: float) -> None:
        """
        Args:
            intensity_min: lowest weight of the image.
            intensity_max: highest weight; above 1 exaggerates.
        """
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        weight = np.random.uniform(self.intensity_min, self.intensity_max)
        return BlendTransform(
            src_image=self._other(image), src_weight=1 - weight, dst_weight=weight
        )

    def _other(self, image: np.ndarray) -> np.ndarray | float:
        raise NotImplementedError


class RandomContrast(_RandomBlend):
    """Blend with the mean of all pixels and channels."""

    def _other(self, image: np.ndarray) -> float:
        return image.mean()


class RandomBrightness(_RandomBlend):
    """Blend with black."""

    def _other(self, image: np.ndarray) -> float:
        return 0


class RandomSaturation(_RandomBlend):
    """Blend an RGB image with its grey version."""

    def _other(self, image: np.ndarray) -> np.ndarray:
        assert image.shape[-1] == 3, f"RandomSaturation needs (H, W, 3), got {image.shape}"
        return image.dot([0.299, 0.587, 0.114])[:, :, None]


class RandomLighting(Augmentation):
    """Add a random colour along the principal axes of ImageNet's RGB colours.

    Source: Krizhevsky et al., 2012, section 4.1; the axes are those commonly used since.
    """

    def __init__(self, scale: float) -> None:
        """
        Args:
            scale: standard deviation of the normal weights on the three axes.
        """
        super().__init__()
        self._init(locals())
        self.eigen_vecs = np.array(
            [
                [-0.5675, 0.7192, 0.4009],
                [-0.5808, -0.0045, -0.8140],
                [-0.5836, -0.6948, 0.4203],
            ]
        )
        self.eigen_vals = np.array([0.2175, 0.0188, 0.0045])

    def get_transform(self, image: np.ndarray) -> Transform:
        assert image.shape[-1] == 3, f"RandomLighting needs (H, W, 3), got {image.shape}"
        weights = np.random.normal(scale=self.scale, size=3)
        colour = self.eigen_vecs.dot(weights * self.eigen_vals)
        return BlendTransform(src_image=colour, src_weight=1.0, dst_weight=1.0)


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
