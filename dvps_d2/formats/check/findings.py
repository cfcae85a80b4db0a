"""Findings and how they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

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
    """

    level: Level
    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message}"


@dataclass
class Report:
    """All findings of a check, and what was counted on the way.

    Attributes:
        findings: in the order in which they were made.
        counts: split -> ``videos``, ``frames``, ``labelled`` and, where there is depth,
            ``depth_percent`` (pixels with depth), ``depth_min_m`` and ``depth_max_m``.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """Whether anything must be repaired."""
        return any(finding.level == "error" for finding in self.findings)

    def add(self, findings: Iterable[Finding]) -> None:
        """Append findings."""
        self.findings.extend(findings)

    def lines(self) -> list[str]:
        """The report as text: counts, then findings, of each kind the first few."""
        lines = []
        for split, counts in self.counts.items():
            lines.append(f"{split}: {_tell_counts(counts)}")
        shown: Counter[tuple[str, str]] = Counter()
        for finding in sorted(
            self.findings, key=lambda f: ("error", "warning", "note").index(f.level)
        ):
            key = (finding.level, finding.kind)
            shown[key] += 1
            if shown[key] <= SHOWN_PER_KIND:
                lines.append(str(finding))
        for (level, kind), count in shown.items():
            if count > SHOWN_PER_KIND:
                lines.append(f"{level}: {count - SHOWN_PER_KIND} more of kind {kind!r}")
        errors = sum(f.level == "error" for f in self.findings)
        warnings = sum(f.level == "warning" for f in self.findings)
        lines.append(f"{errors} errors, {warnings} warnings")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "counts": self.counts,
            "findings": [vars(finding) for finding in self.findings],
        }


def _tell_counts(counts: dict[str, Any]) -> str:
    told = "{videos} videos, {frames} frames, {labelled} labelled".format(**counts)
    if "depth_percent" in counts:
        told += ", depth of {depth_min_m} to {depth_max_m} m on {depth_percent} % of pixels".format(
            **counts
        )
    return told
