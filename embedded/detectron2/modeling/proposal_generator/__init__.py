"""First stages: boxes that may hold an object."""

from detectron2._subset import absent

from .build import PROPOSAL_GENERATOR_REGISTRY, build_proposal_generator
from .rpn import RPN_HEAD_REGISTRY, StandardRPNHead, build_rpn_head

RRPN = absent("detectron2.modeling.proposal_generator.RRPN")

__all__ = [
    "PROPOSAL_GENERATOR_REGISTRY",
    "RPN_HEAD_REGISTRY",
    "RRPN",
    "StandardRPNHead",
    "build_proposal_generator",
    "build_rpn_head",
]
