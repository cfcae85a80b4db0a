"""Class tables: what the numbers in a dataset's files mean, and in which order we hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from dvps_d2.formats.files import read_json

# Cityscapes classes that a SynthStreet can show; its scores average over these.
STREET_CLASSES = (
    "road", "sidewalk", "building", "pole", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "bicycle",
)  # fmt: skip
VOID = 255  # class id of "no label" in every array of class ids


@dataclass(frozen=True)
class ClassTable:
    """The classes of one dataset, indexed by contiguous class id 0..K-1.

    Attributes:
        name: of the dataset family, "cityscapes".
        names: class names.
        thing_ids: class ids that are things, ascending.
        colors: (r, g, b), 0..255, per class.
        dataset_ids: number of each class in the dataset's files ("category_id").
        ignored_dataset_ids: numbers that occur in files and mean void.
    """

    name: str
    names: tuple[str, ...]
    thing_ids: tuple[int, ...]
    colors: tuple[tuple[int, int, int], ...]
    dataset_ids: tuple[int, ...]
    ignored_dataset_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 0 < count <= VOID:
            raise ValueError(f"a class table holds 1 to {VOID} classes, {self.name!r} has {count}")
        for field in ("colors", "dataset_ids"):
            if len(getattr(self, field)) != count:
                raise ValueError(
                    f"{field} of class table {self.name!r} must have one entry per name: "
                    f"{count} names, {len(getattr(self, field))} {field}"
                )
        used = self.dataset_ids + self.ignored_dataset_ids
        if len(set(used)) != len(used):
            raise ValueError(f"class table {self.name!r} uses a dataset id twice: {sorted(used)}")
        if not set(self.thing_ids) <= set(range(count)):
            raise ValueError(f"thing_ids of {self.name!r} must be in 0..{count - 1}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def stuff_ids(self) -> tuple[int, ...]:
        """Class ids that are stuff, ascending."""
        things = set(self.thing_ids)
        return tuple(i for i in range(len(self)) if i not in things)

    @cached_property
    def is_thing(self) -> np.ndarray:
        """(256,) bool, indexed by class id; False for void."""
        flags = np.zeros(256, bool)
        flags[list(self.thing_ids)] = True
        return flags

    @cached_property
    def class_of(self) -> dict[int, int]:
        """Dataset id -> class id; ignored dataset ids -> 255."""
        table = {dataset_id: i for i, dataset_id in enumerate(self.dataset_ids)}
        return table | dict.fromkeys(self.ignored_dataset_ids, VOID)

    def class_id(self, dataset_id: int) -> int:
        """Class id of a dataset id, 255 for an ignored one.

        Raises:
            KeyError: the dataset has no such number.
        """
        if dataset_id not in self.class_of:
            raise KeyError(
                f"{dataset_id} is no category of {self.name!r}; it has {_spans(self.class_of)}"
            )
        return self.class_of[dataset_id]

    def lookup(self, size: int) -> np.ndarray:
        """(size,) uint8 array from dataset id to class id, 255 where there is no class."""
        table = np.full(size, VOID, np.uint8)
        for dataset_id, class_id in self.class_of.items():
            if dataset_id < size:
                table[dataset_id] = class_id
        return table

    def categories(self) -> list[dict[str, Any]]:
        """The ``categories`` list of a COCO-style JSON, in dataset ids."""
        return [
            {"id": self.dataset_ids[i], "name": name, "isthing": int(self.is_thing[i])}
            | {"color": list(self.colors[i])}
            for i, name in enumerate(self.names)
        ]

    def reordered(self, order: Iterable[int]) -> ClassTable:
        """The same classes in another order: new class i is old class ``order[i]``."""
        order = tuple(order)
        if sorted(order) != list(range(len(self))):
            raise ValueError(f"order must be a permutation of 0..{len(self) - 1}, got {order}")
        things = set(self.thing_ids)
        return ClassTable(
            self.name,
            tuple(self.names[i] for i in order),
            tuple(new for new, old in enumerate(order) if old in things),
            tuple(self.colors[i] for i in order),
            tuple(self.dataset_ids[i] for i in order),
            self.ignored_dataset_ids,
        )

    def things_first(self) -> tuple[int, ...]:
        """The ``order`` that puts things before stuff, as several published models do."""
        return self.thing_ids + self.stuff_ids


def _spans(numbers: Iterable[int]) -> str:
    """[0, 1, 2, 5] -> "0..2, 5"."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}..{b}" for a, b in spans)


def table_from_categories(name: str, categories: list[dict[str, Any]]) -> ClassTable:
    """A class table from a COCO-style ``categories`` list; class ids follow ascending ``id``.

    Args:
        name: name for the table.
        categories: entries with ``id``, ``name``, ``isthing`` (0 or 1) and ``color`` [r, g, b].
    """
    entries = sorted(categories, key=lambda entry: entry["id"])
    return ClassTable(
        name,
        tuple(entry["name"] for entry in entries),
        tuple(i for i, entry in enumerate(entries) if entry["isthing"]),
        tuple(tuple(entry["color"]) for entry in entries),
        tuple(entry["id"] for entry in entries),
    )


def read_shipped_table(name: str) -> dict[str, Any]:
    """The JSON of a shipped table as it is, with the columns only one dataset has.

    Raises:
        ValueError: there is no such table.
    """
    folder = files("dvps_d2.formats") / "categories"
    if not (folder / f"{name}.json").is_file():
        entries = (entry.name for entry in folder.iterdir())
        names = sorted(entry[: -len(".json")] for entry in entries if entry.endswith(".json"))
        raise ValueError(f"no class table {name!r}; there are {', '.join(names)}")
    return read_json(str(folder / f"{name}.json"))


@cache
def class_table(name: str) -> ClassTable:
    """One of the shipped tables: "cityscapes", "semkitti", "viper" or "vipseg"."""
    content = read_shipped_table(name)
    classes = content["classes"]
    return ClassTable(
        content["name"],
        tuple(entry["name"] for entry in classes),
        tuple(entry["id"] for entry in classes if entry["is_thing"]),
        tuple(tuple(entry["color"]) for entry in classes),
        tuple(entry["dataset_id"] for entry in classes),
        tuple(content["ignored"]),
    )
