"""Embeddings times features, in a precision that thresholds can rely on."""

from __future__ import annotations

import torch
from torch import Tensor


def products(embeds: Tensor, features: Tensor) -> Tensor:
    """Dot products of (N, C) embeddings with (C, h, w) features -> (N, h, w).

    The two may differ in type, as features are often kept in half precision.
    """
    dtype = torch.promote_types(to_wide(embeds).dtype, features.dtype)
    return torch.einsum("nc,chw->nhw", embeds.to(dtype), features.to(dtype))


def to_wide(tensor: Tensor) -> Tensor:
    """At least float32: thresholds must not depend on half-precision rounding."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
