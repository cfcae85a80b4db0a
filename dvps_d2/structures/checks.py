"""Shape checks shared by the carriers."""

from __future__ import annotations

from torch import Tensor


def check_shape(name: str, tensor: Tensor, expected: tuple[int | None, ...], letters: str) -> None:
    """Compare a tensor's shape with ``expected``; ``None`` accepts any size.

    Args:
        name: the argument's name, for the message.
        tensor: what came.
        expected: one entry per axis.
        letters: the axes as people write them, e.g. ``"(B, T, Q, C)"``.

    Raises:
        TypeError: not a tensor.
        ValueError: the number of axes or a size differs; names both sides.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor {letters}, got {type(tensor).__name__}")
    shape = tuple(tensor.shape)
    fits = len(shape) == len(expected) and all(
        want is None or want == got for want, got in zip(expected, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ValueError(f"{name} must be {letters} = ({wanted}), got {shape}")
