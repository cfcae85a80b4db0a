"""First stages: boxes that may hold an object."""

from detectron2._subset import absent

from .build import PROPOSAL_GENERATOR_REGISTRY, build_proposal_generator
from .rpn import RPN, RPN_HEAD_REGISTRY, StandardRPNHead, build_rpn_head

# Known by name, as in Detectron2, and refused when built.
PROPOSAL_GENERATOR_REGISTRY.register(absent("detectron2.modeling.proposal_generator.rrpn.RRPN"))

__all__ = [
    "PROPOSAL_GENERATOR_REGISTRY",
    "RPN",
    "RPN_HEAD_REGISTRY",
    "StandardRPNHead",
    "build_proposal_generator",
    "build_rpn_head",
]
