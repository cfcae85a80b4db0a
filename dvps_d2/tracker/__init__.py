"""Stage 2: per-frame results -> identities."""

from .box_baselines import ClassSorting, DetectionOrder, FlowIouMatching, MaskMemory
from .protocol import BoxTracker, Tracker
from .query_matching import FixedSlots, QueryMatching, QueryMemory, match_queries
from .referring import ReferringMemory, ReferringTracker, Tracking
from .roi_affinity import CueWeights, RoiTracker, TrackHead, TrackMemory, track_frame

__all__ = [
    "BoxTracker",
    "ClassSorting",
    "CueWeights",
    "DetectionOrder",
    "FixedSlots",
    "FlowIouMatching",
    "MaskMemory",
    "QueryMatching",
    "QueryMemory",
    "ReferringMemory",
    "ReferringTracker",
    "RoiTracker",
    "TrackHead",
    "TrackMemory",
    "Tracker",
    "Tracking",
    "match_queries",
    "track_frame",
]
