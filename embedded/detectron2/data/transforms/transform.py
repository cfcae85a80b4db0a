"""Transforms that fvcore does not have: resizing, cutting out a rectangle, rotation, colours.

All follow fvcore's protocol: ``apply_image``, ``apply_coords`` ((N, 2) x, y; may change its
argument), ``apply_segmentation``, ``apply_box``, ``apply_polygons``, ``inverse``. Coordinates are
pixel edges: x is in 0..W.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from fvcore.transforms.transform import CropTransform, NoOpTransform, Transform, TransformList
from PIL import Image

try:
    import cv2
except ImportError:  # only rotations need it
    cv2 = None

__all__ = [
    "ColorTransform",
    "ExtentTransform",
    "PILColorTransform",
    "ResizeTransform",
    "RotationTransform",
]

_TORCH_MODES = {
    Image.NEAREST: "nearest",
    Image.BILINEAR: "bilinear",
    Image.BICUBIC: "bicubic",
}


class ExtentTransform(Transform):
    """Cut out a rectangle, which may reach outside the image, and scale it."""

    def __init__(
        self,
        src_rect: tuple[float, float, float, float],
        output_size: tuple[int, int],
        interp: int = Image.BILINEAR,
        fill: float = 0,
    ) -> None:
        """
        Args:
            src_rect: x0, y0, x1, y1 in the image.
            output_size: (h, w) of the result.
            interp: a PIL filter.
            fill: passed on to PIL, which has no use for it here: outside the image is 0.
        """
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """(H, W, 3) or (H, W) uint8 -> the part of it."""
        height, width = self.output_size
        image = Image.fromarray(img).transform(
            size=(width, height),
            method=Image.Transform.EXTENT,
            data=tuple(self.src_rect),
            resample=self.interp if interp is None else interp,
            fill=self.fill,
        )
        return np.asarray(image)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Move the origin and scale."""
        height, width = self.output_size
        x0, y0, x1, y1 = self.src_rect
        coords = coords.astype("float32")
        coords[:, 0] -= x0
        coords[:, 1] -= y0
        coords[:, 0] *= width / (x1 - x0)
        coords[:, 1] *= height / (y1 - y0)
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """As the image, with the same filter.

        Trap: Detectron2 0.6 takes PIL's NEAREST, which is 0, for "no filter given", so that labels
        are blended here. Use ``interp=Image.NEAREST`` for label maps.
        """
        return self.apply_image(segmentation)


