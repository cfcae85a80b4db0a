"""Tracking by the likeness of what is inside the boxes.

Source: Yang et al., "Video Instance Segmentation" (MaskTrack R-CNN), ICCV 2019, section 4; Kim et
al., "Video Panoptic Segmentation" (VPSNet), CVPR 2020, section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_iou

from dvps_d2.layers.roi import last_pixels, paste_masks, pool_rois
from dvps_d2.structures import Clip, FrameSegments, TrackedSegments

NUM_LEVELS = 4  # strides 4 to 32
# Of cosines, which alone could not outweigh the zero logit of a new object. Not published.
COSINE_SCALE = 10.0
NEW = -1  # in an assignment: no track of the memory


class TrackHead(nn.Module):
    """RoI features -> vectors whose dot products say how alike two objects are.

    Parameter names are those of released weights (``track_head.*``).

    Args:
        channels: of the RoI features.
        side: cells along each axis of an RoI.
        hidden_dim: length of the vectors, and of the layer before.
        cosine: give all vectors one length, so that dot products are cosines times
            ``COSINE_SCALE``.

    Source: VPSNet; the released code takes plain dot products where the paper writes cosine.
    """

    def __init__(
        self,
        channels: int = 256,
        side: int = 7,
        hidden_dim: int = 1024,
        *,
        cosine: bool = False,
    ) -> None:
        super().__init__()
        self.side = side
        self.cosine = cosine
        sizes = (channels * side * side, hidden_dim, hidden_dim)
        layers = [nn.Linear(sizes[i], sizes[i + 1]) for i in range(2)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        self.fcs = nn.ModuleList(layers)

    def forward(self, levels: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Embed.

        Args:
            levels: (N, C, h_l, w_l), finest (stride 4) first.
            boxes: per image (R, 4) in pixels.

        Returns:
            (sum of R, hidden_dim).
        """
        rois = pool_rois(levels, boxes, self.side).flatten(1)
        embeds = self.fcs[1](F.relu(self.fcs[0](rois)))
        if self.cosine:
            embeds = F.normalize(embeds.float(), dim=-1) * COSINE_SCALE**0.5
        return embeds


def affinity(embeds: Tensor, memory: Tensor) -> Tensor:
    """Logits of being each remembered object, or none of them.

    Args:
        embeds: (N, C).
        memory: (M, C).

    Returns:
        (N, 1 + M): column 0 is "new" and always 0, the others are dot products.
    """
    return F.pad(embeds @ memory.T, (1, 0))


@dataclass(frozen=True)
class CueWeights:
    """What counts beside appearance when detections are matched with tracks.

    Attributes:
        score: of the logarithm of the detection's score.
        box: of the overlap (IoU) of the boxes.
        label: of being of the same class.
        mask: of the overlap of the masks, the cue that the VPSNet paper adds ("IoU of things
            logits"); the released code has the box overlap only.
    """

    score: float = 1.0
    box: float = 2.0
    label: float = 10.0
    mask: float = 0.0


@dataclass(frozen=True, eq=False)
class TrackMemory:
    """Objects seen so far, as they looked when last seen.

    Attributes:
        embeds: (M, C).
        boxes: (M, 4).
        class_ids: (M,) class at first sight; never changed.
        track_ids: (M,).
        last_seen: (M,) number of the frame.
        masks: (M, h, w) bool, or None where masks are no cue.
        next_id: id of the next new object.
        frame: number of the next frame.
    """

    embeds: Tensor
    boxes: Tensor
    class_ids: Tensor
    track_ids: Tensor
    last_seen: Tensor
    masks: Tensor | None = None
    next_id: int = 0
    frame: int = 0

    def __len__(self) -> int:
        return len(self.track_ids)


def matching_scores(
    appearance: Tensor,
    scores: Tensor,
    same_class: Tensor,
    box_overlap: Tensor,
    mask_overlap: Tensor | None,
    weights: CueWeights,
) -> Tensor:
    """How well each detection continues each track, or starts one.

    Args:
        appearance: (N, 1 + M) logits of :func:`affinity`.
        scores: (N,) of the detections, in 0..1.
        same_class: (N, M) bool.
        box_overlap: (N, M) IoU.
        mask_overlap: (N, M) IoU, or None.
        weights: of the cues.

    Returns:
        (N, 1 + M). A new object counts as of the same class, without overlap.
    """
    cues = weights.label * same_class.to(appearance) + weights.box * box_overlap.to(appearance)
    if mask_overlap is not None:
        cues = cues + weights.mask * mask_overlap.to(appearance)
    cues = F.pad(cues, (1, 0), value=weights.label)
    sure = weights.score * scores.to(appearance).clamp(min=1e-12).log()
    return appearance.log_softmax(dim=-1) + sure.unsqueeze(-1) + cues


def assign(scores: Tensor) -> Tensor:
    """Give every track to at most one detection.

    Every detection asks for its best column; of several that ask for one track the best-scoring
    gets it (the first on ties), and the others become new objects.

    Args:
        scores: (N, 1 + M); column 0 is "new".

    Returns:
        (N,) int64 row of the memory, or -1 for a new object.
    """
    if scores.shape[0] == 0:
        return scores.new_zeros(0, dtype=torch.int64)
    best, column = scores.max(dim=1)
    chosen = column - 1
    holder: dict[int, int] = {}
    for detection, track in enumerate(chosen.tolist()):
        if track == NEW:
            continue
        other = holder.get(track)
        if other is not None and best[detection] <= best[other]:
            chosen[detection] = NEW
            continue
        if other is not None:
            chosen[other] = NEW
        holder[track] = detection
    return chosen


