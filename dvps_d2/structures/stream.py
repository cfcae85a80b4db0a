"""The memory of a video between windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class StreamState:
    """One field per stage; a value that is passed in and returned, never kept on a module.

    ``StreamState()`` starts a video. Each field is whatever its stage returned last, or None
    where a stage has not run or has no memory.
    """

    segmenter: Any = None
    tracker: Any = None
    refiner: Any = None
    fusion: Any = None
