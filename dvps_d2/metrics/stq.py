"""STQ: segmentation and tracking quality, from the same frame tables.

AQ sums over whole videos, so an identity that is lost and never found again costs more here than
in VPQ, whose windows are short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.metrics.protocols import ClassSet, Protocol
from dvps_d2.metrics.tables import (
    CROWD,
    HIDDEN,
    UNLISTED,
    VOID,
    FrameTable,
    Segments,
    distinct_pairs,
)

_NO_TUBE = -1
_CLASS_SHIFT = 40  # joint number of class and track: class << 40 | track


@dataclass(frozen=True, eq=False)
class StqCounts:
    """What STQ is made of; adds over videos and processes.

    Attributes:
        common: (K+1,) int64, pixels with this class on both sides; the last entry is void.
        truth: (K+1,) int64, pixels with this true class.
        pred: (K+1,) int64, pixels with this predicted class, truth void left out.
        association: sum of the association quality over true tubes.
        tubes: number of true tubes.
    """

    common: np.ndarray
    truth: np.ndarray
    pred: np.ndarray
    association: float
    tubes: int

    @classmethod
    def zeros(cls, num_classes: int) -> StqCounts:
        """Nothing counted yet."""
        common, truth, pred = np.zeros((3, num_classes + 1), np.int64)
        return cls(common, truth, pred, 0.0, 0)

    def __add__(self, other: StqCounts) -> StqCounts:
        return StqCounts(
            self.common + other.common,
            self.truth + other.truth,
            self.pred + other.pred,
            self.association + other.association,
            self.tubes + other.tubes,
        )

    def class_ious(self, *, void_column: bool = False) -> np.ndarray:
        """(K,) IoU of every class, NaN where it never occurs; (K+1,) with the void column."""
        union = self.truth + self.pred - self.common
        last = None if void_column else -1
        union, common = union[:last], self.common[:last]
        return np.divide(common, union, out=np.full(len(union), np.nan), where=union > 0)

    def scores(self, *, void_column: bool = False) -> tuple[float, float, float]:
        """STQ, AQ and SQ in 0..1; NaN where nothing defines them."""
        ious = self.class_ious(void_column=void_column)
        occurring = ious[~np.isnan(ious)]
        sq = float(occurring.mean()) if len(occurring) else float("nan")
        aq = self.association / self.tubes if self.tubes else float("nan")
        return float(np.sqrt(aq * sq)), aq, sq


class StqCounter:
    """Count one video for STQ while its frames come in.

    A true tube g with predicted tubes p has the quality
    ``sum_p |p and g| * IoU(p, g) / |g|``; ids decide, classes need not agree. Things with track
    number 0 are crowd: they and the predictions on them are left out of the association.

    Source: Weber et al., STEP: Segmenting and Tracking Every Pixel, 2021, equations 1 to 4.
    """

    def __init__(self, protocol: Protocol, classes: ClassSet):
        self.protocol = protocol
        self.num_classes = len(classes)
        self._is_thing = np.zeros(self.num_classes + 1, bool)
        self._is_thing[list(classes.thing_ids)] = True
        self._sums = np.zeros((3, self.num_classes + 1), np.int64)
        self._pairs: list[Pairs] = []
        self._first_id: int | None = None

    def add(self, table: FrameTable) -> None:
        """Take one frame; the order of frames does not matter."""
        pixels = table.pixels.sum(axis=1)
        truth, pred = table.truth, table.pred
        truth_class = self._classes(truth, table.truth_index)
        pred_class = self._classes(pred, table.pred_index)
        if self.protocol.drop_void:
            keep = truth_class < self.num_classes
            truth_class, pred_class, pixels = truth_class[keep], pred_class[keep], pixels[keep]
            truth_index, pred_index = table.truth_index[keep], table.pred_index[keep]
        else:
            truth_index, pred_index = table.truth_index, table.pred_index
        self._add_classes(truth_class, pred_class, pixels)
        crowd = self._crowd(truth)
        on_crowd = _take(crowd, truth_index, False)
        truth_tube = self._tubes(truth, truth_index, truth_class)
        pred_tube = self._tubes(pred, pred_index, pred_class)
        keep = ~on_crowd & ((truth_tube != _NO_TUBE) | (pred_tube != _NO_TUBE))
        self._pairs.append((truth_tube[keep], pred_tube[keep], pixels[keep]))
        if len(self._pairs) >= 32:  # keep memory at the number of distinct pairs
            self._pairs = [_merge(self._pairs)]

    def counts(self) -> StqCounts:
        """Everything counted so far, as one video."""
        association, tubes = 0.0, 0
        if self._pairs:
            association, tubes = _association(*_merge(self._pairs))
        common, truth, pred = self._sums
        return StqCounts(common, truth, pred, association, tubes)

    def _classes(self, segments: Segments, index: np.ndarray) -> np.ndarray:
        """Class of every pair on one side; anything without one is K, the void class."""
        known = (segments.class_ids >= 0) & (segments.class_ids < self.num_classes)
        known &= segments.roles != HIDDEN
        return _take(np.where(known, segments.class_ids, self.num_classes), index, self.num_classes)

    def _add_classes(
        self, truth_class: np.ndarray, pred_class: np.ndarray, pixels: np.ndarray
    ) -> None:
        labelled = truth_class < self.num_classes
        truth_class, pred_class, pixels = (
            values[labelled] for values in (truth_class, pred_class, pixels)
        )
        same = truth_class == pred_class
        np.add.at(self._sums[0], truth_class[same], pixels[same])
        np.add.at(self._sums[1], truth_class, pixels)
        np.add.at(self._sums[2], pred_class, pixels)

    def _crowd(self, truth: Segments) -> np.ndarray:
        thing = self._is_thing[np.clip(truth.class_ids, 0, self.num_classes)]
        crowd = truth.tracks == 0
        if not self.protocol.crowd_is_tracked:
            crowd |= truth.roles == CROWD
        if self.protocol.first_id_is_crowd:
            listed = truth.ids[truth.roles != UNLISTED]
            if self._first_id is None and len(listed):
                self._first_id = int(listed[0])
            if self._first_id is not None:
                crowd |= truth.ids == self._first_id
        return crowd & thing

    def _tubes(self, segments: Segments, index: np.ndarray, classes: np.ndarray) -> np.ndarray:
        joint = (segments.class_ids << _CLASS_SHIFT) | segments.tracks
        return np.where(self._is_thing[classes], _take(joint, index, _NO_TUBE), _NO_TUBE)


def _take(values: np.ndarray, index: np.ndarray, missing: int) -> np.ndarray:
    """values[index], and ``missing`` where the index is VOID."""
    return np.append(values, np.asarray(missing, values.dtype))[np.maximum(index, VOID)]


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # true tube, predicted tube, pixels


def _merge(pairs: list[Pairs]) -> Pairs:
    truth, pred, pixels = (np.concatenate(column) for column in zip(*pairs, strict=True))
    distinct_truth, distinct_pred, rows = distinct_pairs(truth, pred)
    sums = np.bincount(rows, weights=pixels, minlength=len(distinct_truth))
    return distinct_truth, distinct_pred, sums.astype(np.int64)


def _association(truth: np.ndarray, pred: np.ndarray, pixels: np.ndarray) -> tuple[float, int]:
    """Sum of association qualities over true tubes, and their number."""
    _, truth_row = np.unique(truth, return_inverse=True)
    _, pred_row = np.unique(pred, return_inverse=True)
    truth_size = np.bincount(truth_row, weights=pixels)[truth_row]
    pred_size = np.bincount(pred_row, weights=pixels)[pred_row]
    both = (truth != _NO_TUBE) & (pred != _NO_TUBE)
    shared, g, p = pixels[both].astype(np.float64), truth_size[both], pred_size[both]
    quality = float(np.sum(shared / g * shared / (g + p - shared)))
    return quality, len(np.unique(truth[truth != _NO_TUBE]))
