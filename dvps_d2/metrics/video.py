"""Counting frames and videos, and adding videos up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dvps_d2.metrics.depth import (
    DepthCounts,
    WindowErrors,
    clamp_truth,
    count_depth,
    error_levels,
    metres,
    resize_depth,
)
from dvps_d2.metrics.protocols import ClassSet, Protocol
from dvps_d2.metrics.stq import StqCounter, StqCounts
from dvps_d2.metrics.tables import FrameTable, LabelMap, check_maps, frame_table
from dvps_d2.metrics.tubes import TubeCounts, WindowCounter


@dataclass(frozen=True, eq=False)
class FrameCounts:
    """All that is kept of one frame: a table of segment pairs, and sums over depth."""

    table: FrameTable
    depth: DepthCounts | None


@dataclass(frozen=True, eq=False)
class Counts:
    """All tables of a protocol for one or more videos; adds with ``+``.

    Attributes:
        tubes: (windows, settings, K) matches, or None.
        stq: STQ sums, or None.
        depth: depth sums, or None.
        frames: frames counted.
        videos: videos counted.
    """

    tubes: TubeCounts | None
    stq: StqCounts | None
    depth: DepthCounts | None
    frames: int
    videos: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            *(_add(getattr(self, f.name), getattr(other, f.name)) for f in fields(Counts))
        )


def count_frame(
    protocol: Protocol,
    truth: LabelMap,
    pred: LabelMap,
    *,
    truth_depth: np.ndarray | None = None,
    pred_depth: np.ndarray | None = None,
) -> FrameCounts:
    """Look at the pixels of one labelled frame, once, for everything a protocol asks.

    Args:
        protocol: says which depth errors to tell apart and whether to measure depth.
        truth: the labels.
        pred: the prediction, of the same size.
        truth_depth: (H, W) metres, or uint16 PNG units of 1/256 m; 0 = no measurement; needed by
            protocols with depth.
        pred_depth: (H, W) the same.

    Raises:
        ValueError: sizes differ, a class is unknown, a list and its pixels disagree, or the
            protocol needs depth that is not given.
    """
    check_maps(truth.ids, pred.ids)
    levels, num_levels, depth = None, 1, None
    if protocol.needs_depth:
        if protocol.resize_depth and truth_depth is not None and pred_depth is not None:
            pred_depth = _resized(pred_depth, truth_depth.shape)
        _check_depth(protocol, truth_depth, pred_depth, truth.ids.shape)
        truth_depth, pred_depth = _in_one_unit(protocol, truth_depth, pred_depth)
    if protocol.thresholds:
        wrap, num_levels = protocol.wrap_depth, len(protocol.thresholds) + 1
        levels = error_levels(pred_depth, truth_depth, protocol.thresholds, wrap=wrap)
    if protocol.measures_depth:
        depth = count_depth(
            pred_depth,
            truth_depth,
            ratios=protocol.inlier_ratios if "dstq" in protocol.metrics else (),
            measures="depth" in protocol.metrics,
            wrap=protocol.wrap_depth,
        )
    return FrameCounts(frame_table(truth, pred, levels, num_levels), depth)


class VideoCounter:
    """Count one video, frame by frame in order of time, for everything a protocol asks.

    Memory: the tables of the frames in the longest window, and for STQ the pairs of tubes.

    Example:
        >>> counter = VideoCounter(get_protocol("cityscapes_vps"), classes)
        >>> for frame in video:
        ...     counter.count(joint_map(...), joint_map(...))
        >>> total = total + counter.counts()
    """

    def __init__(self, protocol: Protocol, classes: ClassSet):
        self.protocol = protocol
        wanted = protocol.metrics
        tubes = "vpq" in wanted or "dvpq" in wanted
        self._windows = WindowCounter(protocol, len(classes)) if tubes else None
        self._stq = StqCounter(protocol, classes) if "stq" in wanted or "dstq" in wanted else None
        ratios = len(protocol.inlier_ratios) if "dstq" in wanted else 0
        self._depth = DepthCounts.zeros(ratios) if protocol.measures_depth else None
        windowed = protocol.windowed_abs_rel and "depth" in wanted
        self._errors = WindowErrors(protocol.windows) if windowed else None
        self.frames = 0

    def count(
        self,
        truth: LabelMap,
        pred: LabelMap,
        *,
        truth_depth: np.ndarray | None = None,
        pred_depth: np.ndarray | None = None,
    ) -> None:
        """Count the next labelled frame; see ``count_frame``."""
        self.add(
            count_frame(self.protocol, truth, pred, truth_depth=truth_depth, pred_depth=pred_depth)
        )

    def add(self, frame: FrameCounts) -> None:
        """Take the next labelled frame, counted before."""
        self.frames += 1
        if self._windows is not None:
            self._windows.add(frame.table)
        if self._stq is not None:
            self._stq.add(frame.table)
        if self._depth is not None:
            self._depth += frame.depth
        if self._errors is not None:
            self._errors.add(frame.depth)

    def add_nothing(self) -> None:
        """Lengthen the video by a frame without a pixel, which windows reach over."""
        if self._windows is not None:
            levels = len(self.protocol.thresholds) + 1
            self._windows.add(FrameTable.empty(levels))

    def skip(self) -> None:
        """The next labelled frame is left out: no window reaches over it."""
        if self._windows is not None:
            self._windows.skip()
        if self._errors is not None:
            self._errors.skip()

    def counts(self) -> Counts:
        """What the video adds to the total."""
        depth = None if self._depth is None else self._depth.close_video()
        if depth is not None and self._errors is not None:
            depth = self._errors.put_into(depth)
        return Counts(
            None if self._windows is None else self._windows.counts,
            None if self._stq is None else self._stq.counts(),
            depth,
            self.frames,
            1,
        )


def empty_counts(protocol: Protocol, classes: ClassSet) -> Counts:
    """Counts of no video at all: the zero of ``+``."""
    counts = VideoCounter(protocol, classes).counts()
    return Counts(counts.tubes, counts.stq, counts.depth, 0, 0)


def _check_depth(
    protocol: Protocol,
    truth_depth: np.ndarray | None,
    pred_depth: np.ndarray | None,
    shape: tuple[int, ...],
) -> None:
    for name, depth in (("truth_depth", truth_depth), ("pred_depth", pred_depth)):
        if depth is None:
            raise ValueError(
                f"{name} is missing, but protocol {protocol.name!r} computes "
                f"{', '.join(protocol.metrics)}; leave the depth metrics out to score without depth"
            )
        if depth.shape != shape:
            raise ValueError(f"{name} is {depth.shape} but the label maps are {shape}")


def _resized(depth: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return depth if depth.shape == size else resize_depth(metres(depth), size)


def _in_one_unit(
    protocol: Protocol, truth_depth: np.ndarray, pred_depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if protocol.max_depth is None and truth_depth.dtype == pred_depth.dtype:
        return truth_depth, pred_depth
    return clamp_truth(metres(truth_depth), protocol.max_depth), metres(pred_depth)


def _add(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b
