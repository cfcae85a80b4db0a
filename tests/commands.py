"""Commands written in documents and help texts: found, with what they need, and run.

What cannot run on any machine is marked where readers see it, by a shell comment: behind a command,
``dvps check datasets/VIPSeg   # needs VIPSeg``, or on the first line of a block, for all of it.
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import process
from pathlib import Path

from dvps_d2.cli import COMMANDS as DVPS_COMMANDS

ROOT = Path(__file__).resolve().parents[1]
# The quick start first: other pages go on with what it leaves.
DOCUMENTS = [
    ROOT / "docs/quick_start.md",
    *sorted(
        {ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MODEL_ZOO.md", "CHANGELOG.md")}
        | {ROOT / "datasets/README.md", ROOT / "embedded/README.md"}
        | set((ROOT / "examples").rglob("README.md"))
        | set((ROOT / "docs").rglob("*.md")) - {ROOT / "docs/quick_start.md"}
    ),
]
# Modules of the programs that are Python.
MODULES = {
    "dvps": "dvps_d2.cli",
    "torchrun": "torch.distributed.run",
    "tensorboard": "tensorboard.main",
}
_PROGRAMS = (*MODULES, "python", "make", "pip", "export", "source", "git")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CONTINUED = re.compile(r"[ \t]*\\\n[ \t]*")


@dataclass(frozen=True)
class Command:
    """One command line of a document.

    Attributes:
        document: path below the root; of a help text, the command that prints it.
        line: where its block begins; of a help text, 1.
        words: as a shell splits them.
        text: as written, continued lines joined, without comment.
        needs: what it needs that not every machine has; "" = nothing.
    """

    document: str
    line: int
    words: tuple[str, ...]
    text: str
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def commands_in(path: Path) -> list[Command]:
    """The commands of the fenced blocks of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        if match[1].strip() in ("", "bash", "sh", "console", "shell"):
            line = text[: match.start()].count("\n") + 1
            found += _commands(str(path.relative_to(ROOT)), line, match[2])
    return found


def commands_of_script(path: Path) -> list[Command]:
    """The commands in the docstring of a script."""
    return _commands(str(path.relative_to(ROOT)), 1, _docstring(path))


def commands_of_help(name: str) -> list[Command]:
    """The examples that ``dvps <name> --help`` prints: those of its module's docstring."""
    spec = find_spec(DVPS_COMMANDS[name][0])
    return _commands(f"dvps {name} --help", 1, _docstring(Path(spec.origin)))


def commands_of_config(path: Path) -> list[Command]:
    """The commands in the comment that a config begins with."""
    comment = re.match(r"(?:#.*\n)*", path.read_text("utf-8"))[0]
    block = re.sub(r"^# ?", "", comment, flags=re.MULTILINE)
    return _commands(str(path.relative_to(ROOT)), 1, block)


def document_commands() -> list[Command]:
    """Those of all documents, in the order in which they are run."""
    return [command for path in DOCUMENTS for command in commands_in(path)]


def help_commands() -> list[Command]:
    """Those of all help texts; importing first, since others look at what was imported."""
    names = sorted(DVPS_COMMANDS, key=lambda name: (name != "import-data", name))
    return [command for name in names for command in commands_of_help(name)]


def code_in(path: Path) -> list[str]:
    """The Python blocks of a Markdown file, in order."""
    return [
        m[2] for m in _FENCE.finditer(path.read_text("utf-8")) if m[1].split()[:1] == ["python"]
    ]


def run_program(
    words: Sequence[str], folder: str, log: str, environment: Mapping[str, str]
) -> None:
    """Be a Python program: the target of a process that was forked for it alone.

    Args:
        words: ``dvps``, ``torchrun``, ``tensorboard`` or ``python``, and its arguments.
        folder: where to run.
        log: file for what it prints.
        environment: what was exported before.
    """
    os.chdir(folder)
    process.ORIGINAL_DIR = folder  # where processes that the program starts begin
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    program, *arguments = words
    module = MODULES.get(program)
    if module is None and arguments[0] == "-m":
        _, module, *arguments = arguments
    if module is not None:
        sys.argv = [program, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    script = Path(folder, arguments[0])  # by its full name, for processes that import it again
    sys.argv = [str(script), *arguments[1:]]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False) or ""


def _commands(document: str, line: int, block: str) -> list[Command]:
    lines = [told.strip() for told in _CONTINUED.sub(" ", block).splitlines()]
    whole = _needs(next(filter(None, lines), ""))
    found = []
    for told in lines:
        text, _, comment = told.removeprefix("$ ").partition(" #")
        text = text.rstrip()
        if text.split(" ")[0] in _PROGRAMS:
            words = tuple(shlex.split(text))
            needs = _needs("#" + comment) or whole
            found.append(Command(document, line, words, text, needs))
    return found


def _needs(comment: str) -> str:
    found = re.fullmatch(r"# *needs (.+)", comment)
    return found[1] if found else ""
