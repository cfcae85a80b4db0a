"""The frames that enter a model together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import check_shape

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Clip:
    """B clips of T frames, normalised and padded to one size.

    Attributes:
        images: (B, T, 3, H, W) float, normalised; padding (right and bottom) is 0.
        valid_sizes: per clip, the (height, width) of the frames inside the padding.
        original_sizes: per clip, the (height, width) that results are wanted in.
        frame_ids: per clip, the T frame numbers in temporal order.
        video_ids: per clip, the video that the frames belong to.
    """

    images: Tensor
    valid_sizes: tuple[Size, ...]
    original_sizes: tuple[Size, ...]
    frame_ids: tuple[tuple[int, ...], ...]
    video_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        check_shape("images", self.images, (None, None, 3, None, None), "(B, T, 3, H, W)")
        batch, frames, _, height, width = self.images.shape
        if batch == 0 or frames == 0:
            raise ValueError(
                f"a clip needs at least one frame, got {batch} clips x {frames} frames"
            )
        for name in ("valid_sizes", "original_sizes", "frame_ids", "video_ids"):
            entries = getattr(self, name)
            if len(entries) != batch:
                raise ValueError(
                    f"{name} must have one entry per clip ({batch}), got {len(entries)}"
                )
        for clip, (h, w) in enumerate(self.valid_sizes):
            if not (0 < h <= height and 0 < w <= width):
                raise ValueError(
                    f"valid_sizes[{clip}] = {(h, w)} does not fit images of {height} x {width}"
                )
        for clip, ids in enumerate(self.frame_ids):
            if len(ids) != frames:
                raise ValueError(f"frame_ids[{clip}] must name {frames} frames, got {len(ids)}")

    @property
    def batch_size(self) -> int:
        """B, the number of clips."""
        return self.images.shape[0]

    @property
    def num_frames(self) -> int:
        """T, the number of frames per clip."""
        return self.images.shape[1]

    @property
    def padded_size(self) -> Size:
        """(H, W) of the padded frames."""
        return self.images.shape[3], self.images.shape[4]

    def to(self, *args: Any, **kwargs: Any) -> Clip:
        """The same clip with ``images.to(*args, **kwargs)``."""
        images = self.images.to(*args, **kwargs)
        return Clip(images, self.valid_sizes, self.original_sizes, self.frame_ids, self.video_ids)

    def outline(self) -> Clip:
        """The same clip without its pixels, for whom sizes and names are enough.

        Its images have the same shape and are all zero, in the memory of a single number.
        """
        blank = torch.zeros((), dtype=self.images.dtype).expand(self.images.shape)
        return Clip(blank, self.valid_sizes, self.original_sizes, self.frame_ids, self.video_ids)

    @classmethod
    def from_frames(
        cls,
        frames: Sequence[Sequence[Tensor]],
        *,
        divisibility: int = 32,
        original_sizes: Sequence[Size] | None = None,
        frame_ids: Sequence[Sequence[int]] | None = None,
        video_ids: Sequence[str] | None = None,
    ) -> Clip:
        """Batch normalised frames, padding right and bottom with 0.

        Args:
            frames: per clip, T tensors (3, h, w) of one size within the clip.
            divisibility: H and W become multiples of it.
            original_sizes: wanted output sizes; the frames' own by default.
            frame_ids: frame numbers; 0..T-1 by default.
            video_ids: names; "0", "1", ... by default.

        Raises:
            ValueError: no frame at all, clips of different length, frames of different size in a
                clip.
        """
        lengths = {len(clip) for clip in frames}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"clips of one batch must have the same number of frames (> 0), got "
                f"{[len(clip) for clip in frames]}"
            )
        valid_sizes: list[Size] = []
        for number, clip in enumerate(frames):
            sizes = {tuple(frame.shape[-2:]) for frame in clip}
            if len(sizes) != 1:
                raise ValueError(f"clip {number} mixes frame sizes {sorted(sizes)}; resize first")
            height, width = sizes.pop()
            valid_sizes.append((height, width))
        height = _round_up(max(h for h, _ in valid_sizes), divisibility)
        width = _round_up(max(w for _, w in valid_sizes), divisibility)
        images = torch.stack(
            [
                F.pad(torch.stack(tuple(clip)), (0, width - w, 0, height - h))
                for clip, (h, w) in zip(frames, valid_sizes, strict=True)
            ]
        )
        count = len(frames[0])
        return cls(
            images=images,
            valid_sizes=tuple(valid_sizes),
            original_sizes=tuple((h, w) for h, w in original_sizes or valid_sizes),
            frame_ids=tuple(tuple(ids) for ids in frame_ids or [range(count)] * len(frames)),
            video_ids=tuple(video_ids or map(str, range(len(frames)))),
        )


def _round_up(value: int, multiple: int) -> int:
    return (value + multiple - 1) // multiple * multiple
