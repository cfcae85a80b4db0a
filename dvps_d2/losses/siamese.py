"""SiamTrack's losses between two frames of a clip, each with its own weight and name.

Source: Woo et al., "Learning to Associate Every Segment for Video Panoptic Segmentation"
(VPSNet-SiamTrack), CVPR 2021, equations 1 to 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dvps_d2.layers.flow import FramePair
from dvps_d2.layers.flow_estimators import RgbFlow
from dvps_d2.segmenter.boxes import BoxStep
from dvps_d2.structures import BoxTargets, Clip, ClipTargets
from dvps_d2.structures.box_targets import VOID

from .consistency import occlusion_weights, tube_loss, warping_loss
from .contrastive import ProjectionHead, contrastive_loss, pool_masks, segment_graphs
from .panoptic_head import panoptic_labels

RGB_RANGE = 255.0


@dataclass(frozen=True)
class SiameseWeights:
    """Factors of the losses; 0 leaves one out. The paper does not give its own.

    Attributes:
        semantic: of the contrast between regions of classes.
        instance: of the contrast between things.
        warp: of the distance along the flow.
        tube: of the overlap of tubes.
        temperature: of both contrasts.
        occlusion: alpha of the occlusion map.
        negatives: of the contrasts, see :func:`.contrastive.contrastive_loss`.
        normalize_pooled: see :func:`.contrastive.pool_masks`.
    """

    semantic: float = 1.0
    instance: float = 1.0
    warp: float = 1.0
    tube: float = 1.0
    temperature: float = 0.5
    occlusion: float = 50.0
    negatives: str = "all"
    normalize_pooled: bool = True


class SiameseLosses(nn.Module):
    """Make two frames agree on their segments; not a part of the model at inference.

    Args:
        weights: factors.
        thing_ids: countable classes.
        projection: needed for the contrasts.
        flow: needed for the warping loss.

    Raises:
        ValueError: a loss is wanted whose part is missing.
    """

    def __init__(
        self,
        weights: SiameseWeights,
        thing_ids: Sequence[int],
        *,
        projection: ProjectionHead | None = None,
        flow: RgbFlow | None = None,
    ) -> None:
        super().__init__()
        if (weights.semantic > 0 or weights.instance > 0) and projection is None:
            raise ValueError("the contrastive losses need a projection head, got projection=None")
        if weights.warp > 0 and flow is None:
            raise ValueError("the warping loss needs a flow estimator, got flow=None")
        self.weights = weights
        self.thing_ids = frozenset(thing_ids)
        self.projection = projection
        self.flow = flow

    def forward(
        self,
        steps: Sequence[BoxStep],
        logits: Sequence[Sequence[Tensor]],
        labels: Sequence[Sequence[BoxTargets]],
        clip: Clip,
        targets: Sequence[ClipTargets],
        stuff_ids: Sequence[int],
    ) -> dict[str, Tensor]:
        """Weighted losses of two steps, ``loss_contrast_semantic`` and the like.

        Args:
            steps: the two supervised frames.
            logits: per step and clip, (S + G, h, w) panoptic logits over ground-truth boxes.
            labels: per frame of the clips, per clip.
            clip: the images.
            targets: per clip.
            stuff_ids: the S stuff classes.
        """
        first, second = (step.key for step in steps)
        losses = self._contrasts(steps, targets)
        if self.weights.warp == 0 and self.weights.tube == 0:
            return losses
        common = [
            _common_channels(a, b, len(stuff_ids))
            for a, b in zip(labels[first], labels[second], strict=True)
        ]
        pairs = list(zip(*logits, common, strict=True))  # per clip: both logits, both channels
        if self.weights.warp > 0:
            losses["loss_warp"] = self.weights.warp * self._warping(pairs, clip, first, second)
        if self.weights.tube > 0:
            channels = [
                [panoptic_labels(target, stuff_ids) for target in labels[t]]
                for t in (first, second)
            ]
            tubes = [_tube_loss(*pair, *maps) for pair, *maps in zip(pairs, *channels, strict=True)]
            losses["loss_tube"] = self.weights.tube * torch.stack(tubes).mean()
        return losses

    def _contrasts(
        self, steps: Sequence[BoxStep], targets: Sequence[ClipTargets]
    ) -> dict[str, Tensor]:
        wanted = {"semantic": self.weights.semantic, "instance": self.weights.instance}
        wanted = {name: weight for name, weight in wanted.items() if weight > 0}
        if not wanted:
            return {}
        projected = [self.projection(list(step.frames.pyramid.values())) for step in steps]
        found: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for index, target in enumerate(targets):
            graphs = segment_graphs(target, steps[0].key, steps[1].key, self.thing_ids)
            for name in wanted:
                a, b = (
                    pool_masks(features[index], masks, normalize=self.weights.normalize_pooled)
                    for features, masks in zip(projected, graphs[name], strict=True)
                )
                found[name].append(
                    contrastive_loss(
                        a, b, self.weights.temperature, negatives=self.weights.negatives
                    )
                )
        return {
            f"loss_contrast_{name}": weight * torch.stack(found[name]).mean()
            for name, weight in wanted.items()
        }

    def _warping(self, pairs: list, clip: Clip, first: int, second: int) -> Tensor:
        key, reference = clip.images[:, first], clip.images[:, second]
        names = [
            FramePair(video_id, ids[first], ids[second])
            for video_id, ids in zip(clip.video_ids, clip.frame_ids, strict=True)
        ]
        flow = self.flow(key, reference, names)
        seen, other = (self.flow.colours(images) / RGB_RANGE for images in (key, reference))
        trusts = occlusion_weights(seen, other, flow, self.weights.occlusion)
        return torch.stack(
            [
                warping_loss(a[own].float(), b[theirs].float(), field, trust)
                for (a, b, (own, theirs)), field, trust in zip(pairs, flow, trusts, strict=True)
            ]
        ).mean()


def _common_channels(
    first: BoxTargets, second: BoxTargets, num_stuff: int
) -> tuple[Tensor, Tensor]:
    """Channels of the panoptic logits of both frames that stand for the same segments."""
    own, other = torch.nonzero(first.same_as(second), as_tuple=True)
    stuff = torch.arange(num_stuff, device=own.device)
    return torch.cat([stuff, num_stuff + own]), torch.cat([stuff, num_stuff + other])


def _tube_loss(
    first: Tensor,
    second: Tensor,
    common: tuple[Tensor, Tensor],
    first_labels: Tensor,
    second_labels: Tensor,
) -> Tensor:
    """Tube loss over the segments that both frames show; void pixels are left out."""
    probs, masks = [], []
    frames = ((first, first_labels, common[0]), (second, second_labels, common[1]))
    for logits, labels, channels in frames:
        known = labels != VOID
        probs.append(logits.float().softmax(dim=0)[channels] * known)
        masks.append((labels == channels.view(-1, 1, 1)) & known)
    tubes = torch.stack(masks, dim=1)
    traced = tubes.flatten(2).any(dim=-1).all(dim=-1)
    return tube_loss(torch.stack(probs, dim=1)[traced], tubes[traced])
