"""Outputs and ground truth -> a dict of weighted losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.structures import ClipTargets, FrameQueries, SegmenterOutput

from .denoising import DenoisingPlan
from .depth import DepthLoss
from .depth_supervision import DepthSupervision
from .mask import dice_loss, sigmoid_bce_loss
from .matcher import HungarianMatcher
from .pairs import Pairs, paired_logits
from .precision import at_least_float32, full_precision
from .processes import mean_over_processes
from .sampling import MaskSampling
from .targets import FrameTargets


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts in the total.

    Attributes:
        classification: cross entropy over the classes and "no object".
        mask: binary cross entropy of masks.
        dice: dice of masks.
        depth: the composed depth map (lambda_depth; the weights of its three terms are in
            :class:`DepthLoss`).
        global_depth: the global depth map on all pixels, also inside segments, which equation 4
            of MinDVPS leaves to the segments' queries.
        denoising: factor on all losses of denoising queries.

    Source: Mask2Former's 2 / 5 / 5; Kim et al., MinDVPS, 2023, equations 1 and 3.
    """

    classification: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    depth: float = 1.0
    global_depth: float = 0.0
    denoising: float = 1.0


class SetCriterion(nn.Module):
    """Losses of a query segmenter, for its last layer and every earlier supervised one.

    Every layer is matched on its own. What a sample is (a frame, or a tube through the clip) is the
    matcher's ``scope``.

    Args:
        num_classes: K, without "no object".
        matcher: pairs queries with segments.
        sampling: where mask losses look; the matcher's strategy by default.
        weights: what each loss counts.
        no_object_weight: class weight of "no object" in the cross entropy.
        depth_loss: needed when the predictions carry depth and the targets have it.
        depth_supervision: which depth query answers where.
        keep_absent: see :meth:`FrameTargets.from_clips`.

    Source: Cheng et al., Mask2Former, 2022, section 3.3; Kim et al., MinDVPS, 2023, section 3.2.
    """

    empty_weight: Tensor

    def __init__(
        self,
        num_classes: int,
        matcher: HungarianMatcher,
        *,
        sampling: MaskSampling | None = None,
        weights: LossWeights = LossWeights(),
        no_object_weight: float = 0.1,
        depth_loss: DepthLoss | None = None,
        depth_supervision: DepthSupervision | None = None,
        keep_absent: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.matcher = matcher
        self.sampling = sampling if sampling is not None else matcher.sampling
        self.weights = weights
        self.depth_loss = depth_loss
        self.depth_supervision = depth_supervision or DepthSupervision()
        self.keep_absent = keep_absent
        # The name is that of published checkpoints.
        empty_weight = torch.ones(num_classes + 1)
        empty_weight[-1] = no_object_weight
        self.register_buffer("empty_weight", empty_weight)

    def forward(
        self,
        output: SegmenterOutput,
        targets: FrameTargets | Sequence[ClipTargets],
        denoising: DenoisingPlan | None = None,
        *,
        matched_by: FrameQueries | None = None,
    ) -> dict[str, Tensor]:
        """Compute all losses.

        Args:
            output: predictions of B clips of T frames.
            targets: B clips at the padded resolution of the images, stacked already or not.
            denoising: what the denoising queries of ``output`` must restore.
            matched_by: queries, in the same order as those of ``output``, whose pairs serve all
                layers (DVIS matches the frozen segmenter's in the first half of training).

        Returns:
            Weighted scalars to be summed: ``loss_class``, ``loss_mask``, ``loss_dice`` and, with
            depth, ``loss_depth`` (``loss_global_depth`` where it has a weight) for the last
            layer; with ``_aux0``, ``_aux1``, ... appended for the earlier ones; with ``_dn`` and
            ``_dn_aux0``, ... for denoising queries. Always float32 (float64 for float64 inputs).

        Raises:
            ValueError: targets and predictions disagree about clips, frames or classes, or only
                one of denoising output and plan is given.
            FloatingPointError: see :meth:`HungarianMatcher.match_layers`.
        """
        layers = (*output.auxiliary, output.queries)
        losses: dict[str, Tensor] = {}
        with full_precision(output.queries.class_logits.device):
            if isinstance(targets, FrameTargets):
                frames = targets
            else:
                frames = FrameTargets.from_clips(targets, keep_absent=self.keep_absent)
            self._check(output, frames, denoising)
            num_masks = mean_over_processes(frames.count(per_clip=self._by_tube))
            if matched_by is None:
                matched = self.matcher.match_layers(layers, frames)
            else:
                matched = [self.matcher(matched_by, frames)] * len(layers)
            for suffix, layer, pairs in zip(_suffixes(len(layers)), layers, matched, strict=True):
                terms = self._matched_terms(layer, pairs, frames, num_masks)
                if not suffix or self.depth_supervision.every_layer:
                    terms.update(self._depth_terms(layer, pairs, frames))
                losses.update(self._weigh(terms, suffix))
            if denoising is not None:
                suffixes = _suffixes(len(output.denoising))
                for suffix, layer in zip(suffixes, output.denoising, strict=True):
                    terms = self._denoising_terms(layer, denoising, frames, num_masks)
                    losses.update(self._weigh(terms, "_dn" + suffix, self.weights.denoising))
        return losses

    @property
    def _by_tube(self) -> bool:
        return self.matcher.scope == "clip"

    def _matched_terms(
        self, layer: FrameQueries, pairs: Pairs, frames: FrameTargets, num_masks: Tensor
    ) -> dict[str, Tensor]:
        logits = at_least_float32(layer.class_logits.flatten(0, 1))
        classes = frames.class_ids.new_full(logits.shape[:2], self.num_classes)
        frame, _, query, row = pairs.flat()
        classes[frame, query] = frames.class_ids[frame, row]
        terms = {"class": class_loss(logits, classes, self.empty_weight)}
        terms.update(self._mask_terms(layer, pairs, frames, num_masks, by_tube=self._by_tube))
        return terms

    def _depth_terms(
        self, layer: FrameQueries, pairs: Pairs, frames: FrameTargets
    ) -> dict[str, Tensor]:
        if self.depth_loss is None or not layer.has_depth or frames.depth is None:
            return {}
        dense = self.weights.global_depth > 0
        return self.depth_supervision.terms(layer, pairs, frames, self.depth_loss, dense=dense)

    def _denoising_terms(
        self, layer: FrameQueries, plan: DenoisingPlan, frames: FrameTargets, num_masks: Tensor
    ) -> dict[str, Tensor]:
        pairs = plan.pairs
        frame, _, query, row = pairs.flat()
        logits = at_least_float32(layer.class_logits.flatten(0, 1))[frame, query]
        wrong = F.cross_entropy(logits, frames.class_ids[frame, row], reduction="sum")
        count = wrong.new_tensor(len(frame))
        terms = {"class": wrong / mean_over_processes(count)}
        terms.update(self._mask_terms(layer, pairs, frames, num_masks * plan.groups))
        return terms

    def _mask_terms(
        self,
        layer: FrameQueries,
        pairs: Pairs,
        frames: FrameTargets,
        num_masks: Tensor,
        *,
        by_tube: bool = False,
    ) -> dict[str, Tensor]:
        if not by_tube:  # a query may own a segment in frames where it is no target
            pairs = pairs.only(frames.present)
        frame, slot, _, row = pairs.flat()
        logits = paired_logits(layer.mask_embeds, layer.mask_features, pairs)[frame, slot]
        logits, masks = self.sampling.for_loss(logits, frames, frame, row)
        if by_tube:
            logits, masks = (pairs.by_tube(x, frames.num_frames) for x in (logits, masks))
        return {
            "mask": sigmoid_bce_loss(logits, masks, num_masks),
            "dice": dice_loss(logits, masks, num_masks),
        }

    def _weigh(
        self, terms: dict[str, Tensor], suffix: str, factor: float = 1.0
    ) -> dict[str, Tensor]:
        """The one place where weights are applied."""
        weights = {
            "class": self.weights.classification,
            "mask": self.weights.mask,
            "dice": self.weights.dice,
            "depth": self.weights.depth,
            "global_depth": self.weights.global_depth,
        }
        return {
            f"loss_{name}{suffix}": term * (weights[name] * factor) for name, term in terms.items()
        }

    def _check(
        self,
        output: SegmenterOutput,
        targets: FrameTargets,
        denoising: DenoisingPlan | None,
    ) -> None:
        queries = output.queries
        if queries.num_classes != self.num_classes:
            raise ValueError(
                f"class_logits have {queries.num_classes} classes and no-object, but the "
                f"criterion was built for num_classes={self.num_classes}"
            )
        count, length = queries.class_logits.shape[:2]
        if (len(targets.class_ids), targets.num_frames) != (count * length, length):
            raise ValueError(
                f"predictions are for {count} clips of {length} frames, targets for "
                f"{len(targets.class_ids) // targets.num_frames} clips of {targets.num_frames}"
            )
        ids = targets.class_ids
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.num_classes:
            raise ValueError(
                f"class_ids of targets must be in 0..{self.num_classes - 1}, got "
                f"{ids.unique().tolist()}; map dataset ids to contiguous class ids first"
            )
        if (denoising is None) != (not output.denoising):
            raise ValueError(
                "denoising queries need both their predictions and their plan: output.denoising "
                f"has {len(output.denoising)} layers, the plan is "
                f"{'missing' if denoising is None else 'given'}"
            )


def class_loss(logits: Tensor, classes: Tensor, class_weights: Tensor) -> Tensor:
    """Weighted mean cross entropy over all queries.

    Args:
        logits: (F, Q, K+1).
        classes: (F, Q) int64, K for "no object".
        class_weights: (K+1,).

    Returns:
        Scalar; 0 if no query has any weight. The divisor is shared by all processes.
    """
    weights = class_weights.to(logits.dtype)
    total = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), weights, reduction="sum")
    tiny = torch.finfo(logits.dtype).tiny
    return total / mean_over_processes(weights[classes].sum(), at_least=tiny)


def _suffixes(count: int) -> list[str]:
    """``_aux0``, ``_aux1``, ... for the earlier layers and nothing for the last."""
    return [f"_aux{index}" for index in range(count - 1)] + [""] * (count > 0)
