"""What learned tracking is compared with: order, class rank, and overlap along the flow.

Source: Kim et al., "Video Panoptic Segmentation", CVPR 2020, table 4 (Cls-Sort, IoU-Match).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers.flow import FlowEstimator, FramePair, resize_flow, warp
from dvps_d2.layers.roi import last_pixels, paste_masks
from dvps_d2.structures import Clip, FrameSegments, TrackedSegments

from .roi_affinity import NEW, assign, mask_iou


class DetectionOrder(nn.Module):
    """The n-th surest detection of every frame is taken for one object: the floor of tracking."""

    def forward(
        self, frames: Sequence[FrameSegments], clip: Clip, state: None
    ) -> tuple[list[TrackedSegments], None]:
        """Number the detections of each frame; ``state`` is not used."""
        return [TrackedSegments.from_frame(f, _ranks(f.scores)) for f in frames], None


class ClassSorting(nn.Module):
    """The n-th surest car of every frame is taken for one car, and so for every class (Cls-Sort).

    Ids count from 0 in every class.
    """

    def forward(
        self, frames: Sequence[FrameSegments], clip: Clip, state: None
    ) -> tuple[list[TrackedSegments], None]:
        """Number the detections of each class and frame; ``state`` is not used."""
        tracked = []
        for frame in frames:
            track_ids = torch.empty_like(frame.class_ids)
            for class_id in frame.class_ids.unique():
                chosen = frame.class_ids == class_id
                track_ids[chosen] = _ranks(frame.scores[chosen])
            tracked.append(TrackedSegments.from_frame(frame, track_ids))
        return tracked, None


@dataclass(frozen=True, eq=False)
class MaskMemory:
    """The frame before.

    Attributes:
        masks: (M, h, w) float, 1 inside.
        class_ids: (M,).
        track_ids: (M,).
        image: (3, H, W) as in the clip.
        frame_id: its number.
        next_id: id of the next new object.
    """

    masks: Tensor
    class_ids: Tensor
    track_ids: Tensor
    image: Tensor
    frame_id: int
    next_id: int


class FlowIouMatching(nn.Module):
    """Follow masks along the optical flow to the next frame, and match by overlap (IoU-Match).

    Args:
        flow: between frames as the clip holds them (normalised).
        min_overlap: smallest IoU, of masks of one class, that continues a track. Not published.
    """

    def __init__(self, flow: FlowEstimator, min_overlap: float = 0.1) -> None:
        super().__init__()
        self.flow = flow
        self.min_overlap = min_overlap

    def forward(
        self, frames: Sequence[FrameSegments], clip: Clip, state: MaskMemory | None
    ) -> tuple[list[TrackedSegments], MaskMemory | None]:
        """Track the frames of one window in order."""
        tracked = []
        for t, frame in enumerate(frames):
            grid = tuple(frame.semantic_logits.shape[1:])
            masks = (paste_masks(frame.mask_logits, last_pixels(frame.boxes), grid) > 0).float()
            frame_id, image = clip.frame_ids[0][t], clip.images[0, t]
            chosen = torch.full_like(frame.class_ids, NEW)
            if state is not None and len(state.track_ids) and len(frame.class_ids):
                pair = FramePair(clip.video_ids[0], frame_id, state.frame_id)
                flow = resize_flow(self.flow(image[None], state.image[None], [pair]), grid)
                before = warp(state.masks[None], flow.to(masks.dtype))[0] > 0.5
                overlap = mask_iou(masks, before)
                overlap = overlap * (frame.class_ids.unsqueeze(1) == state.class_ids)
                chosen = assign(F.pad(overlap, (1, 0), value=self.min_overlap))
            is_new = chosen == NEW
            next_id = 0 if state is None else state.next_id
            track_ids = torch.empty_like(chosen)
            track_ids[is_new] = next_id + torch.arange(int(is_new.sum()), device=chosen.device)
            if state is not None:
                track_ids[~is_new] = state.track_ids[chosen[~is_new]]
            next_id += int(is_new.sum())
            state = MaskMemory(masks, frame.class_ids, track_ids, image, frame_id, next_id)
            tracked.append(TrackedSegments.from_frame(frame, track_ids))
        return tracked, state


def _ranks(scores: Tensor) -> Tensor:
    """(N,) -> (N,) place of each score in descending order."""
    return scores.argsort(descending=True, stable=True).argsort()
