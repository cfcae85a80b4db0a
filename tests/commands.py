"""Commands written in documents: found, marked, and run in one process."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROGRAMS = ("dvps", "python", "torchrun", "make", "pip", "export", "source", "git", "tensorboard")


@dataclass(frozen=True)
class Command:
    """One command line of a document.

    Attributes:
        document: path below the root.
        line: where its block begins.
        words: as a shell splits them.
        text: as written, continued lines joined.
    """

    document: str
    line: int
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def commands_in(path: Path) -> list[Command]:
    """The commands of the fenced blocks of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        if match[1].strip() not in ("", "bash", "sh", "console", "shell"):
            continue
        line = text[: match.start()].count("\n") + 1
        for statement in match[2].replace("\\\n", " ").splitlines():
            told = statement.split("  #")[0].strip().removeprefix("$ ")
            if told.split(" ")[0] in _PROGRAMS:
                words = tuple(shlex.split(told, comments=True))
                found.append(Command(str(path.relative_to(ROOT)), line, words, told))
    return found


def code_in(path: Path) -> list[str]:
    """The Python blocks of a Markdown file, in order."""
    return [
        m[2] for m in _FENCE.finditer(path.read_text("utf-8")) if m[1].split()[:1] == ["python"]
    ]