def track_frame(
    embeds: Tensor,
    boxes: Tensor,
    scores: Tensor,
    class_ids: Tensor,
    memory: TrackMemory | None,
    *,
    masks: Tensor | None = None,
    weights: CueWeights | None = None,
    capacity: int = 0,
) -> tuple[Tensor, TrackMemory]:
    """Identities of one frame's detections: a function of them and of the memory.

    Args:
        embeds: (N, C).
        boxes: (N, 4).
        scores: (N,).
        class_ids: (N,).
        memory: what the frame before returned; None starts a video.
        masks: (N, h, w) bool, if masks are a cue.
        weights: of the cues; the released code's by default.
        capacity: tracks that are remembered, those seen last first; 0 is all (as published).

    Returns:
        (N,) int64 ids, and the memory after this frame.
    """
    weights = weights or CueWeights()
    if memory is None:
        memory = _start(embeds, boxes, class_ids, masks)
    compared = weights.mask > 0 and masks is not None
    total = matching_scores(
        affinity(embeds, memory.embeds),
        scores,
        class_ids.unsqueeze(1) == memory.class_ids,
        box_iou(boxes, memory.boxes),
        mask_iou(masks, memory.masks) if compared else None,
        weights,
    )
    chosen = assign(total)
    is_new = chosen == NEW
    track_ids = memory.track_ids[chosen.clamp(min=0)] if len(memory) else chosen.clone()
    track_ids[is_new] = memory.next_id + torch.arange(int(is_new.sum()), device=boxes.device)
    seen = TrackMemory(
        embeds,
        boxes,
        # A track keeps the class that it had at first sight.
        torch.where(is_new, class_ids, memory.class_ids[chosen.clamp(min=0)])
        if len(memory)
        else class_ids,
        track_ids,
        torch.full_like(track_ids, memory.frame),
        masks,
        memory.next_id + int(is_new.sum()),
        memory.frame + 1,
    )
    return track_ids, _remember(memory, seen, chosen[~is_new], capacity)


class RoiTracker(nn.Module):
    """MaskTrack association: appearance, score, class and place, greedily.

    Args:
        head: embeds RoIs.
        weights: of the cues.
        capacity: see :func:`track_frame`.
    """

    def __init__(self, head: TrackHead, weights: CueWeights, capacity: int = 0) -> None:
        super().__init__()
        if capacity < 0:
            raise ValueError(f"capacity must be 0 (all tracks) or more, got {capacity}")
        self.head = head
        self.weights = weights
        self.capacity = capacity

    def forward(
        self, frames: Sequence[FrameSegments], clip: Clip, state: TrackMemory | None
    ) -> tuple[list[TrackedSegments], TrackMemory | None]:
        """Track the frames of one window in order; ``clip`` is not looked at."""
        tracked = []
        for frame in frames:
            pyramid = {name: level.unsqueeze(0) for name, level in frame.pyramid.items()}
            (embeds,) = self.embed(pyramid, [frame.boxes])
            masks = None
            if self.weights.mask > 0:
                grid = tuple(frame.semantic_logits.shape[1:])
                masks = paste_masks(frame.mask_logits, last_pixels(frame.boxes), grid) > 0
            track_ids, state = track_frame(
                embeds,
                frame.boxes,
                frame.scores,
                frame.class_ids,
                state,
                masks=masks,
                weights=self.weights,
                capacity=self.capacity,
            )
            tracked.append(TrackedSegments.from_frame(frame, track_ids))
        return tracked, state

    def embed(self, pyramid: Mapping[str, Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Vectors of boxes.

        Args:
            pyramid: level -> (N, C, h_l, w_l), finest (stride 4) first; four levels are read.
            boxes: per image (R, 4) in pixels.

        Returns:
            Per image (R, C').
        """
        embeds = self.head(list(pyramid.values())[:NUM_LEVELS], boxes)
        return list(embeds.split([len(box) for box in boxes]))


def mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    """(N, h, w) and (M, h, w) bool -> (N, M) intersection over union; 0 where both are empty."""
    a, b = masks.flatten(1).float(), others.flatten(1).float()
    common = a @ b.T
    union = a.sum(1, keepdim=True) + b.sum(1) - common
    return common / union.clamp(min=1)


def _start(embeds: Tensor, boxes: Tensor, class_ids: Tensor, masks: Tensor | None) -> TrackMemory:
    """A memory of nothing."""
    none = class_ids.new_zeros(0)
    return TrackMemory(
        embeds[:0], boxes[:0], class_ids[:0], none, none, None if masks is None else masks[:0]
    )


def _remember(
    memory: TrackMemory, seen: TrackMemory, replaced: Tensor, capacity: int
) -> TrackMemory:
    """What was seen now before what was seen earlier; the oldest is forgotten beyond capacity."""
    kept = torch.ones(len(memory), dtype=torch.bool, device=replaced.device)
    kept[replaced] = False
    merged: dict[str, Any] = {
        name: torch.cat([getattr(seen, name), getattr(memory, name)[kept]])
        for name in ("embeds", "boxes", "class_ids", "track_ids", "last_seen", "masks")
        if getattr(seen, name) is not None
    }
    if 0 < capacity < len(merged["track_ids"]):
        newest = merged["last_seen"].argsort(descending=True, stable=True)[:capacity]
        merged = {name: values[newest] for name, values in merged.items()}
    return replace(seen, **merged)
