"""Counting a video, and adding videos up."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from dvps_d2.metrics.depth import DepthCounts, clamp_truth, count_depth, error_levels
from dvps_d2.metrics.protocols import ClassSet, Protocol
from dvps_d2.metrics.stq import StqCounter, StqCounts
from dvps_d2.metrics.tables import FrameTable, LabelMap, check_maps, frame_table
from dvps_d2.metrics.tubes import TubeCounts, WindowCounter


@dataclass(frozen=True, eq=False)
class Counts:
    """All tables of a protocol for one or more videos; adds with ``+``.

    Attributes:
        tubes: (windows, lambdas, K) matches, or None.
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
        self._depth = None
        if "depth" in wanted or "dstq" in wanted:
            self._depth = DepthCounts.zeros(len(protocol.inlier_ratios))
        self.frames = 0

    def count(
        self,
        truth: LabelMap,
        pred: LabelMap,
        *,
        truth_depth: np.ndarray | None = None,
        pred_depth: np.ndarray | None = None,
    ) -> FrameTable:
        """Count the next labelled frame.

        Args:
            truth, pred: label maps of one size.
            truth_depth: (H, W) metres, 0 = no measurement; needed by protocols with depth.
            pred_depth: (H, W) metres.

        Returns:
            The table of the frame.

        Raises:
            ValueError: sizes differ, a class is unknown, a list and its pixels disagree, or the
                protocol needs depth that is not given.
        """
        check_maps(truth.ids, pred.ids)
        levels, num_levels = None, 1
        needs_levels = "dvpq" in self.protocol.metrics and bool(self.protocol.thresholds)
        if needs_levels or self._depth is not None:
            truth_depth = self._check_depth(truth_depth, pred_depth, pred.ids.shape)
        if needs_levels:
            thresholds = self.protocol.thresholds
            levels = error_levels(pred_depth, truth_depth, thresholds)
            num_levels = len(thresholds) + 1
        table = frame_table(truth, pred, levels, num_levels)
        if self._depth is not None:
            self._depth += count_depth(
                pred_depth,
                truth_depth,
                ratios=self.protocol.inlier_ratios,
                measures="depth" in self.protocol.metrics,
            )
        self.add(table)
        return table

    def add(self, table: FrameTable) -> None:
        """Take the next frame as a table that was counted before."""
        self.frames += 1
        if self._windows is not None:
            self._windows.add(table)
        if self._stq is not None:
            self._stq.add(table)

    def counts(self) -> Counts:
        """What the video adds to the total."""
        return Counts(
            None if self._windows is None else self._windows.counts,
            None if self._stq is None else self._stq.counts(),
            self._depth,
            self.frames,
            1,
        )

    def _check_depth(self, truth_depth, pred_depth, shape) -> np.ndarray:
        for name, depth in (("truth_depth", truth_depth), ("pred_depth", pred_depth)):
            if depth is None:
                raise ValueError(
                    f"{name} is missing, but protocol {self.protocol.name!r} computes "
                    f"{', '.join(self.protocol.metrics)}; leave the depth metrics out to score "
                    "without depth"
                )
            if depth.shape != shape:
                raise ValueError(f"{name} is {depth.shape} but the label maps are {shape}")
        return clamp_truth(truth_depth, self.protocol.max_depth)


def empty_counts(protocol: Protocol, classes: ClassSet) -> Counts:
    """Counts of no video at all: the zero of ``+``."""
    counts = VideoCounter(protocol, classes).counts()
    return Counts(counts.tubes, counts.stq, counts.depth, 0, 0)


def _add(a, b):
    return b if a is None else a if b is None else a + b
