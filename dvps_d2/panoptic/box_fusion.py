"""Panoptic fusion of tracked boxes: prune masks, let logits compete, settle doubtful instances.

Source: Xiong et al., UPSNet, CVPR 2019 (mask pruning and panoptic head); Kim et al., "Video
Panoptic Segmentation", CVPR 2020, section 5.2 and released code (majority rule, area limit).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.layers.roi import paste_masks
from dvps_d2.structures import Clip, PanopticTube, Segment, TrackedSegments

from .box_logits import semantic_terms
from .identities import IdentityBook
from .resize import Size, resize

NOBODY = -1  # void in a map of owners


@dataclass(frozen=True)
class BoxFusionSettings:
    """Rules of the fusion.

    Attributes:
        thing_ids: class ids that are countable.
        stuff_ids: the other class ids, in the order of the stuff channels.
        overlap_threshold: a mask is dropped when more than this share of it belongs to surer masks
            of its class.
        stuff_area: smaller stuff regions become void; pixels of the output.
        majority: share of an instance's pixels from which another opinion counts; see
            :func:`settle_instances`.
    """

    thing_ids: frozenset[int]
    stuff_ids: tuple[int, ...]
    overlap_threshold: float = 0.3
    stuff_area: int = 2048
    majority: float = 0.5


def prune_masks(masks: Tensor, scores: Tensor, class_ids: Tensor, threshold: float) -> Tensor:
    """Drop masks that are empty or that surer masks of their class have taken already.

    Args:
        masks: (N, H, W) bool.
        scores: (N,); the surest first come first.
        class_ids: (N,).
        threshold: largest share of a mask that may be taken.

    Returns:
        (N,) bool, in the order of the input: which masks stay.
    """
    taken: dict[int, Tensor] = {}
    kept = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    for index in scores.argsort(descending=True, stable=True).tolist():
        mask, class_id = masks[index], int(class_ids[index])
        area = int(mask.sum())
        others = taken.get(class_id, torch.zeros_like(mask))
        if area == 0 or int((mask & others).sum()) > threshold * area:
            continue
        kept[index] = True
        taken[class_id] = others | mask
    return kept


def claim_by_logits(
    semantic_logits: Tensor,
    boxes: Tensor,
    mask_logits: Tensor,
    class_ids: Tensor,
    stuff_ids: Sequence[int],
) -> Tensor:
    """Give every pixel to the largest panoptic logit, one instance at a time.

    The same as the argmax of :func:`dvps_d2.panoptic.box_logits.panoptic_logits` at full
    resolution, without ever holding a channel per instance.

    Args:
        semantic_logits: (K, H, W).
        boxes: (N, 4) in pixels.
        mask_logits: (N, m, m).
        class_ids: (N,).
        stuff_ids: the S stuff classes.

    Returns:
        (H, W) int64: 0..S-1 for stuff, S + i for instance i.
    """
    size = tuple(semantic_logits.shape[1:])
    best, owner = semantic_logits[list(stuff_ids)].max(dim=0)
    for index in range(len(boxes)):
        one = slice(index, index + 1)
        logits = semantic_terms(semantic_logits, boxes[one], class_ids[one], scale=1.0)[0]
        logits += paste_masks(mask_logits[one], boxes[one], size, scale=1.0)[0]
        wins = logits > best
        owner[wins] = len(stuff_ids) + index
        best = torch.where(wins, logits, best)
    return owner


def settle_instances(
    owner: Tensor,
    semantic: Tensor,
    class_ids: Tensor,
    stuff_ids: Sequence[int],
    majority: float = 0.5,
) -> Tensor:
    """Turn instances into stuff where the semantic head sees mostly that stuff.

    Args:
        owner: (H, W) int64 as from :func:`claim_by_logits`.
        semantic: (H, W) int64, best semantic class.
        class_ids: (N,) of the instances.
        stuff_ids: the S stuff classes.
        majority: smallest share of the region that the most frequent class must have. An instance
            whose own class is the most frequent stays, as does one that looks like another thing.

    Returns:
        (H, W) int64 owners.
    """
    stuff = list(stuff_ids)
    settled = owner.clone()
    for index, class_id in enumerate(class_ids.tolist()):
        region = owner == len(stuff) + index
        votes = torch.bincount(semantic[region])
        if len(votes) == 0:
            continue
        winner = int(votes.argmax())
        if winner != class_id and winner in stuff and votes[winner] >= majority * votes.sum():
            settled[region] = stuff.index(winner)
    return settled


def drop_small_stuff(owner: Tensor, num_stuff: int, smallest: int) -> Tensor:
    """Make stuff classes with fewer than ``smallest`` pixels void.

    Args:
        owner: (H, W) int64.
        num_stuff: S, the owners that are stuff.
        smallest: pixels.

    Returns:
        (H, W) int64 with -1 for void.
    """
    areas = torch.bincount(owner[owner >= 0], minlength=num_stuff)[:num_stuff]
    small = F.pad(areas < smallest, (0, max(int(owner.max()) + 1 - num_stuff, 0)))
    return owner.masked_fill((owner >= 0) & small[owner.clamp(min=0)], NOBODY)


class BoxFusion:
    """Tracked detections of one video -> panoptic tubes, frame by frame.

    Stuff has no score in this family; it gets 1.
    """

    def __init__(self, settings: BoxFusionSettings) -> None:
        self.settings = settings

    def __call__(
        self, frames: Sequence[TrackedSegments], clip: Clip, state: IdentityBook | None
    ) -> tuple[PanopticTube, IdentityBook]:
        """Fuse the frames of one window (B = 1).

        Args:
            frames: per frame, detections with identities.
            clip: the same frames; only its sizes are used.
            state: ids given so far; None starts a video.
        """
        book = state or IdentityBook()
        ids, segments = [], {}
        for frame in frames:
            owner, kept = self._owners(frame, clip)
            drawn, book, seen = self._name(owner, kept, book)
            ids.append(drawn)
            segments.update(seen)
        return PanopticTube(torch.stack(ids), segments), book

    def finish(self, state: IdentityBook | None) -> Iterator[PanopticTube]:
        """Nothing is left: every frame was told when it came."""
        return iter(())

    def _owners(self, frame: TrackedSegments, clip: Clip) -> tuple[Tensor, TrackedSegments]:
        """Who owns each pixel of the output, and the detections that were not pruned."""
        rules = self.settings
        valid, original = clip.valid_sizes[0], clip.original_sizes[0]
        semantic = resize(frame.semantic_logits, clip.padded_size)[:, : valid[0], : valid[1]]
        masks = paste_masks(frame.mask_logits, frame.boxes, valid, scale=1.0) > 0
        kept = _select(
            frame, prune_masks(masks, frame.scores, frame.class_ids, rules.overlap_threshold)
        )
        owner = claim_by_logits(
            semantic, kept.boxes, kept.mask_logits, kept.class_ids, rules.stuff_ids
        )
        owner, best = (_nearest(m, original) for m in (owner, semantic.argmax(dim=0)))
        owner = settle_instances(owner, best, kept.class_ids, rules.stuff_ids, rules.majority)
        return drop_small_stuff(owner, len(rules.stuff_ids), rules.stuff_area), kept

    def _name(
        self, owner: Tensor, kept: TrackedSegments, book: IdentityBook
    ) -> tuple[Tensor, IdentityBook, dict[int, Segment]]:
        """Owners -> ids that last over the video; only what is seen gets an id."""
        rules = self.settings
        places = [place for place in owner.unique().tolist() if place != NOBODY]
        stuff = len(rules.stuff_ids)
        class_ids = [*rules.stuff_ids, *kept.class_ids.tolist()]
        tracks = [0] * stuff + kept.track_ids.tolist()
        scores = [1.0] * stuff + kept.scores.tolist()
        ids, book = book.assign(
            [tracks[p] for p in places], [class_ids[p] for p in places], rules.thing_ids
        )
        table = torch.zeros(len(class_ids) + 1, dtype=torch.int32, device=owner.device)
        segments = {}
        for place, number in zip(places, ids, strict=True):
            table[place] = number
            segments[number] = Segment(
                class_ids[place], class_ids[place] in rules.thing_ids, scores[place]
            )
        return table[owner], book, segments  # the last entry, found by -1, is void


def _select(frame: TrackedSegments, kept: Tensor) -> TrackedSegments:
    return TrackedSegments(
        frame.boxes[kept],
        frame.scores[kept],
        frame.class_ids[kept],
        frame.mask_logits[kept],
        frame.semantic_logits,
        frame.pyramid,
        track_ids=frame.track_ids[kept],
    )


def _nearest(labels: Tensor, size: Size) -> Tensor:
    """Resize a map (H, W) of numbers without inventing new ones."""
    if tuple(labels.shape) == tuple(size):
        return labels
    maps = labels[None, None].double()
    return F.interpolate(maps, size=tuple(size), mode="nearest-exact")[0, 0].to(labels.dtype)
