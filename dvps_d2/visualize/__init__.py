"""Pictures of results: overlays, depth, contact sheets, videos. NumPy and OpenCV; no torch."""

from __future__ import annotations

from dvps_d2.visualize.depth import DepthScale, draw_depth, draw_scale_bar
from dvps_d2.visualize.overlay import draw_overlay, paint
from dvps_d2.visualize.palette import Palette
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.sheet import SheetFrame, draw_legend, result_sheet
from dvps_d2.visualize.video import VideoWriter, read_video

__all__ = [
    "DepthScale",
    "Palette",
    "SegmentMap",
    "SheetFrame",
    "VideoWriter",
    "draw_depth",
    "draw_legend",
    "draw_overlay",
    "draw_scale_bar",
    "paint",
    "read_video",
    "result_sheet",
]
