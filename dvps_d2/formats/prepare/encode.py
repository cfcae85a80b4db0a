"""Panoptic labels as RGB PNGs and segment lists, with ids that are the same in every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dvps_d2.formats.classes import VOID, ClassTable
from dvps_d2.formats.png import id_to_rgb

_LARGEST_ID = (1 << 24) - 1


class PanopticIds:
    """Ids of segments: a stuff class has the id of its colour; things get the numbers between.

    Args:
        table: classes; the colours of its stuff classes must differ.
    """

    def __init__(self, table: ClassTable) -> None:
        self.table = table
        weights = np.array([1, 256, 65536])
        self._stuff = {i: int(np.dot(table.colors[i], weights)) for i in table.stuff_ids}
        self._taken = sorted(self._stuff.values())
        if len(set(self._taken)) != len(self._taken) or 0 in self._taken:
            raise ValueError(f"stuff classes of {table.name!r} need distinct colours, none black")

    def stuff(self, class_id: int) -> int:
        """Id of a stuff class: its colour as R + 256 G + 65536 B."""
        return self._stuff[class_id]

    def thing(self, number: int) -> int:
        """The ``number``-th id, counted from 1, that no stuff class has."""
        if number < 1:
            raise ValueError(f"number must be above 0, got {number}")
        free = number
        for taken in self._taken:
            free += taken <= free
        if free > _LARGEST_ID:
            raise ValueError(f"thing number {number} does not fit into 24 bits")
        return free


def encode_label(
    class_ids: np.ndarray,
    numbers: np.ndarray,
    ids: PanopticIds,
    crowds: Mapping[int, int] | None = None,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """One frame as a panoptic PNG and its list of segments.

    Args:
        class_ids: (H, W) uint8 class ids, 255 void.
        numbers: (H, W) int; above 0 in a thing, the same for one object in all frames, and
            different for objects of different classes.
        ids: how segments are numbered.
        crowds: thing class id -> number of its crowd, given to pixels of the class that have no
            number of their own; without it they become void.

    Returns:
        (H, W, 3) uint8 RGB, and ``segments_info``: ``id``, ``category_id`` (dataset id),
        ``iscrowd``, ``area``; stuff by class first, then crowds, then things by number.
    """
    table = ids.table
    single = (numbers > 0) & table.is_thing[class_ids]
    of_class = np.bincount(class_ids[~single], minlength=256)
    id_of_class = np.zeros(256, np.int32)
    info = []
    for class_id in np.flatnonzero(of_class[:VOID]).tolist():
        if not table.is_thing[class_id]:
            segment_id = ids.stuff(class_id)
        elif crowds is not None and class_id in crowds:
            segment_id = ids.thing(crowds[class_id])
        else:
            continue
        id_of_class[class_id] = segment_id
        crowd = bool(table.is_thing[class_id])
        info.append(_segment(segment_id, table.dataset_ids[class_id], crowd, of_class[class_id]))
    info.sort(key=lambda segment: segment["iscrowd"])
    id_map = id_of_class[class_ids]
    info += _encode_things(id_map, class_ids, numbers, single, ids)
    return id_to_rgb(id_map), info


def _encode_things(
    id_map: np.ndarray,
    class_ids: np.ndarray,
    numbers: np.ndarray,
    single: np.ndarray,
    ids: PanopticIds,
) -> list[dict[str, Any]]:
    """Write thing ids into ``id_map``; returns their list."""
    keys = numbers[single].astype(np.int64) << 8 | class_ids[single]
    found, rows, areas = np.unique(keys, return_inverse=True, return_counts=True)
    if len(np.unique(found >> 8)) != len(found):
        raise ValueError("two objects of different classes have the same number")
    segment_ids = np.array([ids.thing(int(key) >> 8) for key in found], np.int32)
    if len(found):
        id_map[single] = segment_ids[rows]
    classes = [ids.table.dataset_ids[int(key) & 255] for key in found]
    return [
        _segment(int(i), c, False, a) for i, c, a in zip(segment_ids, classes, areas, strict=True)
    ]


def _segment(segment_id: int, category_id: int, crowd: bool, area: int) -> dict[str, Any]:
    return {
        "id": segment_id,
        "category_id": int(category_id),
        "iscrowd": int(crowd),
        "area": int(area),
    }
