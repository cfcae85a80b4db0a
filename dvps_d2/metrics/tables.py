"""Contingency tables: all that a panoptic metric ever needs to know about a frame.

Two label maps meet in one small table: for every pair (truth segment, predicted segment) that
shares a pixel, the number of shared pixels, split by depth-error level. Every window length and
every depth threshold is then arithmetic on these tables; no pixel is looked at twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

VOID = -1  # in an index array: the pixel has no label on this side

REGULAR, CROWD, HIDDEN, UNLISTED = 0, 1, 2, 3  # roles of a truth segment, see ``Segments``


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments on one side of a frame, in the order in which they are listed.

    Attributes:
        ids: (N,) int64, distinct; the same id in two frames is the same tube.
        class_ids: (N,) int64, class of the segment in this frame.
        tracks: (N,) int64, instance number inside the class; 0 for stuff and, in STQ, for crowd.
        areas: (N,) int64, pixels.
        roles: (N,) int8. ``REGULAR`` is matched; ``CROWD`` only excuses predictions of its own
            class; ``HIDDEN`` is not matched and excuses predictions of any class; ``UNLISTED``
            has pixels but no entry in this frame's list, so its class is -1, and it belongs to
            the tube of its id when another frame lists it.
    """

    ids: np.ndarray
    class_ids: np.ndarray
    tracks: np.ndarray
    areas: np.ndarray
    roles: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"all fields of Segments must have one length, got {lengths}")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Who shares how many pixels with whom in one frame.

    Attributes:
        truth, pred: the segments of both sides.
        truth_index, pred_index: (P,) int64, rows of ``truth`` and ``pred``, or ``VOID``; one
            entry per pair that shares a pixel.
        pixels: (P, L) int64, shared pixels by depth-error level (L = 1 without depth).
    """

    truth: Segments
    pred: Segments
    truth_index: np.ndarray
    pred_index: np.ndarray
    pixels: np.ndarray

    @classmethod
    def empty(cls, num_levels: int = 1) -> FrameTable:
        """The table of a frame without a pixel."""
        none = np.zeros(0, np.int64)
        segments = Segments(none, none, none, none, none.astype(np.int8))
        return cls(segments, segments, none, none, np.zeros((0, num_levels), np.int64))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """One side of a frame: an id per pixel, and what the ids mean.

    Attributes:
        ids: (H, W) integer.
        meaning: ``Coding`` when the id itself holds class and instance, else ``Listing``.
        offset: every value of ``ids`` is this much above the id it stands for. Lets 24-bit ids
            be views into four-channel images, whose alpha is 255, without touching the pixels.
    """

    ids: np.ndarray
    meaning: Coding | Listing
    offset: int = 0


@dataclass(frozen=True)
class Coding:
    """Ids that hold class and instance: ``id = class * divisor + instance``.

    Attributes:
        divisor: above the largest instance number.
        void_classes: pixels of these classes have no label.
        hidden_classes: truth of these classes is ``HIDDEN``. A class may be in both: its
            instance 0 is then void and the other instances are hidden.
        crowd_classes: truth of these classes with instance 0 is ``CROWD``.
        num_classes: ids of any other class from here on are an error; None = accept all.
    """

    divisor: int
    void_classes: tuple[int, ...] = (255,)
    hidden_classes: tuple[int, ...] = ()
    crowd_classes: tuple[int, ...] = ()
    num_classes: int | None = None

    def split(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and instance of every id."""
        return np.divmod(ids, self.divisor)

    def read(self, ids: np.ndarray, areas: np.ndarray) -> tuple[Segments, np.ndarray]:
        """Turn the distinct ids of a map and their pixel counts into segments and row numbers."""
        class_ids, tracks = self.split(ids)
        void = np.isin(class_ids, self.void_classes)
        hidden = np.isin(class_ids, self.hidden_classes)
        void &= ~hidden | (tracks == 0)
        if self.num_classes is not None:
            known = ((class_ids >= 0) & (class_ids < self.num_classes)) | void | hidden
            if not known.all():
                bad = int(np.flatnonzero(~known)[0])
                raise ValueError(
                    f"unknown class {class_ids[bad]} (instance {tracks[bad]}, {areas[bad]} "
                    f"pixels): expected 0..{self.num_classes - 1}, or "
                    f"{' or '.join(map(str, self.void_classes))} for void"
                )
        keep = ~void
        rows = np.where(keep, np.cumsum(keep) - 1, VOID)
        crowd = np.isin(class_ids, self.crowd_classes) & (tracks == 0)
        roles = np.select([hidden[keep], crowd[keep]], [HIDDEN, CROWD], REGULAR).astype(np.int8)
        return Segments(ids[keep], class_ids[keep], tracks[keep], areas[keep], roles), rows


