"""Losses between mask logits and masks, and the same for every pair, as matching costs.

All of them take P values per mask: sampled points or the cells of a grid. Targets lie in 0..1 and
may be soft (the covered share of a cell).

Source: Cheng et al., Mask2Former, 2022 (binary cross entropy and dice on points, section 3.3);
dice with 1 added to both sides of the fraction, so that an empty mask predicted as empty costs
nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

DICE_SMOOTHING = 1.0


def sigmoid_bce_loss(logits: Tensor, targets: Tensor, num_masks: Tensor | float) -> Tensor:
    """Binary cross entropy: mean over the points of a mask, sum over masks / ``num_masks``.

    Args:
        logits: (M, P) float, before sigmoid; M may be 0.
        targets: (M, P) float in 0..1.
        num_masks: what the sum over masks is divided by.

    Returns:
        Scalar >= 0.
    """
    return (softplus(logits) - logits * targets).mean(-1).sum() / num_masks


def dice_loss(logits: Tensor, targets: Tensor, num_masks: Tensor | float) -> Tensor:
    """One minus the smoothed dice coefficient: sum over masks / ``num_masks``.

    Args:
        logits: (M, P) float, before sigmoid; M may be 0.
        targets: (M, P) float in 0..1.
        num_masks: what the sum over masks is divided by.

    Returns:
        Scalar >= 0.
    """
    probs = logits.sigmoid()
    shared = 2 * (probs * targets).sum(-1)
    total = probs.sum(-1) + targets.sum(-1)
    return (1 - (shared + DICE_SMOOTHING) / (total + DICE_SMOOTHING)).sum() / num_masks


def pairwise_sigmoid_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of every query with every mask.

    Args:
        logits: (..., Q, P).
        targets: (..., N, P) float in 0..1.

    Returns:
        (..., Q, N), means over the points.
    """
    # softplus(x) - x * y, where only the second term depends on the pair.
    alone = softplus(logits).sum(-1, keepdim=True)
    return (alone - logits @ targets.transpose(-1, -2)) / logits.shape[-1]


def pairwise_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the smoothed dice coefficient of every query with every mask.

    Args:
        logits: (..., Q, P).
        targets: (..., N, P) float in 0..1.

    Returns:
        (..., Q, N).
    """
    probs = logits.sigmoid()
    shared = 2 * (probs @ targets.transpose(-1, -2))
    total = probs.sum(-1, keepdim=True) + targets.sum(-1).unsqueeze(-2)
    return 1 - (shared + DICE_SMOOTHING) / (total + DICE_SMOOTHING)


def softplus(logits: Tensor) -> Tensor:
    """log(1 + exp(x)), several times faster on CPUs than PyTorch's, which also stops at x = 20."""
    return _Softplus.apply(logits)


class _Softplus(torch.autograd.Function):
    """max(x, 0) - log(sigmoid(|x|)): the sigmoid is at least 0.5, so its logarithm is safe."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits)
        return logits.clamp(min=0).sub_(logits.abs().sigmoid_().log_())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (logits,) = ctx.saved_tensors
        return grad * logits.sigmoid()
