"""What flows between the stages: frozen dataclasses that say shape, unit and meaning.

Axis letters, everywhere: B clips, T frames, Q queries, N segments, K classes, C channels,
h w the grid of the mask features, H W the (padded) frame.
"""

from .box_targets import BoxTargets
from .clip import Clip
from .panoptic import PanopticTube, Segment
from .queries import FrameQueries, RecalledQueries, SegmenterOutput, TrackedQueries
from .segments import Detector, FrameSegments, TrackedSegments
from .stream import StreamState
from .targets import ClipTargets, DenoisingQueries

__all__ = [
    "BoxTargets",
    "Clip",
    "ClipTargets",
    "DenoisingQueries",
    "Detector",
    "FrameQueries",
    "FrameSegments",
    "PanopticTube",
    "RecalledQueries",
    "Segment",
    "SegmenterOutput",
    "StreamState",
    "TrackedQueries",
    "TrackedSegments",
]
