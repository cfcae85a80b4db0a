"""The ``categories`` list of own data, completed and checked."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Collection
from typing import Any

from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.files import read_json

_GOLDEN = 0.618034  # steps of this share of the colour circle never come close to each other soon


def read_categories(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Categories from a JSON: the list itself, or an object with the key ``categories``.

    Raises:
        FormatError: see `complete_categories`.
    """
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("categories")
    return complete_categories(content, path)


def complete_categories(entries: Any, path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Check categories and give colours to those without, in ascending order of ``id``.

    Args:
        entries: list of ``{"id", "name", "isthing"}``, optionally with ``color`` [r, g, b]; COCO's
            annotation files have no colours.
        path: where they come from, for messages.

    Raises:
        FormatError: no list, a key is missing or of another type, or an id occurs twice.
    """
    if not isinstance(entries, list) or not entries:
        raise FormatError(
            f'{path} has no categories; expected a list of {{"id": 1, "name": "cat", '
            f'"isthing": 1}}, alone or under the key "categories"'
        )
    seen: dict[int, str] = {}
    for place, entry in enumerate(entries):
        _check_category(entry, f"{path}: categories[{place}]")
        if entry["id"] in seen:
            raise FormatError(
                f"{path}: id {entry['id']} is that of {seen[entry['id']]!r} and of "
                f"{entry['name']!r}"
            )
        seen[entry["id"]] = entry["name"]
    ordered = sorted(entries, key=lambda entry: entry["id"])
    used = {tuple(entry["color"]) for entry in ordered if "color" in entry}
    return [
        {
            "id": entry["id"],
            "name": entry["name"],
            "isthing": int(entry["isthing"]),
            "color": list(entry.get("color") or _free_color(place, used)),
        }
        for place, entry in enumerate(ordered)
    ]


def _check_category(entry: Any, place: str) -> None:
    kinds = {"id": (int, "a whole number"), "name": (str, "a text"), "isthing": (int, "0 or 1")}
    for key, (kind, told) in kinds.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, kind):
            raise FormatError(f"{place}: {key} must be {told}, got {value!r}")
    if entry["isthing"] not in (0, 1):
        raise FormatError(f"{place}: isthing must be 0 or 1, got {entry['isthing']}")
    color = entry.get("color", [0, 0, 0])
    good = isinstance(color, list) and len(color) == 3
    if not good or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
        raise FormatError(f"{place}: color must be [r, g, b] in 0..255, got {color!r}")


def _free_color(place: int, used: Collection[tuple[int, ...]]) -> tuple[int, int, int]:
    """The colour of the ``place``-th class, moved on while another class has it."""
    while True:
        red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN % 1, 0.75, 0.65 + 0.3 * (place % 2))
        color = (round(255 * red), round(255 * green), round(255 * blue))
        if color not in used:
            return color
        place += len(used) + 1
