"""Stage 2: per-frame results -> identities."""

from .protocol import Tracker
from .query_matching import FixedSlots, QueryMatching, QueryMemory, match_queries

__all__ = ["FixedSlots", "QueryMatching", "QueryMemory", "Tracker", "match_queries"]
