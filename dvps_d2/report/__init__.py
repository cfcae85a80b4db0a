"""One HTML page about predictions: scores, a player with error layers, tracks, training curves.

``write_report`` takes videos as functions that decode frames; who reads which files is the
business of ``dvps report``. NumPy and OpenCV; no torch.
"""

from __future__ import annotations

from dvps_d2.report.build import ReportSettings, write_report
from dvps_d2.report.colors import spread_colors
from dvps_d2.report.curves import read_curves
from dvps_d2.report.frames import ReportFrame, ReportVideo, scores_by_key
from dvps_d2.report.payload import Limits

__all__ = [
    "Limits",
    "ReportFrame",
    "ReportSettings",
    "ReportVideo",
    "read_curves",
    "scores_by_key",
    "spread_colors",
    "write_report",
]
