"""What is computed in which precision.

Dot products of embeddings and features are the network's own output and stay in its precision
(bfloat16 under autocast), as they would be in inference. Everything after them, costs and losses,
is float32: bfloat16 sums of thousands of pixels lose some tenths of a percent, and float16 has no
room for log(sigmoid(x)) below x = -17.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvps_d2.depth.activation import at_least_float32

__all__ = ["at_least_float32", "dot_products", "full_precision"]


def dot_products(embeds: Tensor, features: Tensor) -> Tensor:
    """Every embedding with the features of every place.

    Args:
        embeds: (F, Q, C).
        features: (F, C, P).

    Returns:
        (F, Q, P), at least float32.
    """
    common = torch.promote_types(embeds.dtype, features.dtype)
    return at_least_float32(embeds.to(common) @ features.to(common))


def full_precision(device: torch.device) -> torch.autocast:
    """A context in which autocast is off for ``device``."""
    return torch.autocast(device.type, enabled=False)
