"""Tube matching: VPQ and DVPQ from the tables of consecutive frames.

A tube is everything that carries one id inside a window of k frames. A predicted and a true tube
of the same class match when their IoU is above one half; matches are then unique.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvps_d2.metrics.protocols import Protocol
from dvps_d2.metrics.tables import CROWD, HIDDEN, REGULAR, UNLISTED, VOID, FrameTable, Segments

MATCH_IOU = 0.5  # strictly above
EXCUSED_SHARE = 0.5  # strictly above: a false positive lying mostly on void or crowd


class OverlapError(ValueError):
    """Two tubes share more pixels than both together have: areas of a list are too small."""


@dataclass(frozen=True, eq=False)
class TubeCounts:
    """Matches by class; adds over windows, videos and processes.

    Attributes:
        iou: (..., K) float64, IoU summed over true positives.
        tp, fp, fn: (..., K) int64.
    """

    iou: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def zeros(cls, *shape: int) -> TubeCounts:
        """Nothing counted yet, for (..., K) = ``shape``."""
        return cls(np.zeros(shape), *(np.zeros(shape, np.int64) for _ in range(3)))

    def __add__(self, other: TubeCounts) -> TubeCounts:
        return TubeCounts(
            self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn
        )

    def __getitem__(self, index: Any) -> TubeCounts:
        return TubeCounts(self.iou[index], self.tp[index], self.fp[index], self.fn[index])

    def qualities(self, epsilon: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """PQ, SQ and RQ per class, each (..., K); SQ is 0 without a match, 0/0 is 0."""
        quality = _ratio(self.iou, self.tp + epsilon)
        recognition = _ratio(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn + epsilon)
        return quality * recognition, quality, recognition

    @property
    def occurs(self) -> np.ndarray:
        """(..., K) bool, classes with anything counted."""
        return (self.tp + self.fp + self.fn) > 0


@dataclass(frozen=True, eq=False)
class _Window:
    """Tubes of one window: pairs (U,), overlaps (U, D) for D depth thresholds, tubes (N,)."""

    truth_index: np.ndarray
    pred_index: np.ndarray
    overlap: np.ndarray
    truth_class: np.ndarray
    truth_area: np.ndarray
    truth_role: np.ndarray
    crowd_excuses: np.ndarray
    pred_class: np.ndarray


class WindowCounter:
    """Match tubes in all windows of one video while its frames come in, in order.

    Keeps the tables of as many frames as the longest window has and nothing else.
    """

    def __init__(self, protocol: Protocol, num_classes: int):
        self.protocol = protocol
        self.num_classes = num_classes
        self._recent: deque[FrameTable] = deque(maxlen=max(protocol.windows))
        self._kept: deque[np.ndarray] = deque(maxlen=max(protocol.windows))
        shape = (len(protocol.windows), len(protocol.settings), num_classes)
        self.counts = TubeCounts.zeros(*shape)

    def add(self, table: FrameTable) -> None:
        """Take the next frame and match every window that ends with it."""
        self._recent.appendleft(table)  # newest first
        self._kept.appendleft(kept_pixels(table.pixels, self.protocol))
        lengths = [k for k in self.protocol.windows if k <= len(self._recent)]
        windows = list(_stack(list(self._recent), list(self._kept), lengths, self.protocol))
        for length, window in zip(lengths, windows, strict=True):
            row = self.protocol.windows.index(length)
            _add_into(self.counts[row], self._match(window))

    def skip(self) -> None:
        """A frame is left out: no window may reach over it."""
        self._recent.clear()
        self._kept.clear()

    def _match(self, window: _Window) -> TubeCounts:
        return match_tubes(
            window,
            self.num_classes,
            self.protocol.min_truth_pixels,
            empty_is_missed=self.protocol.empty_is_missed,
        )


def kept_pixels(pixels: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Pixels that keep their prediction, for each of the protocol's settings.

    Args:
        pixels: (P, L) by depth-error level.
        protocol: has the settings.

    Returns:
        (P, D) int64, D = number of settings (lambdas, and 0 for no depth).
    """
    thresholds = protocol.thresholds
    if pixels.shape[1] != len(thresholds) + 1:
        raise ValueError(
            f"tables have {pixels.shape[1]} depth-error levels but {len(thresholds)} thresholds "
            f"need {len(thresholds) + 1}"
        )
    # A pixel on level l exceeds the l smallest thresholds.
    last = [thresholds.index(s) if s > 0 else len(thresholds) for s in protocol.settings]
    return np.cumsum(pixels, axis=1)[:, last]


