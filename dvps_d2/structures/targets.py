"""Ground truth of a clip, and its noised copy for denoising training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_shape


@dataclass(frozen=True, eq=False)
class ClipTargets:
    """Panoptic segments and depth of one clip, on the padded grid of its images.

    Attributes:
        class_ids: (N,) int64 contiguous class ids.
        track_ids: (N,) int64, one per segment; stuff has one segment per class.
        masks: (N, T, H, W) bool; all False in frames where a segment is not seen.
        depth: (T, H, W) float32 metres, 0 where there is no measurement; None for plain VPS.
    """

    class_ids: Tensor
    track_ids: Tensor
    masks: Tensor
    depth: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("class_ids", self.class_ids, (None,), "(N,)")
        count = self.class_ids.shape[0]
        check_shape("track_ids", self.track_ids, (count,), "(N,)")
        check_shape("masks", self.masks, (count, None, None, None), "(N, T, H, W)")
        if self.masks.dtype != torch.bool:
            raise TypeError(f"masks must be bool, got {self.masks.dtype}")
        if self.depth is not None:
            check_shape("depth", self.depth, tuple(self.masks.shape[1:]), "(T, H, W)")

    @property
    def num_frames(self) -> int:
        """T."""
        return self.masks.shape[1]

    def to(self, device: torch.device | str) -> ClipTargets:
        """The same targets on another device."""
        depth = None if self.depth is None else self.depth.to(device)
        return ClipTargets(
            self.class_ids.to(device), self.track_ids.to(device), self.masks.to(device), depth
        )

    def pad(self, height: int, width: int) -> ClipTargets:
        """Pad right and bottom to (height, width): no segment and no depth there."""
        down, right = height - self.masks.shape[2], width - self.masks.shape[3]
        if down < 0 or right < 0:
            raise ValueError(f"cannot pad {tuple(self.masks.shape[2:])} to {(height, width)}")
        padding = (0, right, 0, down)
        masks = torch.nn.functional.pad(self.masks, padding)
        depth = None if self.depth is None else torch.nn.functional.pad(self.depth, padding)
        return ClipTargets(self.class_ids, self.track_ids, masks, depth)


@dataclass(frozen=True, eq=False)
class DenoisingQueries:
    """Noised ground truth that a decoder must restore, in G independent groups (training only).

    Attributes:
        class_ids: (B, G, N) int64, some of them wrong on purpose.
        masks: (B, G, N, h, w) bool on any grid, shifted and partly flipped.
        valid: (B, G, N) bool, False for slots that only pad a clip with fewer segments.
    """

    class_ids: Tensor
    masks: Tensor
    valid: Tensor

    def __post_init__(self) -> None:
        check_shape("class_ids", self.class_ids, (None, None, None), "(B, G, N)")
        shape = tuple(self.class_ids.shape)
        check_shape("masks", self.masks, (*shape, None, None), "(B, G, N, h, w)")
        check_shape("valid", self.valid, shape, "(B, G, N)")