@dataclass(frozen=True)
class ChannelCoding(Coding):
    """Ids of a PNG whose red channel is the class and whose other two are the instance.

    The id is R + 256 G + 65536 B; the instance is 256 G + B, as in KITTI-STEP, or G alone.

    Attributes:
        divisor: not used.
        green_only: the instance is G, and B must be 0.
    """

    divisor: int = 256
    green_only: bool = False

    def split(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and instance of every id."""
        red, green, blue = ids & 255, (ids >> 8) & 255, ids >> 16
        if not self.green_only:
            return red, (green << 8) | blue
        if blue.any():
            raise ValueError(
                f"the third channel must be 0 (the first two are class and instance), "
                f"found {blue.max()}"
            )
        return red, green


@dataclass(frozen=True, eq=False)
class Listing:
    """Ids that are explained by a list, as in a COCO panoptic JSON; id 0 is void.

    Attributes:
        ids: (N,) int64, distinct, not 0.
        class_ids: (N,) int64.
        crowd: (N,) bool.
        areas: (N,) int64 areas that replace the pixel counts, or None. Published scripts take
            the area of the truth from the JSON file.
        strict: raise when list and pixels disagree. Otherwise pixels without an entry become
            segments of the role ``UNLISTED``, and entries without pixels stay.
        num_classes: classes outside 0..num_classes - 1 are an error; None = accept all.
    """

    ids: np.ndarray
    class_ids: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray | None = None
    strict: bool = True
    num_classes: int | None = None

    @classmethod
    def from_info(
        cls,
        segments_info: Sequence[Mapping],
        *,
        published_areas: bool = False,
        strict: bool = True,
        num_classes: int | None = None,
    ) -> Listing:
        """Read ``segments_info``; a repeated id keeps its first class and adds up its areas."""
        rows = pack_segments(segments_info)
        areas = rows[:, 3] if published_areas else None
        return cls(rows[:, 0], rows[:, 1], rows[:, 2] == 1, areas, strict, num_classes)

    def __post_init__(self) -> None:
        if (self.ids == 0).any():
            raise ValueError("segment id 0 is listed, but 0 is the id of void")
        if self.num_classes is not None:
            bad = (self.class_ids < 0) | (self.class_ids >= self.num_classes)
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise ValueError(
                    f"segment {self.ids[row]} has unknown class {self.class_ids[row]}: "
                    f"expected 0..{self.num_classes - 1}"
                )

    def read(self, ids: np.ndarray, areas: np.ndarray) -> tuple[Segments, np.ndarray]:
        """Turn the distinct ids of a map and their pixel counts into segments and row numbers."""
        order = np.argsort(self.ids, kind="stable")
        place = np.searchsorted(self.ids, ids, sorter=order)
        rows = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros_like(ids)
        listed = self.ids[rows] == ids if len(order) else np.zeros(len(ids), bool)
        unlisted = ~listed & (ids != 0)
        rows = np.where(listed, rows, VOID)
        counted = np.zeros(len(self.ids), np.int64)
        counted[rows[listed]] = areas[listed]
        if self.strict:
            self._check(ids[unlisted], areas[unlisted], counted)
        roles = np.where(self.crowd, CROWD, REGULAR).astype(np.int8)
        # Published scripts add the areas of the list up, to which these have nothing to add.
        more = areas[unlisted] * (self.areas is None)
        areas = counted if self.areas is None else self.areas
        rows[unlisted] = len(self.ids) + np.arange(len(more))
        every = np.concatenate([self.ids, ids[unlisted]])
        segments = Segments(
            every,
            np.append(self.class_ids, np.full(len(more), -1)),
            every,
            np.append(areas, more),
            np.append(roles, np.full(len(more), UNLISTED, np.int8)),
        )
        return segments, rows

    def _check(self, unlisted: np.ndarray, areas: np.ndarray, counted: np.ndarray) -> None:
        if len(unlisted):
            raise ValueError(
                f"id {unlisted[0]} has {areas[0]} pixels but is not in the segment list"
            )
        if (counted == 0).any():
            bad = int(np.flatnonzero(counted == 0)[0])
            raise ValueError(f"id {self.ids[bad]} is in the segment list but has no pixels")


def pack_segments(segments_info: Sequence[Mapping]) -> np.ndarray:
    """(N, 4) int64 rows id, category_id, iscrowd, area of a COCO ``segments_info``.

    A repeated id keeps its first category and adds up its areas.
    """
    first: dict[int, list[int]] = {}
    for info in segments_info:
        values = [int(info["category_id"]), int(info.get("iscrowd", 0)), 0]
        row = first.setdefault(int(info["id"]), values)
        row[2] += int(info.get("area", 0))
    return np.array([[k, *v] for k, v in first.items()], np.int64).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Distinct pairs of values of two maps; see ``count_pairs``."""

    truth: np.ndarray
    pred: np.ndarray
    pixels: np.ndarray = field(repr=False)


def count_pairs(
    truth: np.ndarray, pred: np.ndarray, levels: np.ndarray | None = None, num_levels: int = 1
) -> PairCounts:
    """Count the pixels of every pair of values that meet in two maps.

    Label maps are piecewise constant, so the maps are cut into runs first and only the runs
    are sorted; cost follows the length of the outlines rather than the number of pixels.

    Args:
        truth: (H, W) integer.
        pred: (H, W) integer.
        levels: (H, W) uint8 in 0..num_levels - 1, or None when every pixel is on level 0.
        num_levels: L.

    Returns:
        Distinct pairs: truth (P,) int64, pred (P,) int64, pixels (P, L) int64.

    Raises:
        ValueError: the maps differ in size, or are not integer maps.
    """
    check_maps(truth, pred, levels)
    if truth.size == 0:
        empty = np.zeros(0, np.int64)
        return PairCounts(empty, empty, np.zeros((0, num_levels), np.int64))
    truth, pred = truth.reshape(-1), pred.reshape(-1)
    starts = _run_starts(truth, pred)
    lengths = np.diff(starts, append=truth.size)
    truth_runs, pred_runs = truth[starts].astype(np.int64), pred[starts].astype(np.int64)
    truth_ids, pred_ids, run_pair = distinct_pairs(truth_runs, pred_runs)
    if levels is None:
        pixels = np.bincount(run_pair, weights=lengths).astype(np.int64)[:, None]
    else:
        dtype = np.uint16 if len(truth_ids) * num_levels <= 2**16 else np.int64
        cells = np.repeat((run_pair * num_levels).astype(dtype), lengths)
        cells += levels.reshape(-1)
        pixels = np.bincount(cells, minlength=len(truth_ids) * num_levels).reshape(-1, num_levels)
    return PairCounts(truth_ids, pred_ids, pixels)


def frame_table(
    truth: LabelMap, pred: LabelMap, levels: np.ndarray | None = None, num_levels: int = 1
) -> FrameTable:
    """Build the table of one frame.

    Args:
        truth: the labels.
        pred: the prediction, of the same size.
        levels: (H, W) uint8, depth-error level of every pixel (``depth.error_levels``), or None.
        num_levels: number of depth-error levels.

    Raises:
        ValueError: sizes differ, a class is unknown, or a list and its pixels disagree; the
            message says on which side.
    """
    counts = count_pairs(truth.ids, pred.ids, levels, num_levels)
    totals = counts.pixels.sum(axis=1)
    truth_segments, truth_index = _read_side("truth", truth, counts.truth, totals)
    pred_segments, pred_index = _read_side("prediction", pred, counts.pred, totals)
    return FrameTable(truth_segments, pred_segments, truth_index, pred_index, counts.pixels)


JOINT_SHIFT = 32  # room for any track number below the class


def joint_map(
    class_map: np.ndarray,
    track_map: np.ndarray,
    *,
    void: int = 255,
    num_classes: int | None = None,
    crowd_classes: tuple[int, ...] = (),
) -> LabelMap:
    """Make one id map of a class map and a track map.

    Args:
        class_map: (H, W) integer, 0..K-1 or ``void``.
        track_map: (H, W) integer >= 0, 0 for stuff; the same number in two frames of a video is
            the same object.
        void: class value of pixels without a label.
        num_classes: K, to refuse other classes; None = accept all.
        crowd_classes: classes of which track 0 is a crowd, for the truth of datasets that say so.
    """
    if class_map.shape != track_map.shape:
        raise ValueError(
            f"class map {class_map.shape} and track map {track_map.shape} must be of one size"
        )
    ids = class_map.astype(np.int64)
    np.left_shift(ids, JOINT_SHIFT, out=ids)
    ids += track_map
    return LabelMap(ids, Coding(2**JOINT_SHIFT, (void,), (), crowd_classes, num_classes))


def _read_side(
    side: str, label: LabelMap, ids: np.ndarray, totals: np.ndarray
) -> tuple[Segments, np.ndarray]:
    distinct, inverse = np.unique(ids - label.offset, return_inverse=True)
    areas = np.bincount(inverse, weights=totals, minlength=len(distinct)).astype(np.int64)
    try:
        segments, rows = label.meaning.read(distinct, areas)
    except ValueError as error:
        raise ValueError(f"{side}: {error}") from None
    return segments, rows[inverse]


def check_maps(truth: np.ndarray, pred: np.ndarray, levels: np.ndarray | None = None) -> None:
    """Refuse maps that are not integer maps of one size.

    Raises:
        ValueError: with both sizes.
    """
    for name, values in (("truth", truth), ("prediction", pred)):
        if values.ndim != 2 or values.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must be an (H, W) integer map, got {values.shape} {values.dtype}"
            )
    if truth.shape != pred.shape:
        raise ValueError(
            f"prediction is {pred.shape[0]} x {pred.shape[1]} but truth is "
            f"{truth.shape[0]} x {truth.shape[1]} (height x width)"
        )
    if levels is not None and levels.shape != truth.shape:
        raise ValueError(f"depth levels are {levels.shape} but the maps are {truth.shape}")


