"""Drawing a balanced subset of anchors or proposals."""

from __future__ import annotations

import torch
from torch import Tensor

from detectron2.layers import nonzero_tuple

__all__ = ["subsample_labels"]


def subsample_labels(
    labels: Tensor, num_samples: int, positive_fraction: float, bg_label: int
) -> tuple[Tensor, Tensor]:
    """Draw positives up to a share, then negatives up to the number wished.

    Args:
        labels: (N,); -1 is never drawn.
        num_samples: how many in all; fewer, if there are not enough.
        positive_fraction: largest share of positives.
        bg_label: the label of negatives; all others but -1 are positives.

    Returns:
        Indices of positives and of negatives, in random order.
    """
    positive = nonzero_tuple((labels != -1) & (labels != bg_label))[0]
    negative = nonzero_tuple(labels == bg_label)[0]
    num_positive = min(positive.numel(), int(num_samples * positive_fraction))
    num_negative = min(negative.numel(), num_samples - num_positive)
    first = torch.randperm(positive.numel(), device=positive.device)[:num_positive]
    second = torch.randperm(negative.numel(), device=negative.device)[:num_negative]
    return positive[first], negative[second]
