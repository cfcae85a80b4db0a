"""Ground truth of many frames in one padded batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.depth import owner_of
from dvps_d2.structures import ClipTargets

Size = tuple[int, ...]  # (h, w)

# Sums of so many mask pixels fit in eight bits.
MAX_BYTE = 255


@dataclass(frozen=True, eq=False)
class FrameTargets:
    """The segments of F = B * T frames, clip by clip, frames in order within a clip.

    Row n of every frame of a clip is segment n of the clip, so an index into the rows means the
    same segment in all its frames. Clips with fewer segments are padded.

    Attributes:
        class_ids: (F, N) int64; 0 in padding.
        masks: (F, N, H, W) bool; all False in padding and in frames where a segment is absent.
        present: (F, N) bool, rows that are targets in this frame.
        areas: (F, N) float32, pixels of every mask.
        depth: (F, H, W) float32 metres, 0 where there is no measurement; None for plain VPS.
        num_frames: T.
    """

    class_ids: Tensor
    masks: Tensor
    present: Tensor
    areas: Tensor
    depth: Tensor | None
    num_frames: int
    _grids: dict = field(default_factory=dict, repr=False)

    @classmethod
    def from_clips(cls, clips: Sequence[ClipTargets], *, keep_absent: bool = False) -> FrameTargets:
        """Stack clips of one frame size, one sample per frame.

        Args:
            clips: B targets with the same T, H and W; either all or none have depth.
            keep_absent: make a segment a target with an empty mask in those frames of its clip
                where it is not seen, instead of leaving it out there.

        Raises:
            ValueError: no clip, frames of different number or size, depth in some clips only.

        Source: Huang et al., MinVIS, 2022 (frames are independent samples). Differs from its
        public form by: ``keep_absent=True`` is what is done there, which asks a query to name a
        class that the frame does not show.
        """
        _check_alike(clips)
        frames, height, width = clips[0].masks.shape[1:]
        count = max(clip.class_ids.shape[0] for clip in clips)
        first = clips[0].masks
        class_ids = first.new_zeros((len(clips), frames, count), dtype=torch.int64)
        listed = first.new_zeros((len(clips), frames, count))
        masks = first.new_zeros((len(clips), frames, count, height, width))
        for number, clip in enumerate(clips):
            size = clip.class_ids.shape[0]
            class_ids[number, :, :size] = clip.class_ids
            listed[number, :, :size] = True
            masks[number, :, :size] = clip.masks.transpose(0, 1)
        depth = None
        if clips[0].depth is not None:
            depth = torch.cat([clip.depth for clip in clips]).float()
        masks = masks.flatten(0, 1)
        present = listed.flatten(0, 1)
        areas = masks.flatten(2).view(torch.uint8).sum(-1).float()
        if not keep_absent:
            present = present & (areas > 0)
        return cls(class_ids.flatten(0, 1), masks, present, areas, depth, frames)

    @classmethod
    def of(cls, targets: FrameTargets | Sequence[ClipTargets]) -> FrameTargets:
        """What is already stacked stays as it is; clips are stacked with the defaults."""
        return targets if isinstance(targets, FrameTargets) else cls.from_clips(targets)

    def count(self, *, per_clip: bool = False) -> Tensor:
        """Scalar float32: targets of all frames, or segments of all clips however many frames."""
        present = self.present
        if per_clip:
            present = present.unflatten(0, (-1, self.num_frames)).any(1)
        return present.sum().float()

    def visible(self, size: Size, min_cells: float) -> Tensor:
        """(F, N) bool: targets that do not vanish on an (h, w) grid.

        A segment counts as vanished when it covers less than ``min_cells`` cells of the grid in
        total. Empty masks kept on purpose (``keep_absent``) stay.
        """
        cells = self.areas * (size[0] * size[1] / (self.masks.shape[-2] * self.masks.shape[-1]))
        return self.present & ((self.areas == 0) | (cells >= min_cells))

    def soft_masks(self, size: Size) -> Tensor:
        """(F, N, h, w) float32: the share of every grid cell that a segment covers."""
        return self._once(("soft", size), lambda: _average_areas(self.masks, size))

    def owner(self, size: Size) -> Tensor:
        """(F, h, w) int64: the row that holds the centre of every grid cell, -1 for none."""
        return self._once(("owner", size), lambda: owner_of(_at_centres(self.masks, size)))

    def depth_at(self, size: Size) -> Tensor | None:
        """(F, h, w) float32 metres at the centre of every grid cell (nearest, never averaged)."""
        return None if self.depth is None else _at_centres(self.depth, size)

    def _once(self, key: tuple[str, Size], compute: Callable[[], Tensor]) -> Tensor:
        if key not in self._grids:
            self._grids[key] = compute()
        return self._grids[key]


def _average_areas(masks: Tensor, size: Size) -> Tensor:
    """Covered share of every cell of an (h, w) grid over the last two axes."""
    if masks.shape[1] == 0:
        return masks.new_zeros((*masks.shape[:2], *size), dtype=torch.float32)
    down, rest_down = divmod(masks.shape[-2], size[0])
    right, rest_right = divmod(masks.shape[-1], size[1])
    if rest_down or rest_right or down > MAX_BYTE:
        return F.interpolate(masks.float(), size=size, mode="area")
    # Sums of strided slices: a tenth of the time that average pooling takes on a CPU.
    bits = masks.view(torch.uint8)
    rows = sum((bits[..., k::down, :] for k in range(1, down)), bits[..., ::down, :]).float()
    cells = sum((rows[..., k::right] for k in range(1, right)), rows[..., ::right])
    return cells / (down * right)


def _at_centres(maps: Tensor, size: Size) -> Tensor:
    """Nearest values at the centres of an (h, w) grid over the last two axes."""
    for axis, cells in ((-2, size[0]), (-1, size[1])):
        centres = torch.arange(cells, device=maps.device) + 0.5
        index = (centres * (maps.shape[axis] / cells)).long()
        maps = maps.index_select(axis, index)
    return maps


def _check_alike(clips: Sequence[ClipTargets]) -> None:
    if not clips:
        raise ValueError("targets are empty: losses need the ground truth of at least one clip")
    shapes = [tuple(clip.masks.shape[1:]) for clip in clips]
    if len(set(shapes)) != 1:
        raise ValueError(
            f"targets of one batch must share (T, H, W), got {shapes}; pad them to the size of the "
            f"images with ClipTargets.pad"
        )
    with_depth = [clip.depth is not None for clip in clips]
    if any(with_depth) != all(with_depth):
        raise ValueError(
            f"depth is given for {sum(with_depth)} of {len(clips)} clips; give all zeros where a "
            f"clip has no measurement"
        )
