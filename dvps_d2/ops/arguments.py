"""What a caller of the ops can get wrong, each with a message that names both sides."""

from collections.abc import Sequence

import torch
from torch import Tensor

LevelShapes = Sequence[tuple[int, int]]
Size = tuple[int, int]

# Owners are 16-bit integers.
MAX_MASKS = 2**15 - 1

_HALF = (torch.float16, torch.bfloat16)
_FLOATING = (torch.float32, torch.float64, *_HALF)


def check_arguments(
    value: Tensor, level_shapes: LevelShapes, locations: Tensor, weights: Tensor
) -> None:
    """Refuse arguments whose shapes, dtypes or devices do not belong together.

    Args:
        value: (B, S, M, D) float.
        level_shapes: L pairs (H, W) of integers; the areas sum to S.
        locations: (B, Q, M, L, P, 2) float.
        weights: (B, Q, M, L, P) float.

    Raises:
        TypeError: an argument is of the wrong kind, or the dtypes do not go together.
        ValueError: shapes or devices disagree.
    """
    _check_shapes(value.shape, level_shapes, locations.shape, weights.shape)
    dtype = value.dtype
    if locations.dtype != dtype or weights.dtype != dtype or dtype not in _FLOATING:
        _check_dtypes(dtype, locations=locations.dtype, weights=weights.dtype)
    if value.device != locations.device or value.device != weights.device:
        raise ValueError(
            f"value is on {value.device}, but locations is on {locations.device} and weights on "
            f"{weights.device}; move all three to one device"
        )


def _check_shapes(
    value: torch.Size, level_shapes: LevelShapes, locations: torch.Size, weights: torch.Size
) -> None:
    if len(value) != 4:
        raise ValueError(f"value must be (B, S, M, D), got {tuple(value)}")
    if len(locations) != 6 or locations[5] != 2:
        raise ValueError(
            f"locations must be (B, Q, M, L, P, 2) with (x, y) last, got {tuple(locations)}"
        )
    if weights != locations[:5]:
        raise ValueError(
            f"weights must be (B, Q, M, L, P) = {tuple(locations[:5])} to go with locations "
            f"{tuple(locations)}, got {tuple(weights)}"
        )
    if locations[0] != value[0] or locations[2] != value[2]:
        raise ValueError(
            f"value {tuple(value)} has batch {value[0]} and {value[2]} heads, but locations "
            f"{tuple(locations)} has batch {locations[0]} and {locations[2]} heads"
        )
    if isinstance(level_shapes, Tensor):
        raise TypeError(
            "level_shapes must be a sequence of integer pairs [(H, W), ...], got a Tensor, which "
            "would have to be read back from its device; pass the shapes of the feature maps"
        )
    if len(level_shapes) != locations[3]:
        raise ValueError(
            f"level_shapes names {len(level_shapes)} levels, but locations {tuple(locations)} has "
            f"{locations[3]} (axis 3)"
        )
    area = 0
    for height, width in level_shapes:
        if height < 1 or width < 1:
            raise ValueError(f"level_shapes must be positive (H, W) pairs, got {level_shapes}")
        area += height * width
    if area != value[1]:
        raise ValueError(
            f"level_shapes {[tuple(shape) for shape in level_shapes]} cover {area} positions, but "
            f"value {tuple(value)} has {value[1]} (axis 1)"
        )


def _check_dtypes(value: torch.dtype, **coordinates: torch.dtype) -> None:
    """Coordinates share the dtype of ``value``, or are float32 beside a half-precision value."""
    if value not in _FLOATING:
        raise TypeError(f"value must be float32, float64, bfloat16 or float16, got {value}")
    for name, dtype in coordinates.items():
        if dtype != value and not (value in _HALF and dtype == torch.float32):
            allowed = f"{value} or torch.float32" if value in _HALF else str(value)
            raise TypeError(
                f"value is {value}, so {name} must be {allowed}, got {dtype}; convert one of them"
            )


def check_merge_arguments(
    logits: Tensor, scores: Tensor, padded: Size, valid: Size, output: Size
) -> None:
    """Refuse arguments of ``panoptic_merge`` that do not belong together.

    Args:
        logits: (N, T, h, w) float.
        scores: (N,) float.
        padded, valid, output: (height, width).

    Raises:
        TypeError: an argument is not floating-point.
        ValueError: shapes, sizes or devices disagree.
    """
    if logits.dim() != 4:
        raise ValueError(f"logits must be (N, T, h, w), got {tuple(logits.shape)}")
    if scores.dim() != 1 or scores.shape[0] != logits.shape[0]:
        raise ValueError(
            f"scores must be (N,), one per mask of logits {tuple(logits.shape)}, got "
            f"{tuple(scores.shape)}"
        )
    if logits.dtype not in _FLOATING or scores.dtype not in _FLOATING:
        raise TypeError(
            f"logits and scores must be float32, float64, bfloat16 or float16, got {logits.dtype} "
            f"and {scores.dtype}"
        )
    if logits.device != scores.device:
        raise ValueError(
            f"logits is on {logits.device}, but scores is on {scores.device}; move both to one "
            "device"
        )
    grid = (logits.shape[2], logits.shape[3])
    for name, size in (
        ("the grid of logits", grid),
        ("padded", padded),
        ("valid", valid),
        ("output", output),
    ):
        if len(size) != 2 or size[0] < 1 or size[1] < 1:
            raise ValueError(f"{name} must be a positive (height, width), got {tuple(size)}")
    if valid[0] > padded[0] or valid[1] > padded[1]:
        raise ValueError(
            f"valid {tuple(valid)} must lie inside padded {tuple(padded)}: the image is the upper "
            "left part of the padded frame"
        )
