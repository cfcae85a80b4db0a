"""Which query answers for which segment: training only, no gradient.

Not to be mixed up with association, which links the queries of one frame to those of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from dvps_d2.structures import FrameQueries

from .mask import pairwise_dice, pairwise_sigmoid_bce
from .pairs import Pairs
from .precision import at_least_float32, full_precision
from .sampling import MaskSampling, PointSampling
from .targets import FrameTargets, Size

SCOPES = ("frame", "first_appearance", "first_appearance_reused", "first_frame", "clip")
# What ties queries of several frames together by the costs of one frame each.
BY_ONE_FRAME = ("first_appearance", "first_appearance_reused", "first_frame")


class HungarianMatcher(nn.Module):
    """Cheapest one-to-one assignment of segments to queries.

    The cost of a pair is ``class_weight`` * -p(class) + ``mask_weight`` * BCE + ``dice_weight`` *
    dice. With more segments than queries the cheapest ones are matched and the others are not.

    Args:
        class_weight, mask_weight, dice_weight: weights of the three costs.
        sampling: where masks are compared; Mask2Former's points by default.
        min_cells: segments covering less than this many cells of the mask grid are not matched;
            a mask of which no cell is left would reward any query that predicts nothing.
        scope: ``"frame"``: every frame for itself (MinVIS, MinDVPS). ``"first_appearance"``: one
            query per segment for all frames of the clip, by the costs of the first frame that
            shows the segment (DVIS tracker). ``"clip"``: one query per segment, by the costs of
            whole tubes (DVIS refiner). All but the first need queries that are already tracks.
            Two more restore what the public code of DVIS does in place of "first_appearance":
            ``"first_appearance_reused"`` assigns the segments that appear in each frame without
            regard to those before, so that a query may answer for two segments;
            ``"first_frame"`` takes the costs of the clip's first frame for all segments, an empty
            mask for those that appear later (its data for video panoptic segmentation).

    Source: Cheng et al., Mask2Former, 2022, section 3.3 (points, shared by the masks of a frame);
    Zhang et al., DVIS, 2023 (first appearance). Differs from it by: in "first_appearance" all
    segments of a clip are assigned together, so that no query answers for two.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        *,
        sampling: MaskSampling | None = None,
        min_cells: float = 0.3,
        scope: str = "frame",
    ) -> None:
        super().__init__()
        weights = (class_weight, mask_weight, dice_weight)
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(
                f"class, mask and dice weights must be >= 0 and not all 0, got {weights}"
            )
        if scope not in SCOPES:
            raise ValueError(f"scope must be one of {SCOPES}, got {scope!r}")
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.sampling = sampling if sampling is not None else PointSampling()
        self.min_cells = min_cells
        self.scope = scope

    def forward(self, queries: FrameQueries, targets: FrameTargets) -> Pairs:
        """Match one layer; see :meth:`match_layers`."""
        return self.match_layers([queries], targets)[0]

    @torch.no_grad()
    def match_layers(self, layers: Sequence[FrameQueries], targets: FrameTargets) -> list[Pairs]:
        """Match every layer on its own, with one copy to the CPU for all of them.

        Args:
            layers: predictions (B, T, Q, ...), all with the same Q.
            targets: the F = B * T frames.

        Returns:
            Per layer the pairs of all F frames, and the targets too small to be matched.

        Raises:
            FloatingPointError: a cost is NaN or infinite; names the tensor that is not finite.
        """
        considered = [self._considered(targets, _grid(layer)) for layer in layers]
        costs = torch.stack([self.cost(layer, targets) for layer in layers]).cpu().numpy()
        rows = torch.stack(considered).cpu().numpy()
        turns = torch.stack([self._turns(targets, _grid(layer)) for layer in layers]).cpu().numpy()
        repeats = len(targets.class_ids) // costs.shape[1]  # frames that share an assignment
        matched = []
        for layer, cost, shown, turn, kept in zip(
            layers, costs, rows, turns, considered, strict=True
        ):
            pairs = Pairs.from_lists(_assign(cost, shown, turn, layer), targets.masks.device)
            dropped = targets.present & ~kept.repeat_interleave(repeats, dim=0)
            matched.append(pairs.repeat(repeats, dropped))
        return matched

    @torch.no_grad()
    def cost(self, queries: FrameQueries, targets: FrameTargets) -> Tensor:
        """(S, Q, N) float32 cost of every query with every row, padding included.

        S is F = B * T frames in scope "frame", and B clips in the others.
        """
        with full_precision(queries.class_logits.device):
            class_logits = at_least_float32(queries.class_logits)
            logits, masks = self.sampling.for_matching(queries, targets)
            class_ids = targets.class_ids
            if self.scope == "clip":
                class_logits = class_logits.mean(1, keepdim=True)
                logits, masks = (tubes(x, targets.num_frames) for x in (logits, masks))
                class_ids = class_ids[:: targets.num_frames]
            probs = class_logits.flatten(0, 1).softmax(-1)
            cost = -self.class_weight * probs.gather(
                2, class_ids.unsqueeze(1).expand(-1, probs.shape[1], -1)
            )
            cost += self.mask_weight * pairwise_sigmoid_bce(logits, masks)
            cost += self.dice_weight * pairwise_dice(logits, masks)
            if self.scope in BY_ONE_FRAME:
                cost = self._at_one_frame(cost, targets, _grid(queries))
        return cost

    def _considered(self, targets: FrameTargets, grid: Size) -> Tensor:
        """(S, N) bool rows that take part in matching."""
        visible = targets.visible(grid, self.min_cells)
        if self.scope == "frame":
            return visible
        seen = visible & (targets.areas > 0)
        return seen.unflatten(0, (-1, targets.num_frames)).any(1)

    def _at_one_frame(self, cost: Tensor, targets: FrameTargets, grid: Size) -> Tensor:
        """(F, Q, N) -> (B, Q, N): every segment's column from the frame that decides."""
        frame = self._first_seen(targets, grid)
        if self.scope == "first_frame":
            frame = torch.zeros_like(frame)
        index = frame[:, None, None, :].expand(-1, 1, cost.shape[1], -1)
        return cost.unflatten(0, (-1, targets.num_frames)).gather(1, index).squeeze(1)

    def _first_seen(self, targets: FrameTargets, grid: Size) -> Tensor:
        """(B, N) int64: the first frame of the clip that shows a segment; 0 where none does."""
        seen = targets.visible(grid, self.min_cells) & (targets.areas > 0)
        return seen.unflatten(0, (-1, targets.num_frames)).byte().argmax(1)

    def _turns(self, targets: FrameTargets, grid: Size) -> Tensor:
        """(S, N) int64: segments with one number are assigned together."""
        if self.scope == "first_appearance_reused":
            return self._first_seen(targets, grid)
        samples = len(targets.class_ids) // (1 if self.scope == "frame" else targets.num_frames)
        return targets.class_ids.new_zeros(samples, targets.class_ids.shape[1])


