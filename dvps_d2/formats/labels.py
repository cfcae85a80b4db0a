"""The panoptic label of one frame, as every reader returns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.formats.classes import VOID, ClassTable


@dataclass(frozen=True, eq=False)
class PanopticLabel:
    """What is where in one frame.

    Attributes:
        class_ids: (H, W) uint8, class id, 255 is void.
        track_ids: (H, W) int32, above 0 inside a thing, where it names one object in all frames
            of the video (whatever its class); 0 in stuff, in void, and in a crowd, which is a
            region of things that were not told apart.
    """

    class_ids: np.ndarray
    track_ids: np.ndarray

    def __post_init__(self) -> None:
        if self.class_ids.ndim != 2 or self.class_ids.dtype != np.uint8:
            raise ValueError(
                f"class_ids must be (H, W) uint8, got {self.class_ids.shape} {self.class_ids.dtype}"
            )
        if self.track_ids.shape != self.class_ids.shape or self.track_ids.dtype != np.int32:
            raise ValueError(
                f"track_ids must be {self.class_ids.shape} int32 like class_ids, "
                f"got {self.track_ids.shape} {self.track_ids.dtype}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.class_ids.shape

    def segments(self) -> dict[tuple[int, int], int]:
        """Pixels of every segment: (class id, track id) -> area; void is left out."""
        keys = (self.track_ids.astype(np.int64) << 8) | self.class_ids
        values, areas = np.unique(keys, return_counts=True)
        found = zip(values.tolist(), areas.tolist(), strict=True)
        return {(key & 255, key >> 8): area for key, area in found if key & 255 != VOID}

    def problems(self, table: ClassTable) -> list[str]:
        """What contradicts the class table, one line per finding; empty when sound."""
        lines = []
        for class_id, track_id in self.segments():
            if class_id >= len(table):
                lines.append(f"class id {class_id} is not one of the {len(table)} classes")
            elif track_id < 0:
                lines.append(f"track id {track_id} of {table.names[class_id]} is negative")
            elif track_id and not table.is_thing[class_id]:
                lines.append(f"stuff class {table.names[class_id]} has track id {track_id}")
        if (self.track_ids[self.class_ids == VOID] != 0).any():
            lines.append("void pixels have a track id")
        return lines
