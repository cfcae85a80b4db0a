"""From the renderer's classes to those of another dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dvps_d2.formats.classes import ClassTable, class_table
from dvps_d2.street.config import VOID
from dvps_d2.street.video import StreetFrame


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Renames classes.

    Attributes:
        table: classes of the dataset.
        lookup: (256,) uint8, Cityscapes train id -> class id, 255 where the dataset has none.
    """

    table: ClassTable
    lookup: np.ndarray

    @classmethod
    def by_name(cls, dataset: str, names: Mapping[str, str | None]) -> ClassMap:
        """Pair Cityscapes names with the dataset's; None makes a class void."""
        source, table = class_table("cityscapes"), class_table(dataset)
        lookup = np.full(256, VOID, np.uint8)
        for old, new in names.items():
            if new is not None:
                lookup[source.names.index(old)] = table.names.index(new)
        return cls(table, lookup)

    def labels(self, frame: StreetFrame) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint8 class ids and (H, W) int32 track ids, 0 outside things."""
        class_ids = self.lookup[frame.class_ids]
        return class_ids, np.where(self.table.is_thing[class_ids], frame.track_ids, 0)
