"""Stage 4: tracked masks -> one panoptic tube, with depth."""

from .assembly import Candidates, Claims, accept, claim_pixels, select_candidates
from .identities import IdentityBook
from .query_fusion import ClipFusion, FrameFusion, FusionSettings

__all__ = [
    "Candidates",
    "Claims",
    "ClipFusion",
    "FrameFusion",
    "FusionSettings",
    "IdentityBook",
    "accept",
    "claim_pixels",
    "select_candidates",
]
