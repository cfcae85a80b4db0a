"""Write the pages that come from the code: configuration keys and the command line.

Example:
    python docs/generate.py            # writes docs/configuration.md and docs/command_line.md
    python docs/generate.py --check    # exit code 1 if they are not what the code says
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from dvps_d2.cli import COMMANDS, load_command

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
CONFIG = ROOT / "dvps_d2" / "d2" / "config.py"


def configuration() -> str:
    """All keys that `add_dvps_config` adds, with defaults and comments."""
    lines = [
        "# Configuration keys",
        "",
        "Written by `docs/generate.py` from the comments in",
        "[`dvps_d2/d2/config.py`](../dvps_d2/d2/config.py). Detectron2's own keys are not here.",
        "",
    ]
    section = None
    for key, default, comment in config_keys(CONFIG.read_text("utf-8")):
        top = ".".join(key.split(".")[:2]) if key.startswith("MODEL.") else key.split(".")[0]
        if top != section:
            lines += ["", f"## {top}", "", "| key | default | |", "| --- | --- | --- |"]
            section = top
        lines.append(f"| `{key}` | `{default}` | {_cell(comment)} |")
    return "\n".join(lines).rstrip() + "\n"


def config_keys(source: str) -> list[tuple[str, str, str]]:
    """(key, default, comment) in order of first appearance of their sections.

    A comment above several keys belongs to all of them.
    """
    comments = _comments(source)
    keys = []
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("_add_"):
            keys += list(_keys_of(function, comments))
    order: dict[str, int] = {}
    for key, _, _ in keys:
        order.setdefault(_section(key), len(order))
    return sorted(keys, key=lambda entry: order[_section(entry[0])])


def _section(key: str) -> str:
    parts = key.split(".")
    return ".".join(parts[:2]) if parts[0] == "MODEL" else parts[0]


def _keys_of(function: ast.FunctionDef, comments: dict[int, str]) -> Iterator[tuple[str, str, str]]:
    names = {"cfg": ""}
    comment, last = "", 0
    for statement in function.body:
        if not isinstance(statement, ast.Assign):
            continue
        above = _comment_above(statement.lineno, comments)
        if above or statement.lineno != last + 1:
            comment = above
        last = statement.end_lineno or statement.lineno
        paths = [_path(target, names) for target in statement.targets]
        targets = zip(statement.targets, paths, strict=True)
        dotted = [p for t, p in targets if isinstance(t, ast.Attribute) and p]
        is_node = isinstance(statement.value, ast.Call)
        source = _path(statement.value, names) if not is_node else None
        for target in statement.targets:
            if isinstance(target, ast.Name):
                names[target.id] = dotted[0] if dotted else (source or "")
        if dotted and not is_node:
            yield dotted[0], ast.unparse(statement.value), comment


def _path(node: ast.AST, names: dict[str, str]) -> str | None:
    """cfg.MODEL.X or a short name for it -> "MODEL.X"."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _path(node.value, names)
        return None if base is None else f"{base}.{node.attr}".lstrip(".")
    return None


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _comment_above(line: int, comments: dict[int, str]) -> str:
    found: list[str] = []
    while line - 1 in comments:
        line -= 1
        found.insert(0, comments[line])
    return " ".join(found)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def command_line() -> str:
    """The help of every command."""
    lines = [
        "# Command line",
        "",
        "Written by `docs/generate.py`: what `dvps <command> --help` says. `dvps` comes with the",
        "package; `python -m dvps_d2.cli` is the same.",
        "",
        "| command | |",
        "| --- | --- |",
    ]
    lines += [f"| [`dvps {n}`](#dvps-{n}) | {told} |" for n, (_, told) in sorted(COMMANDS.items())]
    for name in sorted(COMMANDS):
        _, parser = load_command(name)
        lines += ["", f"## dvps {name}", "", "```text", _help(parser), "```"]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for form, inner in action.choices.items():
                    lines += ["", f"### dvps {name} {form}", "", "```text", _help(inner), "```"]
    return "\n".join(lines) + "\n"


def _help(parser: argparse.ArgumentParser) -> str:
    text = "\n".join(line.rstrip() for line in parser.format_help().strip().splitlines())
    return re.sub(r"\(\d+ on this machine\)", "", text)


PAGES = {"configuration.md": configuration, "command_line.md": command_line}


def main() -> int:
    """Write or compare; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare instead of writing")
    check = arguments.parse_args().check
    os.environ["COLUMNS"] = "100"  # the width of argparse's help
    stale = []
    for name, make in PAGES.items():
        text = make()
        path = DOCS / name
        if check and (not path.is_file() or path.read_text("utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"{', '.join(stale)}: not what the code says; run `make docs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
