"""The segments of one frame in the form that drawing needs: small numbers and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dvps_d2.visualize.palette import VOID

# Ids below this are renumbered through a table, larger ones by sorting.
_TABLE_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class SegmentMap:
    """One frame as row numbers into a table of segments.

    Attributes:
        index: (H, W) uint16, row of the segment at each pixel; row 0 is void.
        class_ids: (N + 1,) int, class id of each row; 255 in row 0.
        track_ids: (N + 1,) int, track id of each row; 0 for stuff and crowds.
    """

    index: np.ndarray
    class_ids: np.ndarray
    track_ids: np.ndarray

    def __post_init__(self) -> None:
        if self.index.ndim != 2 or self.index.dtype != np.uint16:
            raise ValueError(
                f"index must be (H, W) uint16, got {self.index.shape} {self.index.dtype}"
            )
        if len(self.class_ids) != len(self.track_ids) or not len(self.class_ids):
            raise ValueError(
                f"class_ids and track_ids need one entry per row, void included; "
                f"got {len(self.class_ids)} and {len(self.track_ids)}"
            )

    @classmethod
    def from_ids(
        cls, ids: np.ndarray, classes: Mapping[int, int], thing_ids: Iterable[int]
    ) -> SegmentMap:
        """From a panoptic id map and the class of each id, as predictions come.

        Args:
            ids: (H, W) int; 0 is void.
            classes: id -> class id, for every id above 0 that occurs.
            thing_ids: class ids that are things; their segments' ids are track ids.

        Raises:
            ValueError: an id occurs that ``classes`` does not name.
        """
        if ids.size and (ids.min() < 0 or ids.max() >= _TABLE_LIMIT):
            return cls._from_large_ids(ids, classes, thing_ids)
        size = max(int(ids.max(initial=0)), max(classes, default=0)) + 1
        present = np.flatnonzero(np.bincount(ids.ravel(), minlength=size))
        table = np.zeros(size, np.uint16)
        names = _named(present, classes)
        table[names] = np.arange(1, len(names) + 1)
        return cls._assemble(np.take(table, ids), names, classes, thing_ids)

    @classmethod
    def _from_large_ids(
        cls, ids: np.ndarray, classes: Mapping[int, int], thing_ids: Iterable[int]
    ) -> SegmentMap:
        present, inverse = np.unique(ids, return_inverse=True)
        names = _named(present, classes)
        rows = np.searchsorted(names, present) + 1
        rows[present == 0] = 0
        index = rows.astype(np.uint16)[inverse].reshape(ids.shape)
        return cls._assemble(index, names, classes, thing_ids)

    @classmethod
    def _assemble(
        cls, index: np.ndarray, names: list[int], classes: Mapping[int, int], things: Iterable[int]
    ) -> SegmentMap:
        things = set(things)
        class_ids = [VOID, *(classes[i] for i in names)]
        track_ids = [0, *(i if classes[i] in things else 0 for i in names)]
        return cls(index, np.array(class_ids), np.array(track_ids))

    @classmethod
    def from_labels(cls, class_ids: np.ndarray, track_ids: np.ndarray) -> SegmentMap:
        """From a class map and a track map, as ground truth comes.

        Args:
            class_ids: (H, W) uint8; 255 is void.
            track_ids: (H, W) int; 0 outside things.
        """
        stuff = np.flatnonzero(np.bincount(class_ids[track_ids == 0], minlength=256)[:VOID])
        table = np.zeros(256, np.uint16)
        table[stuff] = np.arange(1, len(stuff) + 1)
        index = np.take(table, class_ids)
        thing = track_ids != 0
        keys = (track_ids[thing].astype(np.int64) << 8) | class_ids[thing]
        keys, rows = np.unique(keys, return_inverse=True)
        index[thing] = rows + len(stuff) + 1
        return cls(
            index,
            np.concatenate([[VOID], stuff, keys & 255]),
            np.concatenate([np.zeros(len(stuff) + 1, np.int64), keys >> 8]),
        )


def _named(present: np.ndarray, classes: Mapping[int, int]) -> list[int]:
    """The ids above 0 that occur; an error if one has no class."""
    names = [int(i) for i in present if i != 0]
    unknown = [i for i in names if i not in classes]
    if unknown:
        raise ValueError(f"ids holds {unknown[:5]}, which classes does not name")
    return names
