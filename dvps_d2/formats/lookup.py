"""From the ids of a panoptic PNG to classes and tracks, fast.

Panoptic ids reach 2**24, a frame has a few dozen. Sorting the pixels to number them takes longer
than decoding the PNG; a hash without collisions needs one multiplication per pixel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvps_d2.formats.classes import VOID, ClassTable
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.png import read_png, rgb_to_id

_LEAST_BITS, _MOST_BITS = 10, 22
_TRIES = 64


class IdTable:
    """Numbers a given set of ids; looks up whole maps.

    Args:
        ids: distinct ids, 0 .. 2**31 - 1; id ``ids[i]`` gets row i + 1.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = np.asarray(ids, np.int32).ravel()
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError(f"ids must be distinct, got {sorted(int(i) for i in self.ids)}")
        self._multiplier, self._shift = _collision_free(self.ids.astype(np.uint32))
        size = 1 << int(32 - self._shift)
        self._row = np.zeros(size, np.uint16)
        self._id = np.full(size, -1, np.int32)
        places = self._hash(self.ids)
        self._row[places] = np.arange(1, len(self.ids) + 1)
        self._id[places] = self.ids

    def _hash(self, ids: np.ndarray) -> np.ndarray:
        return (ids.view(np.uint32) * self._multiplier) >> self._shift

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """(H, W) int32 ids -> (H, W) uint16 rows, 0 for an id that is not in the table."""
        places = self._hash(np.ascontiguousarray(ids, np.int32))
        rows = np.take(self._row, places)
        rows[np.take(self._id, places) != ids] = 0
        return rows


def _collision_free(ids: np.ndarray) -> tuple[np.uint32, np.uint32]:
    """A multiplier and a shift under which no two ids share a place."""
    rng = np.random.default_rng(0)
    for bits in range(_LEAST_BITS, _MOST_BITS + 1):
        if 1 << bits < len(ids):
            continue
        shift = np.uint32(32 - bits)
        for multiplier in rng.integers(1, 1 << 32, _TRIES, dtype=np.uint32) | np.uint32(1):
            places = (ids * multiplier) >> shift
            if len(np.unique(places)) == len(ids):
                return multiplier, shift
    raise ValueError(f"{len(ids)} ids are too many for one frame")


def decode_rgb_label(
    path: str | os.PathLike[str], segments_info: Sequence[Mapping[str, Any]], table: ClassTable
) -> PanopticLabel:
    """Read a panoptic PNG whose segments are listed in a JSON.

    Args:
        path: 8-bit RGB PNG, id = R + 256 G + 65536 B, 0 = void.
        segments_info: per segment ``id``, ``category_id`` (dataset id) and ``iscrowd``.
        table: classes of the dataset.

    Returns:
        The label; track id = id for things, 0 for crowds.

    Raises:
        FormatError: the PNG has an id that the list lacks, or the list a class that the table
            lacks; one message tells apart a file whose red and blue are swapped.
    """
    ids = rgb_to_id(read_png(path, channels=3, bits=8))
    listed = [int(segment["id"]) for segment in segments_info]
    if 0 in listed:
        raise FormatError(f"{path}: segments_info lists id 0, which means void")
    rows = IdTable([0, *listed]).rows(ids)
    if not rows.all():
        raise FormatError(_unlisted_ids(path, ids[rows == 0], listed))
    class_ids = [VOID, VOID]  # rows 0 (unlisted) and 1 (id 0)
    track_ids = [0, 0]
    for segment in segments_info:
        try:
            class_id = table.class_id(int(segment["category_id"]))
        except KeyError as error:
            raise FormatError(f"{path}: segment {segment['id']}: {error.args[0]}") from None
        single = class_id != VOID and table.is_thing[class_id] and not segment.get("iscrowd", 0)
        class_ids.append(class_id)
        track_ids.append(int(segment["id"]) if single else 0)
    return PanopticLabel(
        np.take(np.array(class_ids, np.uint8), rows), np.take(np.array(track_ids, np.int32), rows)
    )


def _unlisted_ids(path: str | os.PathLike[str], unlisted: np.ndarray, listed: list[int]) -> str:
    first = int(unlisted[0])
    message = (
        f"{path}: id {first} (R, G, B = {first & 255}, {first >> 8 & 255}, {first >> 16}) in "
        f"{int((unlisted == first).sum())} pixels is not in the JSON's segments_info "
        f"({len(listed)} segments)"
    )
    swapped = (first & 0xFF) << 16 | (first & 0xFF00) | first >> 16
    if swapped in listed:
        message += f"; id {swapped} is: red and blue of this file seem to be swapped"
    return message
