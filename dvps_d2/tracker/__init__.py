"""Stage 2: per-frame results -> identities."""

from .protocol import Tracker
from .query_matching import FixedSlots, QueryMatching, QueryMemory, match_queries
from .referring import ReferringMemory, ReferringTracker, Tracking

__all__ = [
    "FixedSlots",
    "QueryMatching",
    "QueryMemory",
    "ReferringMemory",
    "ReferringTracker",
    "Tracker",
    "Tracking",
    "match_queries",
]
