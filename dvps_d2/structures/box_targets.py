"""Ground truth of one frame as the box family needs it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_shape
from .targets import ClipTargets

VOID = 255


@dataclass(frozen=True, eq=False)
class BoxTargets:
    """Things as boxes with masks and identities, and the semantic map of everything.

    Attributes:
        boxes: (G, 4) float, x0 y0 x1 y1 in pixels; the far edges lie behind the last pixel.
        class_ids: (G,) int64 class ids of things.
        track_ids: (G,) int64; with the class, the identity of a thing in its clip.
        masks: (G, H, W) bool, none of them empty.
        semantic: (H, W) int64 class ids, 255 for void.
    """

    boxes: Tensor
    class_ids: Tensor
    track_ids: Tensor
    masks: Tensor
    semantic: Tensor

    def __post_init__(self) -> None:
        check_shape("boxes", self.boxes, (None, 4), "(G, 4)")
        count = self.boxes.shape[0]
        check_shape("class_ids", self.class_ids, (count,), "(G,)")
        check_shape("track_ids", self.track_ids, (count,), "(G,)")
        check_shape("semantic", self.semantic, (None, None), "(H, W)")
        check_shape("masks", self.masks, (count, *self.semantic.shape), "(G, H, W)")

    @classmethod
    def from_clip(cls, targets: ClipTargets, frame: int, thing_ids: Collection[int]) -> BoxTargets:
        """Frame number ``frame`` of a clip; segments that it does not show are left out."""
        masks = targets.masks[:, frame]  # (N, H, W)
        semantic = torch.full(masks.shape[1:], VOID, dtype=torch.int64, device=masks.device)
        for class_id, mask in zip(targets.class_ids.tolist(), masks, strict=True):
            semantic[mask] = class_id
        things = torch.isin(targets.class_ids, torch.tensor(sorted(thing_ids)).to(masks.device))
        # Crowds, if there are any, have track id 0.
        chosen = things & (targets.track_ids > 0) & masks.flatten(1).any(dim=1)
        return cls(
            boxes=mask_boxes(masks[chosen]),
            class_ids=targets.class_ids[chosen],
            track_ids=targets.track_ids[chosen],
            masks=masks[chosen],
            semantic=semantic,
        )

    def same_as(self, other: BoxTargets) -> Tensor:
        """(G, G') bool, which things of another frame are the same objects."""
        same_class = self.class_ids.unsqueeze(1) == other.class_ids
        return same_class & (self.track_ids.unsqueeze(1) == other.track_ids)


def mask_boxes(masks: Tensor) -> Tensor:
    """(G, H, W) bool, none of them empty -> (G, 4) float boxes, far edges behind the last pixel."""
    rows, columns = masks.any(dim=2), masks.any(dim=1)
    edges = []
    for line in (columns, rows):
        first = line.int().argmax(dim=1)
        last = line.shape[1] - line.flip(1).int().argmax(dim=1)
        edges.append((first, last))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=1).float()
