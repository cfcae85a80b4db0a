"""Stage 1 of the box family (VPSNet, SiamTrack): frames -> detections and semantic logits."""

from .semantic_head import DeformableSemanticHead
from .temporal_fusion import FuseNeck, GatherNeck, gather, redistribute

__all__ = ["DeformableSemanticHead", "FuseNeck", "GatherNeck", "gather", "redistribute"]
