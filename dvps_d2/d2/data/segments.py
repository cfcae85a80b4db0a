"""The segments of a clip as numbers per pixel, and things as Detectron2's detectors take them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from torch import Tensor

from dvps_d2.formats import VOID, ClassTable, PanopticLabel
from dvps_d2.structures import ClipTargets

CROWD_RULES = ("drop", "segment")
VANISHED = -1  # track id of a thing in a frame of the clip where it is not visible


@dataclass(frozen=True, eq=False)
class NumberedSegments:
    """The segments that the labels of a clip have in common.

    Attributes:
        class_ids: (N,) int64.
        track_ids: (N,) int64, 0 for stuff and crowds.
        maps: per frame (H, W) uint8 (uint16 from 256 segments on): n + 1 in segment n, 0 where
            there is none.
    """

    class_ids: np.ndarray
    track_ids: np.ndarray
    maps: list[np.ndarray]


def number_segments(
    labels: Sequence[PanopticLabel], table: ClassTable, *, crowd: str
) -> NumberedSegments:
    """Number the segments of several frames alike.

    Args:
        labels: one per frame.
        table: classes of the dataset.
        crowd: "drop" makes regions of untold things void, "segment" one segment per class.
    """
    runs = [_runs(label) for label in labels]
    keys = np.unique(np.concatenate([values for values, _ in runs]))
    class_ids, track_ids = keys & 0xFF, keys >> 8
    kept = class_ids != VOID
    if crowd == "drop":
        kept &= ~(table.is_thing[class_ids] & (track_ids == 0))
    number_of = np.where(kept, np.cumsum(kept), 0)
    number_of = number_of.astype(np.uint8 if kept.sum() < 256 else np.uint16)
    maps = [
        np.repeat(number_of[np.searchsorted(keys, values)], lengths).reshape(label.shape)
        for label, (values, lengths) in zip(labels, runs, strict=True)
    ]
    return NumberedSegments(class_ids[kept], track_ids[kept], maps)


def _runs(label: PanopticLabel) -> tuple[np.ndarray, np.ndarray]:
    """Track id x 256 + class id along the rows of a label: int64 values and lengths of runs.

    A frame has thousands of runs and millions of pixels.
    """
    keys = (label.track_ids.astype(np.int64).ravel() << 8) | label.class_ids.ravel()
    starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts = np.concatenate([[0], starts])
    return keys[starts], np.diff(starts, append=keys.size)


@dataclass(frozen=True, eq=False)
class SegmentMaps:
    """Ground truth of a clip as it leaves the loader: a number per pixel, not a mask per segment.

    Thirty masks are thirty times as much to hand from process to process and to a GPU.

    Attributes:
        class_ids: (N,) int64 contiguous class ids.
        track_ids: (N,) int64, 0 for stuff and crowds.
        numbers: (T, H, W) uint8 (int16 from 256 segments on): n + 1 in segment n, 0 in none.
        depth: (T, H, W) float32 metres, 0 where there is no measurement; None without depth.
    """

    class_ids: Tensor
    track_ids: Tensor
    numbers: Tensor
    depth: Tensor | None = None

    @property
    def masks(self) -> Tensor:
        """(N, T, H, W) bool."""
        rows = torch.arange(1, len(self.class_ids) + 1, device=self.numbers.device)
        return self.numbers == rows.to(self.numbers.dtype).view(-1, 1, 1, 1)

    def expand(self, device: torch.device | str = "cpu") -> ClipTargets:
        """The targets with masks, made on the device they are needed on."""
        depth = None if self.depth is None else self.depth.to(device)
        class_ids, track_ids = self.class_ids.to(device), self.track_ids.to(device)
        moved = SegmentMaps(class_ids, track_ids, self.numbers.to(device))
        return ClipTargets(class_ids, track_ids, moved.masks, depth)


def frame_instances(
    maps: SegmentMaps, thing_ids: Collection[int], *, keep_vanished: bool
) -> list[Instances]:
    """The things of every frame of a clip, for a box detector.

    Args:
        maps: segments of the clip.
        thing_ids: class ids of things, in order.
        keep_vanished: list things in frames where they are not visible too.

    Returns:
        Per frame ``gt_boxes`` (x0, y0, x1, y1) in pixels, x1 and y1 being one past the last pixel;
        ``gt_classes``, places in ``thing_ids``; ``gt_masks``; ``gt_track_ids``, the same number in
        all frames of a video, -1 where the thing is not visible. On Cityscapes-VPS read from
        ``panoptic_inst`` that number is class x 1000 + object, the ``inst_id`` of its JSON.
    """
    place_of = {class_id: place for place, class_id in enumerate(thing_ids)}
    places = torch.tensor([place_of.get(c, -1) for c in maps.class_ids.tolist()])
    single = (places >= 0) & (maps.track_ids > 0)
    rows = (torch.nonzero(single).flatten() + 1).to(maps.numbers.dtype)
    frames = []
    for numbers in maps.numbers:
        visible = torch.isin(rows, torch.unique(numbers))
        track_ids = torch.where(visible, maps.track_ids[single], VANISHED)
        chosen = torch.ones_like(visible) if keep_vanished else visible
        bit_masks = BitMasks(numbers == rows[chosen].view(-1, 1, 1))
        instances = Instances(tuple(numbers.shape))
        instances.gt_boxes = _boxes(bit_masks)
        instances.gt_classes = places[single][chosen]
        instances.gt_masks = bit_masks
        instances.gt_track_ids = track_ids[chosen]
        frames.append(instances)
    return frames


def _boxes(masks: BitMasks) -> Boxes:
    return masks.get_bounding_boxes() if len(masks) else Boxes(torch.zeros(0, 4))


def things_in_every_frame(maps: SegmentMaps, thing_ids: Collection[int]) -> bool:
    """Whether each frame of a clip shows a thing."""
    things = torch.isin(maps.class_ids, torch.tensor(list(thing_ids), dtype=torch.int64))
    rows = (torch.nonzero(things).flatten() + 1).to(maps.numbers.dtype)
    return all(bool(torch.isin(numbers, rows).any()) for numbers in maps.numbers)
