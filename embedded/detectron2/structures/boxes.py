"""Axis-aligned boxes: their coding, their container, and how much they overlap.

Coordinates are pixel edges, not indices: a box over the first pixel is (0, 0, 1, 1), and width is
x1 - x0 with nothing added.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum, unique
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

_Box = TypeVar("_Box", list, tuple, np.ndarray, Tensor)


@unique
class BoxMode(IntEnum):
    """What the numbers of a box are. ``str()`` of a member is its number since Python 3.11."""

    XYXY_ABS = 0
    """(x0, y0, x1, y1) in pixels."""
    XYWH_ABS = 1
    """(x0, y0, width, height) in pixels."""
    XYXY_REL = 2
    """(x0, y0, x1, y1) in 0..1; cannot be converted."""
    XYWH_REL = 3
    """(x0, y0, width, height) in 0..1; cannot be converted."""
    XYWHA_ABS = 4
    """(centre x, centre y, width, height, counter-clockwise degrees) in pixels."""

    @staticmethod
    def convert(box: _Box, from_mode: "BoxMode", to_mode: "BoxMode") -> _Box:
        """Express boxes in another mode.

        Args:
            box: one box as a list or tuple of 4 (5 with angle) numbers, or (N, 4) / (N, 5) boxes
                as an array or tensor.
            from_mode: what it is.
            to_mode: what it shall be.

        Returns:
            The box in the type it came in; the very same object when the modes are equal.

        Raises:
            AssertionError: relative modes, or a list of another length.
            NotImplementedError: no such conversion (into XYWHA only from XYWH).
        """
        if from_mode == to_mode:
            return box
        relative = (BoxMode.XYXY_REL, BoxMode.XYWH_REL)
        assert from_mode not in relative and to_mode not in relative, (
            f"Relative boxes cannot be converted: {from_mode!r} -> {to_mode!r}"
        )
        original_type = type(box)
        is_single = isinstance(box, (list, tuple))
        if is_single:
            assert len(box) in (4, 5), (
                f"BoxMode.convert takes a list or tuple of 4 or 5 numbers, got {len(box)}"
            )
            values = torch.tensor(box)[None, :]
        elif isinstance(box, np.ndarray):
            values = torch.from_numpy(np.asarray(box)).clone()
        else:
            values = box.clone()
        values = _convert_tensor(values, from_mode, to_mode)
        if is_single:
            return original_type(values.flatten().tolist())
        return values.numpy() if isinstance(box, np.ndarray) else values


def _convert_tensor(values: Tensor, from_mode: BoxMode, to_mode: BoxMode) -> Tensor:
    """The conversions of `BoxMode.convert` on a tensor that may be overwritten."""
    if from_mode == BoxMode.XYWHA_ABS and to_mode == BoxMode.XYXY_ABS:
        assert values.shape[-1] == 5, f"XYWHA boxes have 5 numbers, got {values.shape[-1]}"
        return _hull_of_rotated(values)
    if from_mode == BoxMode.XYWH_ABS and to_mode == BoxMode.XYWHA_ABS:
        center = values[:, :2] + values[:, 2:4] / 2.0  # integers stay integers
        angle = torch.zeros_like(values[:, :1])
        return torch.cat((center.to(values.dtype), values[:, 2:], angle), dim=1)
    if from_mode == BoxMode.XYWH_ABS and to_mode == BoxMode.XYXY_ABS:
        values[:, 2:4] += values[:, :2]
        return values
    if from_mode == BoxMode.XYXY_ABS and to_mode == BoxMode.XYWH_ABS:
        values[:, 2:4] -= values[:, :2]
        return values
    raise NotImplementedError(f"Conversion from {from_mode!r} to {to_mode!r} is not supported")


def _hull_of_rotated(values: Tensor) -> Tensor:
    """(N, 5) rotated boxes -> (N, 4) smallest upright boxes around them."""
    dtype = values.dtype
    values = values.double()
    centre, size, angle = values[:, :2], values[:, 2:4], torch.deg2rad(values[:, 4:])
    cos, sin = angle.cos().abs(), angle.sin().abs()
    half = (size * cos + size.flip(1) * sin) / 2.0
    return torch.cat((centre - half, centre + half), dim=1).to(dtype)


class Boxes:
    """N boxes, in the (x0, y0, x1, y1) coding.

    Attributes:
        tensor: (N, 4) float32, whatever dtype came in.
    """

    def __init__(self, tensor: Tensor | Sequence) -> None:
        """
        Args:
            tensor: (N, 4) tensor, or nested lists. Anything without elements becomes (0, 4).

        Raises:
            AssertionError: another shape.
        """
        if isinstance(tensor, Tensor):
            tensor = tensor.to(torch.float32)
        else:
            tensor = torch.as_tensor(tensor, dtype=torch.float32, device=torch.device("cpu"))
        if tensor.numel() == 0:
            tensor = tensor.reshape((-1, 4)).to(dtype=torch.float32)
        assert tensor.dim() == 2 and tensor.size(-1) == 4, tensor.size()
        self.tensor = tensor

    def clone(self) -> "Boxes":
        """A copy with its own memory."""
        return Boxes(self.tensor.clone())

    def to(self, device: torch.device | str) -> "Boxes":
        """The boxes on another device."""
        return Boxes(self.tensor.to(device=device))

    def area(self) -> Tensor:
        """(N,) width times height."""
        x0, y0, x1, y1 = self.tensor.unbind(dim=1)
        return (x1 - x0) * (y1 - y0)

    def clip(self, box_size: tuple[int, int]) -> None:
        """Move every corner into an image, in place.

        Args:
            box_size: (height, width) of the image.
        """
        assert torch.isfinite(self.tensor).all(), (
            f"cannot clip boxes that are not finite: {self.tensor}"
        )
        height, width = box_size
        x0, y0, x1, y1 = self.tensor.unbind(dim=1)
        self.tensor = torch.stack(
            (
                x0.clamp(min=0, max=width),
                y0.clamp(min=0, max=height),
                x1.clamp(min=0, max=width),
                y1.clamp(min=0, max=height),
            ),
            dim=-1,
        )

    def nonempty(self, threshold: float = 0.0) -> Tensor:
        """(N,) bool: both sides are longer than ``threshold``."""
        sides = self.tensor[:, 2:] - self.tensor[:, :2]
        return (sides > threshold).all(dim=1)

    def __getitem__(self, item: int | slice | Tensor) -> "Boxes":
        """Select boxes by index (kept as Boxes of length 1), slice, bool mask or index tensor."""
        if isinstance(item, int):
            return Boxes(self.tensor[item].view(1, -1))
        selected = self.tensor[item]
        assert selected.dim() == 2, (
            f"index {item} must select rows, it gives {tuple(selected.shape)}"
        )
        return Boxes(selected)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"

    def inside_box(self, box_size: tuple[int, int], boundary_threshold: int = 0) -> Tensor:
        """(N,) bool: the box does not leave the image by more than the threshold.

        Args:
            box_size: (height, width) of the image.
            boundary_threshold: pixels; the right and bottom edges must stay strictly inside.
        """
        height, width = box_size
        x0, y0, x1, y1 = self.tensor.unbind(dim=1)
        return (
            (x0 >= -boundary_threshold)
            & (y0 >= -boundary_threshold)
            & (x1 < width + boundary_threshold)
            & (y1 < height + boundary_threshold)
        )

    def get_centers(self) -> Tensor:
        """(N, 2) float32, (x, y)."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: list["Boxes"]) -> "Boxes":
        """Boxes one after another; an empty list gives no boxes (on the CPU)."""
        assert isinstance(boxes_list, (list, tuple)), f"expected a list, got {type(boxes_list)}"
        if len(boxes_list) == 0:
            return cls(torch.empty(0))
        assert all(isinstance(boxes, Boxes) for boxes in boxes_list), "expected a list of Boxes"
        return cls(torch.cat([boxes.tensor for boxes in boxes_list], dim=0))

    @property
    def device(self) -> torch.device:
        """Where the tensor is."""
        return self.tensor.device

    def __iter__(self) -> Iterator[Tensor]:
        """Rows of the tensor, (4,) each."""
        yield from self.tensor


