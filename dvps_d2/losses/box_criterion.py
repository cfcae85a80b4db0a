"""The losses of VPSNet and SiamTrack, selected, named and weighted.

Source: Kim et al., "Video Panoptic Segmentation" (VPSNet), CVPR 2020, section 5.2; Woo et al.,
"Learning to Associate Every Segment for Video Panoptic Segmentation" (SiamTrack), CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dvps_d2.layers.roi import last_pixels
from dvps_d2.panoptic.box_logits import panoptic_logits
from dvps_d2.segmenter.boxes import BoxStep
from dvps_d2.structures import BoxTargets, Clip, ClipTargets

from .panoptic_head import panoptic_labels, panoptic_loss, semantic_loss
from .siamese import SiameseLosses
from .tracking import track_labels, track_loss


@dataclass(frozen=True)
class BoxLossWeights:
    """Factors of the losses beside the detector's own; the defaults are those of released code.

    The paper says 1 for all.

    Attributes:
        semantic: of the semantic loss.
        panoptic: of the panoptic loss.
        track: of the loss of the track head.
        semantic_loss: where it is taken, see :func:`.panoptic_head.semantic_loss`.
    """

    semantic: float = 1.0
    panoptic: float = 0.5
    track: float = 0.5
    semantic_loss: str = "full"


class BoxCriterion(nn.Module):
    """Losses of the training steps of one batch of clips.

    Args:
        stuff_ids: class ids of stuff, in the order of the panoptic channels.
        weights: factors; 0 leaves a loss out.
        siamese: the losses between two frames that are both supervised, or None.
    """

    def __init__(
        self,
        stuff_ids: Sequence[int],
        weights: BoxLossWeights,
        siamese: SiameseLosses | None = None,
    ) -> None:
        super().__init__()
        self.stuff_ids = tuple(stuff_ids)
        self.weights = weights
        self.siamese = siamese

    def forward(
        self,
        steps: Sequence[BoxStep],
        labels: Sequence[Sequence[BoxTargets]],
        clip: Clip,
        targets: Sequence[ClipTargets],
    ) -> dict[str, Tensor]:
        """Weigh everything once.

        Args:
            steps: one per supervised frame.
            labels: per frame of the clips, per clip.
            clip: the images.
            targets: per clip.

        Returns:
            Name -> weighted scalar; means over the supervised frames.
        """
        logits = [self._panoptic_logits(step, labels[step.key]) for step in steps]
        parts = [
            self._losses(step, labels, frame) for step, frame in zip(steps, logits, strict=True)
        ]
        losses = {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}
        if self.siamese is not None:
            losses |= self.siamese(steps, logits, labels, clip, targets, self.stuff_ids)
        return losses

    def _losses(
        self, step: BoxStep, labels: Sequence[Sequence[BoxTargets]], logits: list[Tensor]
    ) -> dict[str, Tensor]:
        key, reference, frames = labels[step.key], labels[step.reference], step.frames
        semantic = torch.stack([target.semantic for target in key])
        losses = dict(frames.losses)
        losses["loss_semantic"] = self.weights.semantic * semantic_loss(
            frames.semantic_logits, semantic, self.weights.semantic_loss
        )
        if self.weights.panoptic > 0:
            channels = [panoptic_labels(target, self.stuff_ids) for target in key]
            losses["loss_panoptic"] = self.weights.panoptic * panoptic_loss(logits, channels)
        if step.embeds is not None:
            found = [
                track_labels(sample["matched"], a, b)
                for sample, a, b in zip(frames.samples, key, reference, strict=True)
            ]
            losses["loss_track"] = self.weights.track * track_loss(
                step.embeds, step.reference_embeds, found
            )
        return losses

    def _panoptic_logits(self, step: BoxStep, labels: Sequence[BoxTargets]) -> list[Tensor]:
        """Per clip (S + G, h, w) over the ground-truth boxes of the key frame."""
        frames = step.frames
        boxes = [last_pixels(target.boxes) for target in labels]
        return [
            panoptic_logits(semantic, masks, box, target.class_ids, self.stuff_ids)
            for semantic, masks, box, target in zip(
                frames.semantic_logits, frames.mask_logits, boxes, labels, strict=True
            )
        ]
