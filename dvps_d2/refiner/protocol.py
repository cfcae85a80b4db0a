"""What every refiner is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from dvps_d2.structures import Clip, TrackedQueries


class Refiner(Protocol):
    """Improve tracks, at once or when the video has ended."""

    def __call__(
        self, tracks: TrackedQueries, clip: Clip, state: Any
    ) -> tuple[TrackedQueries | None, Any]:
        """Take one window.

        Args:
            tracks: of the window, from the tracker.
            clip: the window itself; only its sizes and names matter here.
            state: what the previous call on this video returned; None at its start.

        Returns:
            Refined tracks, or None while the refiner waits for the end of the video; and the new
            state.
        """
        ...

    def finish(self, state: Any) -> Iterator[tuple[TrackedQueries, Clip]]:
        """At the end of the video: the windows that were waited for, refined, in order."""
        ...
