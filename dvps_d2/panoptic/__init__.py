"""Stage 4: tracked masks -> one panoptic tube, with depth."""

from .assembly import Candidates, Claims, accept, claim_pixels, select_candidates
from .box_fusion import BoxFusion, BoxFusionSettings
from .box_logits import panoptic_logits
from .identities import IdentityBook
from .multi_view import View, fuse_views, match_views
from .query_fusion import ClipFusion, FrameFusion, FusionSettings
from .tasks import TaskFusion

__all__ = [
    "BoxFusion",
    "BoxFusionSettings",
    "Candidates",
    "Claims",
    "ClipFusion",
    "FrameFusion",
    "FusionSettings",
    "IdentityBook",
    "TaskFusion",
    "View",
    "accept",
    "claim_pixels",
    "fuse_views",
    "match_views",
    "panoptic_logits",
    "select_candidates",
]
