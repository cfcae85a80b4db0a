"""Looking a dataset over before training on it: every file opened, every finding with its file."""

from __future__ import annotations

from dvps_d2.formats.check.dataset import check_dataset
from dvps_d2.formats.check.findings import Finding, Report
from dvps_d2.formats.check.own_data import check_json

__all__ = ["Finding", "Report", "check_dataset", "check_json"]
