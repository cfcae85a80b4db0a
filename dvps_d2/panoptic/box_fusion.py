"""Panoptic fusion of tracked boxes: prune masks, let logits compete, settle doubtful instances.

Source: Xiong et al., UPSNet, CVPR 2019 (mask pruning and panoptic head); Kim et al., "Video
Panoptic Segmentation", CVPR 2020, section 5.2 and released code (majority rule, area limit).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.layers.roi import PlacedMask, last_pixels, place_mask
from dvps_d2.structures import Clip, PanopticTube, Segment, TrackedSegments

from .box_logits import box_slices
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


def prune_masks(
    masks: Sequence[PlacedMask],
    scores: Tensor,
    class_ids: Tensor,
    threshold: float,
    size: Sequence[int],
) -> Tensor:
    """Drop masks that are empty or that surer masks of their class have taken already.

    Args:
        masks: N masks with bool values.
        scores: (N,); the surest first come first.
        class_ids: (N,).
        threshold: largest share of a mask that may be taken.
        size: (H, W) of the frame.

    Returns:
        (N,) bool, in the order of the input: which masks stay.
    """
    taken: dict[int, Tensor] = {}
    kept = torch.zeros(len(masks), dtype=torch.bool, device=scores.device)
    for index in scores.argsort(descending=True, stable=True).tolist():
        (*inside, mask), class_id = masks[index], int(class_ids[index])
        if class_id not in taken:
            taken[class_id] = mask.new_zeros(tuple(size))
        others, area = taken[class_id][tuple(inside)], int(mask.sum())
        if area == 0 or int((mask & others).sum()) > threshold * area:
            continue
        kept[index] = True
        others |= mask
    return kept


def claim_by_logits(
    semantic_logits: Tensor,
    boxes: Tensor,
    masks: Sequence[PlacedMask],
    class_ids: Tensor,
    stuff_ids: Sequence[int],
) -> Tensor:
    """Give every pixel to the largest panoptic logit, one instance at a time.

    The same as the argmax of :func:`dvps_d2.panoptic.box_logits.panoptic_logits` at full
    resolution, without ever holding a channel per instance: an instance is worked on inside its
    box. Outside its logit is 0, which wins over negative ones; those are left only where all
    instances before have their boxes.

    Args:
        semantic_logits: (K, H, W).
        boxes: (N, 4) in pixels.
        masks: N masks with logits.
        class_ids: (N,).
        stuff_ids: the S stuff classes.

    Returns:
        (H, W) int64: 0..S-1 for stuff, S + i for instance i.
    """
    best, owner = best_class(semantic_logits, stuff_ids)
    size = (owner.shape[0], owner.shape[1])
    unclaimed = Window(0, size[0], 0, size[1])
    instances = zip(masks, boxes.tolist(), class_ids.tolist(), strict=True)
    for number, (mask, box, class_id) in enumerate(instances, start=len(stuff_ids)):
        rows, columns = box_slices(box, 1.0, size)
        window = Window.around((rows, columns), (mask.rows, mask.columns))
        logits = best.new_zeros(window.shape)
        semantic = semantic_logits[class_id, rows, columns]
        for *place, values in ((rows, columns, semantic), mask):
            if values.numel():
                logits[window.inner(*place)] += values
        if unclaimed.shape[0] and unclaimed.shape[1]:
            losers = best[unclaimed.place] < 0
            common = unclaimed.common(window)
            losers[unclaimed.inner(*common.place)] = False
            owner[unclaimed.place].masked_fill_(losers, number)
            best[unclaimed.place].masked_fill_(losers, 0)
            unclaimed = common
        wins = logits > best[window.place]
        owner[window.place].masked_fill_(wins, number)
        best[window.place].copy_(torch.maximum(logits, best[window.place]))
    return owner


class Window(NamedTuple):
    """A rectangle of a frame; empty where an end is not behind its beginning."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def around(cls, *parts: tuple[slice, slice]) -> Window:
        """The smallest window around parts that are not empty."""
        parts = tuple(p for p in parts if p[0].stop > p[0].start and p[1].stop > p[1].start)
        if not parts:
            return cls(0, 0, 0, 0)
        rows, columns = zip(*parts, strict=True)
        return cls(
            min(r.start for r in rows),
            max(r.stop for r in rows),
            min(c.start for c in columns),
            max(c.stop for c in columns),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def place(self) -> tuple[slice, slice]:
        """In the frame."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def inner(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """A part of the frame, as counted from the corner of this window."""
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return slice(0, 0), slice(0, 0)
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )

    def common(self, other: Window) -> Window:
        """What lies in both."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, max(bottom, top), left, max(right, left))


def best_class(logits: Tensor, class_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Largest logit (H, W) of some of K classes, and its place (H, W) among them; first on ties."""
    best = logits[class_ids[0]].clone()
    owner = torch.zeros(best.shape, dtype=torch.int64, device=best.device)
    for place, class_id in enumerate(class_ids[1:], start=1):
        owner.masked_fill_(logits[class_id] > best, place)
        torch.maximum(best, logits[class_id], out=best)
    return best, owner


def settle_instances(
    owner: Tensor,
    semantic_logits: Tensor,
    class_ids: Tensor,
    stuff_ids: Sequence[int],
    majority: float = 0.5,
) -> Tensor:
    """Turn instances into stuff where the semantic head sees mostly that stuff.

    Args:
        owner: (H, W) int64 as from :func:`claim_by_logits`.
        semantic_logits: (K, H, W); looked at inside instances only.
        class_ids: (N,) of the instances.
        stuff_ids: the S stuff classes.
        majority: smallest share of the region that the most frequent class must have. An instance
            whose own class is the most frequent stays, as does one that looks like another thing.

    Returns:
        (H, W) int64 owners.
    """
    stuff = list(stuff_ids)
    settled = owner.clone()
    is_thing = owner >= len(stuff)
    owners, seen = owner[is_thing], semantic_logits[:, is_thing].argmax(dim=0)
    result = owners.clone()
    for index, class_id in enumerate(class_ids.tolist()):
        region = owners == len(stuff) + index
        votes = torch.bincount(seen[region])
        if len(votes) == 0:
            continue
        winner = int(votes.argmax())
        if winner != class_id and winner in stuff and votes[winner] >= majority * votes.sum():
            result[region] = stuff.index(winner)
    settled[is_thing] = result
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
        boxes = last_pixels(frame.boxes)
        masks = [
            place_mask(logits, box, valid, scale=1.0)
            for logits, box in zip(frame.mask_logits, boxes.tolist(), strict=True)
        ]
        stays = prune_masks(
            [mask._replace(values=mask.values > 0) for mask in masks],
            frame.scores,
            frame.class_ids,
            rules.overlap_threshold,
            valid,
        )
        kept = _select(frame, stays)
        masks = [mask for mask, stay in zip(masks, stays.tolist(), strict=True) if stay]
        owner = claim_by_logits(semantic, boxes[stays], masks, kept.class_ids, rules.stuff_ids)
        owner = settle_instances(owner, semantic, kept.class_ids, rules.stuff_ids, rules.majority)
        owner = _nearest(owner, original)
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
