"""Pasting the small masks of a mask head into an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Masks sampled at once over the whole image, in elements; bounds the memory on a GPU.
_ELEMENTS_PER_CHUNK = 2**28


def paste_masks_in_image(
    masks: Tensor, boxes, image_shape: tuple[int, int], threshold: float = 0.5
) -> Tensor:
    """Stretch each mask over its box and sample it at the pixel centres of the image.

    Args:
        masks: (N, M, M) probabilities.
        boxes: ``Boxes`` or (N, 4) XYXY in pixels.
        image_shape: (height, width).
        threshold: a pixel belongs to the mask from this value on; negative for soft masks.

    Returns:
        (N, height, width) bool, or uint8 in 0..255 when ``threshold`` is negative. With no
        masks at all an empty uint8 tensor.
    """
    assert masks.shape[-1] == masks.shape[-2], f"masks must be square, got {tuple(masks.shape)}"
    count, (height, width) = len(masks), image_shape
    if count == 0:
        return masks.new_empty((0, height, width), dtype=torch.uint8)
    boxes = boxes if isinstance(boxes, Tensor) else boxes.tensor
    assert len(boxes) == count, f"{count} masks but {len(boxes)} boxes"
    masks = masks if masks.is_floating_point() else masks.float()

    # On a CPU one mask at a time, within its box; elsewhere many at a time, over the image.
    on_cpu = masks.device.type == "cpu"
    chunk = 1 if on_cpu else max(1, _ELEMENTS_PER_CHUNK // max(1, height * width))
    dtype = torch.bool if threshold >= 0 else torch.uint8
    pasted = masks.new_zeros((count, height, width), dtype=dtype)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        rows, columns = slice(0, height), slice(0, width)
        if on_cpu:
            rows, columns = _touched_pixels(boxes[part], height, width)
        soft = _sample(masks[part], boxes[part], rows, columns)
        pasted[part, rows, columns] = (
            soft >= threshold if threshold >= 0 else (soft * 255).to(torch.uint8)
        )
    return pasted


def _touched_pixels(boxes: Tensor, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns outside which a mask of these boxes is surely zero (one pixel of margin)."""
    limits = torch.tensor([width, height], device=boxes.device)
    low = (boxes[:, :2].amin(0).floor() - 1).clamp(min=0).minimum(limits).int().tolist()
    high = (boxes[:, 2:].amax(0).ceil() + 1).clamp(min=0).minimum(limits).int().tolist()
    return slice(low[1], high[1]), slice(low[0], high[0])


def _sample(masks: Tensor, boxes: Tensor, rows: slice, columns: slice) -> Tensor:
    """(n, M, M) masks at the centres of the pixels in ``rows`` x ``columns``."""
    x = _box_coordinates(columns, boxes[:, 0], boxes[:, 2])
    y = _box_coordinates(rows, boxes[:, 1], boxes[:, 3])
    shape = (len(masks), y.shape[1], x.shape[1])
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)
    return F.grid_sample(masks[:, None], grid.to(masks.dtype), align_corners=False)[:, 0]


def _box_coordinates(pixels: slice, low: Tensor, high: Tensor) -> Tensor:
    """(n, P) pixel centres in units where each box spans -1..1, as grid_sample wants them."""
    centres = torch.arange(pixels.start, pixels.stop, device=low.device, dtype=torch.float32) + 0.5
    where = (centres - low[:, None]) / (high - low)[:, None] * 2 - 1
    # A box without extent gives infinities, which grid_sample cannot place: move them outside.
    return where.nan_to_num(nan=-2.0, posinf=2.0, neginf=-2.0)
