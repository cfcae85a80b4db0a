"""What every tracker of query results is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from dvps_d2.structures import (
    Clip,
    FrameQueries,
    FrameSegments,
    TrackedQueries,
    TrackedSegments,
)


class Tracker(Protocol):
    """Give per-frame queries identities that last over the stream."""

    def __call__(self, queries: FrameQueries, state: Any) -> tuple[TrackedQueries, Any]:
        """Track the T frames of one window.

        Args:
            queries: per frame, in no particular order.
            state: what the previous call on this video returned; None at its start.

        Returns:
            The same queries with place q = one identity in all frames, and the new state.
        """
        ...


class BoxTracker(Protocol):
    """Give the detections of frames identities that last over the stream."""

    def __call__(
        self, frames: Sequence[FrameSegments], clip: Clip, state: Any
    ) -> tuple[list[TrackedSegments], Any]:
        """Track the T frames of one window.

        Args:
            frames: per frame, detections in any order.
            clip: the same frames as images (B = 1).
            state: what the previous call on this video returned; None at its start.

        Returns:
            The same detections with ids, and the new state.
        """
        ...
