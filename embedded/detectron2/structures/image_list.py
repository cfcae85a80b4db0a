"""Images of different sizes as one padded tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ImageList"]


class ImageList:
    """N images in one tensor, padded on the right and at the bottom.

    Attributes:
        tensor: (N, H, W) or (N, C, ..., H, W).
        image_sizes: (h, w) of each image without its padding.
    """

    def __init__(self, tensor: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, idx: int) -> Tensor:
        """Image ``idx`` without its padding: (h, w) or (C, ..., h, w)."""
        height, width = self.image_sizes[idx]
        return self.tensor[idx, ..., :height, :width]

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        """Cast or move the tensor, as ``Tensor.to``."""
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        """Where the tensor is."""
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: Sequence[Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: Mapping[str, int] | None = None,
    ) -> "ImageList":
        """Pad images to a common size and stack them.

        Args:
            tensors: (H, W) or (C, ..., H, W) each; all but the last two dimensions agree.
            size_divisibility: the common sides are rounded up to a multiple of this, when > 1.
            pad_value: value of the padding. Images are usually normalised before, so 0 is the mean.
            padding_constraints: what a backbone asks for: ``size_divisibility`` replaces the
                argument, ``square_size`` (if > 0) replaces both sides before rounding.

        Returns:
            The batch, of the first tensor's type and device. The tensor of a single image that
            needs no padding shares its memory.
        """
        assert isinstance(tensors, (tuple, list)) and len(tensors) > 0, (
            f"tensors must be a list of at least one tensor, got {type(tensors)}"
        )
        for tensor in tensors:
            assert isinstance(tensor, Tensor), f"expected tensors, got {type(tensor)}"
            assert tensor.shape[:-2] == tensors[0].shape[:-2], (
                f"leading dimensions differ: {tuple(tensor.shape)}, {tuple(tensors[0].shape)}"
            )
        sizes = [(tensor.shape[-2], tensor.shape[-1]) for tensor in tensors]
        height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
        if padding_constraints is not None:
            square_size = padding_constraints.get("square_size", 0)
            if square_size > 0:
                height = width = square_size
            size_divisibility = padding_constraints.get("size_divisibility", size_divisibility)
        if size_divisibility > 1:
            height, width = (
                (side + size_divisibility - 1) // size_divisibility * size_divisibility
                for side in (height, width)
            )
        if len(tensors) == 1:
            ((h, w),) = sizes
            batch = F.pad(tensors[0], (0, width - w, 0, height - h), value=pad_value).unsqueeze(0)
        else:
            shape = (len(tensors), *tensors[0].shape[:-2], height, width)
            batch = tensors[0].new_full(shape, pad_value)
            for row, tensor, (h, w) in zip(batch, tensors, sizes, strict=True):
                row[..., :h, :w].copy_(tensor)
        return ImageList(batch.contiguous(), sizes)