def _run_starts(truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """(R,) positions in the flat maps at which either of them changes value."""
    changes = np.empty(truth.size, bool)
    changes[0] = True
    np.not_equal(truth[1:], truth[:-1], out=changes[1:])
    changes[1:] |= pred[1:] != pred[:-1]
    return np.flatnonzero(changes)


def distinct_pairs(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the distinct pairs of two columns.

    Args:
        first: (R,) int64.
        second: (R,) int64.

    Returns:
        Distinct pairs as two columns (P,), and the (R,) pair number of every row.
    """
    if _fits(first) and _fits(second):
        keys = (first.astype(np.uint64) << np.uint64(32)) | second.astype(np.uint64)
        distinct, numbers = np.unique(keys, return_inverse=True)
        low = distinct & np.uint64(2**32 - 1)
        return (distinct >> np.uint64(32)).astype(np.int64), low.astype(np.int64), numbers
    # Ids beyond 32 bits: number the values of each side first.
    first_values, first_rank = np.unique(first, return_inverse=True)
    second_values, second_rank = np.unique(second, return_inverse=True)
    keys, numbers = np.unique(first_rank * len(second_values) + second_rank, return_inverse=True)
    first_rank, second_rank = np.divmod(keys, len(second_values))
    return first_values[first_rank], second_values[second_rank], numbers


def _fits(values: np.ndarray) -> bool:
    return values.size == 0 or bool(values.min() >= 0 and values.max() < 2**32)
