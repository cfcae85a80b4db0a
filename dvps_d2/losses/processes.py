"""Sums that all training processes share, so that several of them train as one does."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_processes(total: Tensor, at_least: float = 1.0) -> Tensor:
    """A number to divide by: its mean over all training processes, kept away from zero.

    Gradients are averaged over processes, so a loss that is a sum divided by this gives what one
    process with the whole batch would give.

    Args:
        total: scalar of this process, e.g. a count of masks or a sum of weights.
        at_least: lower limit of the result.
    """
    total = total.detach()
    if dist.is_available() and dist.is_initialized():
        total = total.clone().to(torch.promote_types(total.dtype, torch.float32))
        dist.all_reduce(total)
        total = total / dist.get_world_size()
    return total.clamp(min=at_least)