def tubes(values: Tensor, num_frames: int) -> Tensor:
    """(B * T, N, P) -> (B, N, T * P): what belongs to a row in all frames, one after the other."""
    return values.unflatten(0, (-1, num_frames)).transpose(1, 2).flatten(2)


def _grid(queries: FrameQueries) -> Size:
    height, width = queries.mask_features.shape[-2:]
    return height, width


def _assign(
    costs: np.ndarray, considered: np.ndarray, turns: np.ndarray, queries: FrameQueries
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per sample the matched (queries, rows)."""
    lists = []
    for sample, (cost, shown, turn) in enumerate(zip(costs, considered, turns, strict=True)):
        if not np.isfinite(cost[:, shown]).all():
            raise FloatingPointError(_what_is_not_finite(queries, sample, len(costs)))
        parts = []
        for number in np.unique(turn[shown]) if shown.any() else (0,):
            rows = (shown & (turn == number)).nonzero()[0]
            chosen, columns = linear_sum_assignment(cost[:, rows])
            parts.append((chosen, rows[columns]))
        chosen, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
        lists.append((chosen, rows))
    return lists


def _what_is_not_finite(queries: FrameQueries, sample: int, samples: int) -> str:
    names = ("class_logits", "mask_embeds", "mask_features")
    bad = [
        name
        for name in names
        if not getattr(queries, name)
        .flatten(0, 1)
        .unflatten(0, (samples, -1))[sample]
        .isfinite()
        .all()
    ]
    blame = " and ".join(bad) if bad else "products that overflow (the inputs are finite)"
    return (
        f"matching costs of sample {sample} of the batch are NaN or infinite because of {blame}; "
        f"lower the learning rate, or look for a division by zero in the layers before"
    )
