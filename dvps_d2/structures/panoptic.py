"""A clip after panoptic fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from .checks import check_shape


@dataclass(frozen=True)
class Segment:
    """One thing, or one stuff class, over all frames in which it is seen.

    Attributes:
        class_id: contiguous class, 0..K-1.
        is_thing: countable or not.
        score: confidence in 0..1.
    """

    class_id: int
    is_thing: bool
    score: float


@dataclass(frozen=True, eq=False)
class PanopticTube:
    """What is where, in every frame, and how far away.

    Attributes:
        ids: (T, H, W) int32; 0 is void, every other value is a key of ``segments``.
        segments: track id -> :class:`Segment`; an id means the same object in all frames of the
            video.
        depth: (T, H, W) float32 in metres, 0 where there is no estimate; None for plain VPS.
        semantic: (T, H, W) int32 class of every pixel, where semantic maps are asked for.
    """

    ids: Tensor
    segments: Mapping[int, Segment]
    depth: Tensor | None = None
    semantic: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("ids", self.ids, (None, None, None), "(T, H, W)")
        if self.ids.is_floating_point():
            raise TypeError(f"ids must be integers, got {self.ids.dtype}")
        if 0 in self.segments:
            raise ValueError("id 0 is void and cannot be a segment")
        if self.depth is not None:
            check_shape("depth", self.depth, tuple(self.ids.shape), "(T, H, W)")
        if self.semantic is not None:
            check_shape("semantic", self.semantic, tuple(self.ids.shape), "(T, H, W)")

    @property
    def num_frames(self) -> int:
        """T."""
        return self.ids.shape[0]
