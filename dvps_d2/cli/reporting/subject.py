"""What every way of gathering hands out."""

from __future__ import annotations

from dataclasses import dataclass

from dvps_d2.metrics import ClassSet, Protocol
from dvps_d2.report import ReportVideo

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about.

    Attributes:
        videos: to score and to show.
        protocol: how to score them.
        classes: of the dataset.
        colors: one per class.
        dataset: name, for people.
    """

    videos: list[ReportVideo]
    protocol: Protocol
    classes: ClassSet
    colors: list[Color]
    dataset: str