def match_tubes(
    window: _Window, num_classes: int, min_truth_pixels: int = 0, *, empty_is_missed: bool = False
) -> TubeCounts:
    """Count true positives, false positives and misses of one window.

    Truth void leaves the union; a false positive with more than half of its pixels on void or on
    crowd of its class does not count; crowd and too small truth is neither matched nor missed, but
    with ``empty_is_missed`` truth that is listed without any pixel is missed.

    Returns:
        (D, K) counts.

    Raises:
        OverlapError: an IoU above 1, which only areas that are not counted from pixels can give.

    Source: Kirillov et al., Panoptic Segmentation, 2019, section 4; Kim et al., 2020, section 3.
    """
    truth, pred, overlap = window.truth_index, window.pred_index, window.overlap
    pred_area = _sum_rows(overlap, pred, len(window.pred_class))
    on_void = truth == VOID
    void_area = _sum_rows(overlap[on_void], pred[on_void], len(window.pred_class))
    regular = window.truth_role == REGULAR
    countable = regular & (window.truth_area >= min_truth_pixels)
    missable = countable | (regular & (window.truth_area == 0)) if empty_is_missed else countable

    both = (truth >= 0) & (pred >= 0)
    t, p, inter = truth[both], pred[both], overlap[both]
    same = countable[t] & (window.truth_class[t] == window.pred_class[p])
    excused = void_area + _excused_area(window, t, p, inter)
    t, p, inter = t[same], p[same], inter[same]
    union = pred_area[p] + window.truth_area[t][:, None] - inter - void_area[p]
    impossible = np.argwhere((inter > union) & (union >= 0))
    if len(impossible):
        row = impossible[0][0]
        raise OverlapError(
            f"truth of class {window.truth_class[t[row]]} has the area "
            f"{window.truth_area[t[row]]:g} but shares {inter[row].max():g} pixels with a tube"
        )
    iou = _ratio(inter, union)
    hit = iou > MATCH_IOU

    found = np.zeros((len(window.truth_class), overlap.shape[1]), bool)
    used = np.zeros((len(window.pred_class), overlap.shape[1]), bool)
    pair, depth = np.nonzero(hit)
    found[t[pair], depth] = True
    used[p[pair], depth] = True
    false = (pred_area > 0) & ~used & (excused <= EXCUSED_SHARE * pred_area)
    missed = missable[:, None] & ~found
    classes = window.truth_class[t]
    return TubeCounts(
        _by_class(np.where(hit, iou, 0.0), classes, num_classes),
        _by_class(hit, classes, num_classes).astype(np.int64),
        _by_class(false, window.pred_class, num_classes).astype(np.int64),
        _by_class(missed, window.truth_class, num_classes).astype(np.int64),
    )


def _excused_area(window: _Window, t: np.ndarray, p: np.ndarray, inter: np.ndarray) -> np.ndarray:
    """(N, D) pixels of every predicted tube on crowd of its class or on hidden truth."""
    role = window.truth_role[t]
    if not role.any():
        return np.zeros((len(window.pred_class), inter.shape[1]))
    crowd = (role == CROWD) & window.crowd_excuses[t]
    crowd &= window.truth_class[t] == window.pred_class[p]
    crowd |= role == HIDDEN
    return _sum_rows(inter[crowd], p[crowd], len(window.pred_class))


