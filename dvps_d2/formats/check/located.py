"""JSON with line numbers: every object knows the line it starts on."""

from __future__ import annotations

import json
from bisect import bisect_right
from json.decoder import JSONObject  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from dvps_d2.formats.errors import FormatError


class LocatedDict(dict):
    """A JSON object.

    Attributes:
        line: 1-based line of its opening brace.
    """

    line: int = 0


class _LocatingDecoder(json.JSONDecoder):
    """A decoder whose objects are `LocatedDict`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._starts = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        self.parse_object = self._parse_object
        # The C scanner does not call parse_object; the one in Python does.
        self.scan_once = py_make_scanner(self)

    def _parse_object(self, text_and_end: tuple[str, int], *args: Any) -> tuple[LocatedDict, int]:
        content, end = JSONObject(text_and_end, *args)
        located = LocatedDict(content)
        located.line = bisect_right(self._starts, text_and_end[1] - 1)
        return located, end


def read_located_json(path: str | Path) -> Any:
    """Parse a JSON file; every object in it is a `LocatedDict`.

    Raises:
        FormatError: it is not JSON; the message has file, line and column.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        return _LocatingDecoder(text).decode(text)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from error
