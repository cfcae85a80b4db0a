"""Logits to metres and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ("linear", "log")

# Metres at the very ends of the range have infinite logits; the inverse stops this far inside.
END = 1e-6


@dataclass(frozen=True)
class DepthActivation:
    """A sigmoid stretched over ``[min_depth, max_depth]``, on metres or on their logarithm.

    ``linear`` gives every metre the same room: d = min + (max - min) * sigmoid(x). ``log`` gives
    every ratio the same room, log d = log min + (log max - log min) * sigmoid(x), so that relative
    errors, which the losses and DVPQ measure, cost the same near and far.

    Attributes:
        kind: ``"linear"`` or ``"log"``.
        min_depth: metres, the limit for logits towards minus infinity; 0 is allowed for
            ``linear`` alone.
        max_depth: metres, the limit towards plus infinity.

    Raises:
        ValueError: unknown kind, or a range that is empty, negative, or 0 on a log scale.

    Source: Kim et al., MinDVPS, 2023, section 3.3 (``linear`` from 0). The log scale is ours.
    """

    kind: str = "linear"
    min_depth: float = 0.01
    max_depth: float = 80.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if not 0 <= self.min_depth < self.max_depth < math.inf:
            raise ValueError(
                f"need 0 <= min_depth < max_depth, got {self.min_depth} and {self.max_depth}"
            )
        if self.kind == "log" and self.min_depth == 0:
            raise ValueError("min_depth=0 has no logarithm; use a positive one with kind='log'")

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits of any shape -> metres, at least float32 whatever came in."""
        logits = at_least_float32(logits)
        if self.kind == "log":
            return self.log_metres(logits).exp()
        return self.min_depth + (self.max_depth - self.min_depth) * logits.sigmoid()

    def log_metres(self, logits: Tensor) -> Tensor:
        """Natural logarithm of the metres, finite with a finite gradient for every logit."""
        logits = at_least_float32(logits)
        if self.kind == "log":
            low, high = math.log(self.min_depth), math.log(self.max_depth)
            return low + (high - low) * logits.sigmoid()
        if self.min_depth == 0:
            # log(sigmoid(x)) taken in two steps is -inf below x = -88.
            return math.log(self.max_depth) + F.logsigmoid(logits)
        return self(logits).log()

    def logit(self, metres: Tensor) -> Tensor:
        """The inverse: metres of any shape -> logits; beyond the range counts as its end."""
        metres = at_least_float32(metres)
        if self.kind == "log":
            low, high = math.log(self.min_depth), math.log(self.max_depth)
            fraction = (metres.clamp(min=self.min_depth).log() - low) / (high - low)
        else:
            fraction = (metres - self.min_depth) / (self.max_depth - self.min_depth)
        return torch.logit(fraction, eps=END)


def at_least_float32(tensor: Tensor) -> Tensor:
    """bfloat16 and float16 become float32; float64 stays."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