def _stack(
    tables: list[FrameTable], kept: list[np.ndarray], lengths: list[int], protocol: Protocol
) -> Iterator[_Window]:
    """Yield one ``_Window`` for every length: the newest frame and those before it.

    Frames are newest first, so the window of length k is a prefix of everything that is stacked
    here, and ids and pairs need to be sorted only once.
    """
    truth = _Side([table.truth for table in tables])
    pred = _Side([table.pred for table in tables])
    ends = np.cumsum([len(table.pixels) for table in tables])
    t = np.concatenate([truth.tubes(table.truth_index, i) for i, table in enumerate(tables)])
    p = np.concatenate([pred.tubes(table.pred_index, i) for i, table in enumerate(tables)])
    # VOID is -1; shift so that the joint number is not negative.
    keys, inverse = np.unique((t + 1) * (pred.count + 1) + (p + 1), return_inverse=True)
    truth_index, pred_index = np.divmod(keys, pred.count + 1)
    every = np.concatenate(kept)
    for length in lengths:
        end = ends[length - 1]
        truth_class, truth_area, truth_role = truth.summary(length)
        yield _Window(
            truth_index - 1,
            pred_index - 1,
            _sum_rows(every[:end], inverse[:end], len(keys)),
            truth_class,
            truth_area,
            truth_role,
            truth.crowd_excuses(length, protocol.last_crowd_only),
            pred.summary(length)[0],
        )


class _Side:
    """Segments of several frames, newest first, joined into tubes by id."""

    def __init__(self, frames: list[Segments]):
        self.ends = np.cumsum([len(segments) for segments in frames])
        self.starts = self.ends - [len(segments) for segments in frames]
        ids = np.concatenate([segments.ids for segments in frames])
        self.classes = np.concatenate([segments.class_ids for segments in frames])
        self.areas = np.concatenate([segments.areas for segments in frames])
        self.roles = np.concatenate([segments.roles for segments in frames])
        distinct, self.tube = np.unique(ids, return_inverse=True)
        self.count = len(distinct)

    def tubes(self, index: np.ndarray, frame: int) -> np.ndarray:
        """Tube numbers for rows of one frame; VOID stays."""
        start, end = self.starts[frame], self.ends[frame]
        if start == end:
            return index
        return np.where(index >= 0, self.tube[start:end][index], index)

    def summary(self, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class, area and role of every tube over the ``length`` newest frames."""
        end = self.ends[length - 1]
        tube = self.tube[:end]
        classes = np.full(self.count, -1)
        roles = np.full(self.count, HIDDEN, np.int8)  # tubes outside this window do not count
        # The first frame that lists an id decides; it comes last here, and the last of several
        # assignments to one place stays.
        listed = self.roles[:end] != UNLISTED
        roles[tube[~listed]] = UNLISTED
        classes[tube[listed]] = self.classes[:end][listed]
        roles[tube[listed]] = self.roles[:end][listed]
        areas = np.bincount(tube, weights=self.areas[:end], minlength=self.count)
        return classes, areas, roles

    def crowd_excuses(self, length: int, last_only: bool) -> np.ndarray:
        """(N,) bool, crowd tubes that excuse false positives: all, or the last of each class."""
        if not last_only or not (self.roles == CROWD).any():
            return np.ones(self.count, bool)
        oldest_first = np.concatenate(
            [np.arange(self.starts[i], self.ends[i]) for i in reversed(range(length))]
        )
        oldest_first = oldest_first[self.roles[oldest_first] != UNLISTED]
        tubes, first_listed = np.unique(self.tube[oldest_first], return_index=True)
        classes, _, roles = self.summary(length)
        last: dict[int, int] = {}
        for tube in tubes[np.argsort(first_listed)]:
            if roles[tube] == CROWD:
                last[int(classes[tube])] = int(tube)
        excuses = np.zeros(self.count, bool)
        excuses[list(last.values())] = True
        return excuses


def _sum_rows(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """(count, D) sums of the rows of ``values`` (R, D) by ``index`` (R,); negative is dropped."""
    keep = index >= 0
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, index[keep], values[keep])
    return sums


def _by_class(values: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """(D, K) sums of ``values`` (R, D) over classes; classes outside 0..K-1 are dropped."""
    index = np.where((classes >= 0) & (classes < num_classes), classes, -1)
    return _sum_rows(values, index, num_classes).T


def _add_into(total: TubeCounts, new: TubeCounts) -> None:
    for name in ("iou", "tp", "fp", "fn"):
        array = getattr(total, name)
        array += getattr(new, name)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotients, and 0 where bottom is not positive."""
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.zeros(shape), where=np.asarray(bottom) > 0)
