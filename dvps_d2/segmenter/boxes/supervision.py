"""What training sees of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Pyramid = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class SupervisedFrames:
    """What the heads say of one frame of each of B clips in training.

    Attributes:
        pyramid: level -> (B, C, h_l, w_l), finest first, as the heads saw it.
        tracking_pyramid: the one that association reads.
        semantic_logits: (B, K, h, w).
        mask_logits: per frame (G, m, m) of each thing's class, inside its ground-truth box.
        samples: per frame what the detector was trained on: ``boxes`` (P, 4), ``matched`` (P,).
        losses: of the detector.
    """

    pyramid: Pyramid
    tracking_pyramid: Pyramid
    semantic_logits: Tensor
    mask_logits: list[Tensor]
    samples: list[Mapping[str, Tensor]]
    losses: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class BoxStep:
    """One supervised frame of each of B clips.

    Attributes:
        key: place of the frame in its clip.
        reference: place of the frame that it is fused and associated with; may be the same.
        frames: what the heads say.
        embeds: per clip (P, C) of the sampled boxes, or None without a learned tracker.
        reference_embeds: per clip (R, C) of the things of the reference frame, or None.
    """

    key: int
    reference: int
    frames: SupervisedFrames
    embeds: list[Tensor] | None = None
    reference_embeds: list[Tensor] | None = None
