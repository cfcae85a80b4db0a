"""Operators that plain PyTorch does slowly: one front door each, with a reference beside it.

``ms_deform_attn`` (attention of pixel decoders and transformers) and ``panoptic_merge`` (masks to
an owner per pixel) run compiled kernels where the extension was built (``DVPS_BUILD_OPS=1`` at
installation) and plain PyTorch where it was not. Which of the two runs is a choice, said once in
the log and answered by ``active_path``; a kernel that fails is an error, never a silent detour.
"""

from . import reference
from .ms_deform_attn import ms_deform_attn
from .panoptic_merge import panoptic_merge
from .path import active_path, use_path

__all__ = ["active_path", "ms_deform_attn", "panoptic_merge", "reference", "use_path"]