class ResizeTransform(Transform):
    """Resize an image.

    uint8 arrays go through PIL, which averages over source pixels when it shrinks. Every other
    type goes through ``torch.nn.functional.interpolate``, which does not; its nearest-neighbour
    rule also picks other pixels than PIL's, and it refuses integers.
    """

    def __init__(self, h: int, w: int, new_h: int, new_w: int, interp: int | None = None) -> None:
        """
        Args:
            h: height before.
            w: width before.
            new_h: height after.
            new_w: width after.
            interp: a PIL filter, bilinear by default.
        """
        super().__init__()
        if interp is None:
            interp = Image.BILINEAR
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """(h, w), (h, w, C) or (h, w, 1, C) -> the same with the new size and the old type."""
        assert img.shape[:2] == (self.h, self.w), f"{img.shape} is not {self.h} x {self.w}"
        assert len(img.shape) <= 4, f"at most 4 dimensions, got {img.shape}"
        interp = self.interp if interp is None else interp
        if img.dtype == np.uint8:
            return self._resize_with_pil(img, interp)
        return self._resize_with_torch(img, _TORCH_MODES[interp])

    def _resize_with_pil(self, img: np.ndarray, interp: int) -> np.ndarray:
        has_single_channel = img.ndim > 2 and img.shape[2] == 1
        image = Image.fromarray(img[:, :, 0] if has_single_channel else img)
        resized = np.asarray(image.resize((self.new_w, self.new_h), interp))
        return resized[:, :, None] if has_single_channel else resized

    def _resize_with_torch(self, img: np.ndarray, mode: str) -> np.ndarray:
        if any(stride < 0 for stride in img.strides):  # a flipped view, torch has none
            img = np.ascontiguousarray(img)
        tensor = torch.from_numpy(img)
        trailing = tensor.shape[2:]
        tensor = tensor.reshape(1, self.h, self.w, -1).permute(0, 3, 1, 2)  # (1, C, h, w)
        resized = F.interpolate(
            tensor,
            (self.new_h, self.new_w),
            mode=mode,
            align_corners=None if mode == "nearest" else False,
        )
        return resized[0].permute(1, 2, 0).reshape(self.new_h, self.new_w, *trailing).numpy()

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Multiply by new size / old size."""
        coords[:, 0] = coords[:, 0] * (self.new_w * 1.0 / self.w)
        coords[:, 1] = coords[:, 1] * (self.new_h * 1.0 / self.h)
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """As the image, by nearest neighbour."""
        return self.apply_image(segmentation, interp=Image.NEAREST)

    def inverse(self) -> Transform:
        """Resize back."""
        return ResizeTransform(self.new_h, self.new_w, self.h, self.w, self.interp)


class RotationTransform(Transform):
    """Rotate an image about a point, by OpenCV."""

    def __init__(
        self,
        h: int,
        w: int,
        angle: float,
        expand: bool = True,
        center: tuple[float, float] | None = None,
        interp: int | None = None,
    ) -> None:
        """
        Args:
            h: height of the image.
            w: width of the image.
            angle: degrees, counter-clockwise.
            expand: enlarge the image so that everything stays inside.
            center: (x, y) in pixels; the middle of the image by default. Without effect on the
                result when ``expand``.
            interp: an OpenCV flag, bilinear by default.
        """
        super().__init__()
        image_center = np.array((w / 2, h / 2))
        if center is None:
            center = image_center
        if interp is None:
            interp = cv2.INTER_LINEAR
        cos, sin = (abs(f(np.deg2rad(angle))) for f in (np.cos, np.sin))
        bound_w, bound_h = w, h
        if expand:
            sides = np.rint([h * sin + w * cos, h * cos + w * sin])
            bound_w, bound_h = (int(side) for side in sides)
        self._set_attributes(
            {
                "h": h,
                "w": w,
                "angle": angle,
                "expand": expand,
                "center": center,
                "interp": interp,
                "image_center": image_center,
                "bound_w": bound_w,
                "bound_h": bound_h,
            }
        )
        self.rm_coords = self._matrix()
        # OpenCV's pixel centres are whole numbers, ours are halves.
        self.rm_image = self._matrix(offset=-0.5)

    def _matrix(self, offset: float = 0.0) -> np.ndarray:
        """(2, 3) affine matrix for coordinates that are shifted by ``offset``."""
        center = (float(self.center[0] + offset), float(self.center[1] + offset))
        matrix = cv2.getRotationMatrix2D(center, self.angle, 1)
        if self.expand:
            # The middle of the image goes to the middle of the enlarged one.
            middle = matrix @ np.append(self.image_center + offset, 1.0)
            wanted = np.array([self.bound_w / 2, self.bound_h / 2]) + offset
            matrix[:, 2] += wanted - middle
        return matrix

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """(h, w, C) or (h, w) -> the same with the new bounds; black where nothing was."""
        if len(img) == 0 or self.angle % 360 == 0:
            return img
        assert img.shape[:2] == (self.h, self.w), f"{img.shape} is not {self.h} x {self.w}"
        interp = self.interp if interp is None else interp
        return cv2.warpAffine(img, self.rm_image, (self.bound_w, self.bound_h), flags=interp)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Rotate points."""
        coords = np.asarray(coords, dtype=float)
        if len(coords) == 0 or self.angle % 360 == 0:
            return coords
        return cv2.transform(coords[:, None, :], self.rm_coords)[:, 0, :]

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """As the image, by nearest neighbour."""
        return self.apply_image(segmentation, interp=cv2.INTER_NEAREST)

    def inverse(self) -> Transform:
        """Rotate back and cut off what the two enlargements added."""
        if not self.expand:
            raise NotImplementedError("A rotation with expand=False loses corners: no inverse")
        rotation = RotationTransform(
            self.bound_h, self.bound_w, -self.angle, self.expand, None, self.interp
        )
        crop = CropTransform(
            (rotation.bound_w - self.w) // 2, (rotation.bound_h - self.h) // 2, self.w, self.h
        )
        return TransformList([rotation, crop])


class ColorTransform(Transform):
    """A function of the pixels; coordinates and labels stay."""

    def __init__(self, op: Callable[[np.ndarray], np.ndarray]) -> None:
        """
        Args:
            op: image array -> image array.

        Raises:
            ValueError: it is not callable.
        """
        if not callable(op):
            raise ValueError(f"op must be callable, got {type(op)}")
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Apply the function."""
        return self.op(img)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """The same coordinates."""
        return coords

    def inverse(self) -> Transform:
        """Nothing: geometry did not change."""
        return NoOpTransform()

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """The same labels."""
        return segmentation


class PILColorTransform(ColorTransform):
    """A `ColorTransform` whose function takes and gives PIL images."""

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Apply the function."""
        return np.asarray(self.op(Image.fromarray(img)))
