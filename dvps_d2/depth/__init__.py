"""From depth embeddings to metres: activation, composition of the map, rules for saved results."""

from .activation import DepthActivation
from .compose import compose, compose_by_owner, owner_of
from .rules import clip_depth, fill_gaps, sky_to_max

__all__ = [
    "DepthActivation",
    "clip_depth",
    "compose",
    "compose_by_owner",
    "fill_gaps",
    "owner_of",
    "sky_to_max",
]
