"""Regions of interest: features inside boxes, and masks back into the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

FINEST_LEVEL_SIDE = 112  # boxes with a smaller geometric mean of their sides use stride 4


def pool_rois(
    levels: Sequence[Tensor], boxes: Sequence[Tensor], side: int = 7, *, aligned: bool = False
) -> Tensor:
    """Features inside boxes, each read from the pyramid level that fits its size.

    Args:
        levels: (N, C, h_l, w_l) at strides 4, 8, ..., finest first.
        boxes: per image (R, 4) x0 y0 x1 y1 in pixels.
        side: cells along each axis of the result.
        aligned: shift by half a cell, so that cell centres lie at .5; released VPSNet weights were
            trained without.

    Returns:
        (sum of R, C, side, side), image by image.

    Source: Lin et al., "Feature Pyramid Networks", CVPR 2017, equation 1; He et al., "Mask R-CNN",
    ICCV 2017 (RoIAlign), with two by two samples per cell.
    """
    image = torch.cat([box.new_full((len(box), 1), i) for i, box in enumerate(boxes)])
    rois = torch.cat([image, torch.cat(list(boxes))], dim=1).to(levels[0].dtype)
    sides = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).clamp(min=0).sqrt()
    level_of = (sides / (FINEST_LEVEL_SIDE / 2) + 1e-6).log2().floor()
    level_of = level_of.clamp(0, len(levels) - 1).long()
    pooled = levels[0].new_zeros(len(rois), levels[0].shape[1], side, side)
    for number, level in enumerate(levels):
        chosen = torch.nonzero(level_of == number).flatten()
        cells = roi_align(level, rois[chosen], side, 1 / (4 << number), 2, aligned)
        pooled = pooled.index_put((chosen,), cells)
    return pooled


def last_pixels(boxes: Tensor) -> Tensor:
    """(N, 4) boxes whose far edges lie behind the last pixel -> the same, ending on that pixel.

    Cells are counted inclusively below and in :mod:`dvps_d2.panoptic.box_logits`, as published for
    boxes of this kind: [4, 4, 8, 8] covers 5 x 5 pixels there, [4, 4, 7, 7] covers 4 x 4.
    """
    return boxes - boxes.new_tensor([0, 0, 1, 1])


class PlacedMask(NamedTuple):
    """A map inside a grid, which is 0 (or False) everywhere else.

    Attributes:
        rows: of the grid.
        columns: of the grid.
        values: (rows, columns); may be empty, for boxes outside the grid.
    """

    rows: slice
    columns: slice
    values: Tensor


def place_mask(
    mask_logits: Tensor, box: Sequence[float], size: Sequence[int], scale: float = 0.25
) -> PlacedMask:
    """Mask logits resized to their box; parts outside the grid are cut off.

    Args:
        mask_logits: (m, m).
        box: x0 y0 x1 y1 in pixels.
        size: (h, w) of the grid.
        scale: cells per pixel.
    """
    # Cells are counted inclusively, from the truncated corners.
    x0, y0, x1, y1 = (int(value * scale) for value in box)
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = min(y1 + 1, size[0]), min(x1 + 1, size[1])
    if top >= bottom or left >= right:
        return PlacedMask(slice(0, 0), slice(0, 0), mask_logits[:0, :0])
    full = F.interpolate(
        mask_logits[None, None],
        size=(y1 - y0 + 1, x1 - x0 + 1),
        mode="bilinear",
        align_corners=False,
    )[0, 0]
    values = full[top - y0 : bottom - y0, left - x0 : right - x0]
    return PlacedMask(slice(top, bottom), slice(left, right), values)


def paste_masks(
    mask_logits: Tensor, boxes: Tensor, size: Sequence[int], scale: float = 0.25
) -> Tensor:
    """Mask logits resized to their boxes, 0 elsewhere.

    Args:
        mask_logits: (N, m, m).
        boxes: (N, 4) x0 y0 x1 y1 in pixels; parts outside the grid are cut off.
        size: (h, w) of the grid.
        scale: cells per pixel.

    Returns:
        (N, h, w).
    """
    pasted = mask_logits.new_zeros((len(boxes), *size))
    for index, (logits, box) in enumerate(zip(mask_logits, boxes.tolist(), strict=True)):
        rows, columns, values = place_mask(logits, box, size, scale)
        pasted[index, rows, columns] = values
    return pasted
