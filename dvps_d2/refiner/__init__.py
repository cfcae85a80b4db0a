"""Stage 3: tracks of a whole clip, seen once more with past and future in view."""

from .memory import FEATURE_STORES, RECOMPUTE, RefinerMemory, keep_features
from .protocol import Refiner
from .temporal import Refinement, TemporalRefiner

__all__ = [
    "FEATURE_STORES",
    "RECOMPUTE",
    "Refinement",
    "Refiner",
    "RefinerMemory",
    "TemporalRefiner",
    "keep_features",
]
