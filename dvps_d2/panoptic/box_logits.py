"""Panoptic logits from boxes: one channel per stuff class and one per instance, no parameters.

Source: Xiong et al., UPSNet, CVPR 2019, section 3.1 (panoptic segmentation head), as VPSNet
publishes it: without the channel for unknown instances. An instance's channel is the sum of two
terms, the semantic logits of its class inside its box and its mask logits; both are 0 outside the
box.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dvps_d2.layers.roi import paste_masks


def box_slices(box: Sequence[float], scale: float, size: Sequence[int]) -> tuple[slice, slice]:
    """Cells in which the semantic logits of a box count.

    Args:
        box: x0, y0, x1, y1 in pixels.
        scale: cells per pixel.
        size: (h, w) of the grid.

    Returns:
        Rows and columns; may be empty for a box outside the grid.
    """
    x0, y0, x1, y1 = (value * scale for value in box)
    top, left = (min(max(int(v), 0), limit) for v, limit in zip((y0, x0), size, strict=True))
    bottom, right = (
        min(max(round(v) + 1, 0), limit) for v, limit in zip((y1, x1), size, strict=True)
    )
    return slice(top, max(bottom, top)), slice(left, max(right, left))


def semantic_terms(
    semantic_logits: Tensor, boxes: Tensor, class_ids: Tensor, scale: float = 0.25
) -> Tensor:
    """The semantic logits of each instance's class inside its box, 0 elsewhere.

    Args:
        semantic_logits: (K, h, w).
        boxes: (N, 4) x0 y0 x1 y1 in pixels.
        class_ids: (N,) int64.
        scale: cells per pixel.

    Returns:
        (N, h, w).
    """
    terms = semantic_logits.new_zeros((len(boxes), *semantic_logits.shape[1:]))
    for index, (box, class_id) in enumerate(zip(boxes.tolist(), class_ids.tolist(), strict=True)):
        inside = box_slices(box, scale, terms.shape[1:])
        terms[index, *inside] = semantic_logits[class_id, *inside]
    return terms


def panoptic_logits(
    semantic_logits: Tensor,
    mask_logits: Tensor,
    boxes: Tensor,
    class_ids: Tensor,
    stuff_ids: Sequence[int],
    scale: float = 0.25,
) -> Tensor:
    """All segments' logits on one grid.

    Args:
        semantic_logits: (K, h, w).
        mask_logits: (N, m, m) of each instance's class, inside its box.
        boxes: (N, 4) x0 y0 x1 y1 in pixels.
        class_ids: (N,) int64 class ids of things.
        stuff_ids: the S class ids of stuff, in the order of the channels.
        scale: cells per pixel.

    Returns:
        (S + N, h, w): stuff, then instances in the order of the boxes.
    """
    stuff = semantic_logits[list(stuff_ids)]
    things = semantic_terms(semantic_logits, boxes, class_ids, scale)
    things = things + paste_masks(mask_logits, boxes, tuple(things.shape[1:]), scale)
    return torch.cat([stuff, things])
