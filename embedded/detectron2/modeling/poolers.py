"""Cutting boxes out of a feature pyramid, each from the level that suits its size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import RoIPool

from detectron2._subset import outside_subset
from detectron2.layers import ROIAlign, cat, nonzero_tuple, shapes_to_tensor
from detectron2.structures import Boxes

__all__ = ["ROIPooler"]


def assign_boxes_to_levels(
    box_lists: list[Boxes],
    min_level: int,
    max_level: int,
    canonical_box_size: int,
    canonical_level: int,
) -> Tensor:
    """The level of each box, counted from ``min_level``.

    Args:
        box_lists: per image; K boxes in all.
        min_level: log2 of the smallest stride.
        max_level: log2 of the largest.
        canonical_box_size: square root of the area of a box that belongs to ...
        canonical_level: ... this level.

    Returns:
        (K,) int64 in 0..max_level - min_level.

    Source: Lin et al., Feature Pyramid Networks, 2017, equation 1.
    """
    size = cat([boxes.area() for boxes in box_lists]).sqrt()
    level = torch.floor(canonical_level + torch.log2(size / canonical_box_size + 1e-8))
    return level.clamp(min=min_level, max=max_level).to(torch.int64) - min_level


def convert_boxes_to_pooler_format(box_lists: list[Boxes]) -> Tensor:
    """Boxes per image -> (K, 5) with the index of the image in front."""
    boxes = cat([one.tensor for one in box_lists])
    counts = shapes_to_tensor([len(one) for one in box_lists], device=boxes.device)
    images = torch.arange(len(box_lists), dtype=boxes.dtype, device=boxes.device)
    return cat([images.repeat_interleave(counts)[:, None], boxes], dim=1)


class ROIPooler(nn.Module):
    """Pool the boxes of a batch from feature maps of several strides."""

    def __init__(
        self,
        output_size: int | Sequence[int],
        scales: Sequence[float],
        sampling_ratio: int,
        pooler_type: str,
        canonical_box_size: int = 224,
        canonical_level: int = 4,
    ) -> None:
        """Set the geometry.

        Args:
            output_size: cells as (rows, columns), or one number for both.
            scales: of each map, 1 / stride: consecutive powers of two, finest first.
            sampling_ratio: as in ``ROIAlign``.
            pooler_type: ROIAlign (not aligned), ROIAlignV2 (aligned), or ROIPool.
            canonical_box_size: see ``assign_boxes_to_levels``.
            canonical_level: see there.

        Raises:
            ValueError: unknown type.
        """
        super().__init__()
        size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        assert len(size) == 2, f"output_size must be one or two numbers, got {output_size}"
        assert len(scales) == 1 or size[0] == size[1], (
            f"several feature maps need a square output_size, got {size}"
        )
        self.output_size = size
        if pooler_type in ("ROIAlign", "ROIAlignV2"):
            aligned = pooler_type == "ROIAlignV2"
            poolers = [ROIAlign(size, scale, sampling_ratio, aligned) for scale in scales]
        elif pooler_type == "ROIPool":
            poolers = [RoIPool(size, scale) for scale in scales]
        elif pooler_type == "ROIAlignRotated":
            outside_subset("pooler type ROIAlignRotated")
        else:
            raise ValueError(f"Unknown pooler type: {pooler_type}")
        self.level_poolers = nn.ModuleList(poolers)

        levels = [-math.log2(scale) for scale in scales]
        self.min_level, self.max_level = int(levels[0]), int(levels[-1])
        expected = list(range(self.min_level, self.min_level + len(levels)))
        assert levels == expected and self.min_level >= 0, (
            f"scales must be consecutive powers of two, finest first: got {list(scales)}"
        )
        assert canonical_box_size > 0, f"canonical_box_size={canonical_box_size} is not positive"
        self.canonical_box_size = canonical_box_size
        self.canonical_level = canonical_level

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Pool.

        Args:
            x: feature maps (N, C, H_i, W_i), in the order of ``scales``.
            box_lists: per image, in image pixels; K in all.

        Returns:
            (K, C, rows, columns), in the order of the boxes.
        """
        assert len(x) == len(self.level_poolers), (
            f"{len(x)} feature maps for {len(self.level_poolers)} poolers"
        )
        assert len(box_lists) == x[0].size(0), (
            f"boxes of {len(box_lists)} images for features of {x[0].size(0)}"
        )
        if not box_lists:
            return x[0].new_zeros((0, x[0].shape[1], *self.output_size))
        rois = convert_boxes_to_pooler_format(box_lists)
        if len(x) == 1:
            return self.level_poolers[0](x[0], rois)
        levels = assign_boxes_to_levels(
            box_lists,
            self.min_level,
            self.max_level,
            self.canonical_box_size,
            self.canonical_level,
        )
        output = x[0].new_zeros((len(rois), x[0].shape[1], *self.output_size))
        for level, (feature, pooler) in enumerate(zip(x, self.level_poolers, strict=True)):
            here = nonzero_tuple(levels == level)[0]
            # Under autocast a pooler may return another dtype than it got.
            output.index_put_((here,), pooler(feature, rois[here]).to(output.dtype))
        return output
