"""From the mask grid to the size that results are wanted in."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


def resize(maps: Tensor, size: Size) -> Tensor:
    """Bilinear (half-pixel centres) resize of the last two axes; any number of leading axes."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    if maps.numel() == 0:  # no candidates: nothing to interpolate
        return maps.new_zeros((*maps.shape[:-2], *size))
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    out = F.interpolate(flat, size=tuple(size), mode="bilinear", align_corners=False)
    return out.reshape(*maps.shape[:-2], *size)


def to_output_size(maps: Tensor, padded: Size, valid: Size, original: Size) -> Tensor:
    """Undo padding and resizing for values that may be averaged (probabilities, metres).

    Args:
        maps: (..., h, w) over the padded frame.
        padded: (H, W) of the padded frame that the maps cover.
        valid: the part of it that is image.
        original: the wanted size.
    """
    full = resize(maps, padded)[..., : valid[0], : valid[1]]
    return resize(full, original)


def mask_probs(logits: Tensor, padded: Size, valid: Size, original: Size) -> Tensor:
    """Mask logits -> probabilities at output size.

    Upsampled as logits to the padded frame, cropped, and only then squashed: the order of the
    published video models (DVIS); the last resize acts on probabilities.
    """
    full = resize(logits, padded)[..., : valid[0], : valid[1]]
    return resize(full.sigmoid(), original)
