"""Which number a track carries in the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class IdentityBook:
    """Output ids given so far; a value, so that a stream can be cut and resumed.

    A thing is (query track, class): when a query changes its mind about the class, a new id is
    opened, and the old one comes back with the old class. A stuff class has one id, whichever
    queries draw it. Ids count from 1 in order of first appearance; 0 is void.

    Attributes:
        known: (track id or None for stuff, class id) -> output id.
    """

    known: Mapping[tuple[int | None, int], int] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def assign(
        self, tracks: list[int], class_ids: list[int], thing_ids: frozenset[int]
    ) -> tuple[list[int], IdentityBook]:
        """Look up or open one id per segment.

        Args:
            tracks: (N) track id of each segment.
            class_ids: (N) contiguous class of each segment.
            thing_ids: classes that are countable.

        Returns:
            The N output ids, and the book with the new entries.
        """
        known = dict(self.known)
        ids = []
        for track, class_id in zip(tracks, class_ids, strict=True):
            key = (track if class_id in thing_ids else None, class_id)
            ids.append(known.setdefault(key, len(known) + 1))
        return ids, IdentityBook(MappingProxyType(known))
