"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, PROBLEM = "ok", "note", "problem"
STATES = (OK, NOTE, PROBLEM)


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: what was looked at, e.g. "torchvision".
        state: "ok"; "note": something works without, or works slowly; "problem": something that
            people come for will fail.
        text: what is there.
        remedy: what to do about it; empty exactly when all is well.
    """

    name: str
    state: str
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state must be one of {STATES}, got {self.state!r}")
        if (self.state == OK) == bool(self.remedy):
            raise ValueError(
                f"{self.name}: a note or a problem needs a remedy, and nothing else has one; "
                f"got state={self.state!r}, remedy={self.remedy!r}"
            )

    def lines(self) -> list[str]:
        """The finding as people read it; the remedy stands below, after an arrow."""
        first = f"{self.state:<8}{self.name:<14}{self.text}"
        return [first, f"{'':<22}-> {self.remedy}"] if self.remedy else [first]
