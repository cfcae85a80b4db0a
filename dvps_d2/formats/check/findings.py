"""Findings and how they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from dvps_d2.formats.records import FrameRecord

Level = Literal["error", "warning", "note"]
_ORDER: tuple[Level, ...] = ("error", "warning", "note")
SHOWN_PER_KIND = 5  # findings of one kind that are written out


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    Attributes:
        level: "error" = training or scoring would fail or be wrong; "warning" = look at it;
            "note" = good to know.
        kind: the same for findings of the same nature, "size", "depth".
        where: file, with line where there is one, or video or split.
        message: what was expected and what was found.
        frames: the frames in which it can be seen, where it can.
        track: the object it is about, where it is about one.
    """

    level: Level
    kind: str
    where: str
    message: str
    frames: tuple[FrameRecord, ...] = ()
    track: int | None = None

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """For machines; frames by the names of their images."""
        told = {"level": self.level, "kind": self.kind, "where": self.where}
        frames = [frame["file_name"] for frame in self.frames]
        return {**told, "message": self.message, "frames": frames, "track": self.track}


@dataclass
class Report:
    """All findings of a check, and what was counted on the way.

    Attributes:
        findings: in the order in which they were made.
        counts: split -> ``videos``, ``frames``, ``labelled`` and, where there is depth,
            ``depth_percent`` (pixels with depth), ``depth_min_m`` and ``depth_max_m``.
        depth: split -> video id -> the same three for one video.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    depth: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """Whether anything must be repaired."""
        return self.number("error") > 0

    def number(self, level: Level) -> int:
        """Findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def add(self, findings: Iterable[Finding]) -> None:
        """Append findings."""
        self.findings.extend(findings)

    def lines(self) -> list[str]:
        """The report as text: counts, then findings, of each kind the first few."""
        lines = []
        for split, counts in self.counts.items():
            lines.append(f"{split}: {_tell_counts(counts)}")
            lines += _tell_depth(self.depth.get(split, {}))
        shown: Counter[tuple[str, str]] = Counter()
        for finding in sorted(self.findings, key=lambda f: _ORDER.index(f.level)):
            key = (finding.level, finding.kind)
            shown[key] += 1
            if shown[key] <= SHOWN_PER_KIND:
                lines.append(str(finding))
        for (level, kind), count in shown.items():
            if count > SHOWN_PER_KIND:
                lines.append(f"{level}: {count - SHOWN_PER_KIND} more of kind {kind!r}")
        lines.append(f"{self.number('error')} errors, {self.number('warning')} warnings")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "counts": self.counts,
            "depth": self.depth,
            "findings": [finding.as_json() for finding in self.findings],
        }


def _tell_counts(counts: dict[str, Any]) -> str:
    told = "{videos} videos, {frames} frames, {labelled} labelled".format(**counts)
    if "depth_percent" in counts:
        told += ", depth of {depth_min_m} to {depth_max_m} m on {depth_percent} % of pixels".format(
            **counts
        )
    return told


def _tell_depth(videos: dict[str, dict[str, float]]) -> list[str]:
    """The videos with the least and the most depth, where there are several."""
    if len(videos) < 2:
        return []
    by_share = sorted(videos, key=lambda video: videos[video]["percent"])
    told = [f"{video} {videos[video]['percent']:g} %" for video in (by_share[0], by_share[-1])]
    far = max(videos, key=lambda video: videos[video]["max_m"])
    near = min(videos, key=lambda video: videos[video]["max_m"])
    reach = f"reach of {videos[near]['max_m']:g} m ({near}) to {videos[far]['max_m']:g} m ({far})"
    return [f"  depth by video: {told[0]} to {told[1]} of pixels; {reach}"]