def pairwise_intersection(boxes1: Boxes, boxes2: Boxes) -> Tensor:
    """(M, N) area that each of M boxes shares with each of N boxes."""
    first, second = boxes1.tensor[:, None], boxes2.tensor
    sides = torch.min(first[..., 2:], second[:, 2:]) - torch.max(first[..., :2], second[:, :2])
    return sides.clamp_(min=0).prod(dim=2)


def pairwise_iou(boxes1: Boxes, boxes2: Boxes) -> Tensor:
    """(M, N) intersection over union; 0 where there is no overlap, never NaN."""
    shared = pairwise_intersection(boxes1, boxes2)
    union = boxes1.area()[:, None] + boxes2.area() - shared
    return torch.where(shared > 0, shared / union, shared.new_zeros(1))


def pairwise_ioa(boxes1: Boxes, boxes2: Boxes) -> Tensor:
    """(M, N) intersection over the area of ``boxes2``; 0 where there is no overlap."""
    shared = pairwise_intersection(boxes1, boxes2)
    return torch.where(shared > 0, shared / boxes2.area(), shared.new_zeros(1))


def matched_pairwise_iou(boxes1: Boxes, boxes2: Boxes) -> Tensor:
    """(N,) intersection over union of box i with box i; both have N boxes."""
    assert len(boxes1) == len(boxes2), (
        f"as many boxes on both sides, got {len(boxes1)} and {len(boxes2)}"
    )
    first, second = boxes1.tensor, boxes2.tensor
    sides = torch.min(first[:, 2:], second[:, 2:]) - torch.max(first[:, :2], second[:, :2])
    shared = sides.clamp(min=0).prod(dim=1)
    return shared / (boxes1.area() + boxes2.area() - shared)


def pairwise_point_box_distance(points: Tensor, boxes: Boxes) -> Tensor:
    """Distances of points to the four sides of boxes.

    Args:
        points: (N, 2) as (x, y).
        boxes: M boxes.

    Returns:
        (N, M, 4): left, top, right, bottom; all positive when the point is inside.
    """
    x, y = points[:, None].unbind(dim=2)  # (N, 1) each
    x0, y0, x1, y1 = boxes.tensor.unbind(dim=1)
    return torch.stack([x - x0, y - y0, x1 - x, y1 - y], dim=2)
