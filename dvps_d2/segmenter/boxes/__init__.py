"""Stage 1 of the box family (VPSNet, SiamTrack): frames -> detections and semantic logits."""

from .box_segmenter import BoxSegmenter, FrameMemory
from .semantic_head import SemanticHead
from .supervision import BoxStep, Pyramid, SupervisedFrames
from .temporal_fusion import FuseNeck, GatherNeck, gather, redistribute

__all__ = [
    "BoxSegmenter",
    "BoxStep",
    "FrameMemory",
    "FuseNeck",
    "GatherNeck",
    "Pyramid",
    "SemanticHead",
    "SupervisedFrames",
    "gather",
    "redistribute",
]
