"""Panoptic video metrics on label maps: VPQ, DVPQ, STQ, DSTQ, TC, PQ and depth. NumPy only.

One table per frame (``frame_table``) serves every window length and depth threshold; a
``VideoCounter`` turns the frames of a video into ``Counts``, which add over videos and
processes; ``summarize`` gives the numbers. ``PROTOCOLS`` holds the rules of each dataset.
"""

from dvps_d2.metrics.bootstrap import bootstrap
from dvps_d2.metrics.consistency import ConsistencyCounts, count_consistency
from dvps_d2.metrics.depth import DepthCounts, count_depth, depth_measures, error_levels
from dvps_d2.metrics.protocols import PROTOCOLS, ClassSet, Protocol, get_protocol
from dvps_d2.metrics.report import format_result
from dvps_d2.metrics.result import summarize
from dvps_d2.metrics.stq import StqCounter, StqCounts
from dvps_d2.metrics.tables import (
    ChannelCoding,
    Coding,
    FrameTable,
    LabelMap,
    Listing,
    Segments,
    frame_table,
    joint_map,
    pack_segments,
)
from dvps_d2.metrics.tubes import OverlapError, TubeCounts, WindowCounter
from dvps_d2.metrics.video import Counts, FrameCounts, VideoCounter, count_frame, empty_counts

__all__ = [
    "PROTOCOLS",
    "ChannelCoding",
    "ClassSet",
    "Coding",
    "ConsistencyCounts",
    "Counts",
    "DepthCounts",
    "FrameCounts",
    "FrameTable",
    "LabelMap",
    "Listing",
    "OverlapError",
    "Protocol",
    "Segments",
    "StqCounter",
    "StqCounts",
    "TubeCounts",
    "VideoCounter",
    "WindowCounter",
    "bootstrap",
    "count_consistency",
    "count_depth",
    "count_frame",
    "depth_measures",
    "empty_counts",
    "error_levels",
    "format_result",
    "frame_table",
    "get_protocol",
    "joint_map",
    "pack_segments",
    "summarize",
]
