"""Which query answers for which segment: training only, no gradient.

Not to be mixed up with association, which links the queries of one frame to those of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from dvps_d2.structures import FrameQueries

from .mask import pairwise_dice, pairwise_sigmoid_bce
from .precision import at_least_float32, full_precision
from .sampling import MaskSampling, PointSampling
from .targets import FrameTargets


@dataclass(frozen=True, eq=False)
class Pairs:
    """Query ``query[f, r]`` of frame f answers for segment ``target[f, r]``; padded to R pairs.

    Attributes:
        query: (F, R) int64; 0 in padding.
        target: (F, R) int64 row of :class:`FrameTargets`; 0 in padding.
        valid: (F, R) bool, False in padding.
        dropped: (F, N) bool, targets that vanish on this grid and were left out; None where
            nothing was examined.
    """

    query: Tensor
    target: Tensor
    valid: Tensor
    dropped: Tensor | None = None

    @classmethod
    def from_lists(
        cls,
        lists: Sequence[tuple[np.ndarray, np.ndarray]],
        device: torch.device | str = "cpu",
        dropped: Tensor | None = None,
    ) -> Pairs:
        """Pad per-frame (query indices, target indices)."""
        longest = max((len(queries) for queries, _ in lists), default=0)
        table = np.zeros((3, len(lists), longest), dtype=np.int64)
        for frame, (queries, rows) in enumerate(lists):
            table[0, frame, : len(queries)] = queries
            table[1, frame, : len(rows)] = rows
            table[2, frame, : len(rows)] = 1
        query, target, valid = torch.from_numpy(table).to(device)
        return cls(query, target, valid.bool(), dropped)

    def lists(self) -> list[tuple[Tensor, Tensor]]:
        """Per frame (query indices, target indices), without padding."""
        frames = zip(self.query, self.target, self.valid, strict=True)
        return [(query[valid], target[valid]) for query, target, valid in frames]

    def flat(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(frame, slot, query, target), (M,) int64 each, of the M valid pairs."""
        frame, slot = self.valid.nonzero(as_tuple=True)
        return frame, slot, self.query[frame, slot], self.target[frame, slot]

    def slot_of(self, rows: Tensor, num_rows: int) -> Tensor:
        """Which pair a target belongs to.

        Args:
            rows: (F, ...) int64 target rows, -1 for none.
            num_rows: N.

        Returns:
            (F, ...) int64 in 0..R-1, -1 where the row is -1 or has no query.
        """
        frame, slot, _, row = self.flat()
        # The last column stands for "no row", and is where an index of -1 leads.
        table = rows.new_full((len(rows), num_rows + 1), -1)
        table[frame, row] = slot
        return table.gather(1, (rows % (num_rows + 1)).flatten(1)).view(rows.shape)


class HungarianMatcher(nn.Module):
    """Cheapest one-to-one assignment of segments to queries, per frame.

    The cost of a pair is ``class_weight`` * -p(class) + ``mask_weight`` * BCE + ``dice_weight`` *
    dice. With more segments than queries the cheapest ones are matched and the others are not.

    Args:
        class_weight, mask_weight, dice_weight: weights of the three costs.
        sampling: where masks are compared; Mask2Former's points by default.
        min_cells: segments covering less than this many cells of the mask grid are not matched;
            a mask of which no cell is left would reward any query that predicts nothing.

    Source: Cheng et al., Mask2Former, 2022, section 3.3 and appendix.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        *,
        sampling: MaskSampling | None = None,
        min_cells: float = 0.3,
    ) -> None:
        super().__init__()
        if min(class_weight, mask_weight, dice_weight) < 0 or not (
            class_weight or mask_weight or dice_weight
        ):
            raise ValueError(
                "matching weights must be >= 0 and not all 0, got "
                f"class {class_weight}, mask {mask_weight}, dice {dice_weight}"
            )
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.sampling = sampling if sampling is not None else PointSampling()
        self.min_cells = min_cells

    def forward(self, queries: FrameQueries, targets: FrameTargets) -> Pairs:
        """Match one layer; see :meth:`match_layers`."""
        return self.match_layers([queries], targets)[0]

    @torch.no_grad()
    def match_layers(
        self, layers: Sequence[FrameQueries], targets: FrameTargets
    ) -> list[Pairs]:
        """Match every layer on its own, with one copy to the CPU for all of them.

        Args:
            layers: predictions (B, T, Q, ...), all with the same Q.
            targets: the F = B * T frames.

        Returns:
            Per layer the pairs of all frames, and which targets were too small to be matched.

        Raises:
            FloatingPointError: a cost is NaN or infinite; names the tensor that is not finite.
        """
        visible = [
            targets.visible(tuple(layer.mask_features.shape[-2:]), self.min_cells)
            for layer in layers
        ]
        costs = torch.stack([self.cost(layer, targets) for layer in layers]).cpu().numpy()
        shown = torch.stack(visible).cpu().numpy()
        pairs = []
        for layer, cost, seen, keep in zip(layers, costs, shown, visible, strict=True):
            lists = []
            for frame in range(len(cost)):
                rows = seen[frame].nonzero()[0]
                table = cost[frame][:, rows]
                if not np.isfinite(table).all():
                    raise FloatingPointError(_what_is_not_finite(layer, frame))
                chosen, columns = linear_sum_assignment(table)
                lists.append((chosen, rows[columns]))
            dropped = targets.present & ~keep
            pairs.append(Pairs.from_lists(lists, targets.masks.device, dropped))
        return pairs

    @torch.no_grad()
    def cost(self, queries: FrameQueries, targets: FrameTargets) -> Tensor:
        """(F, Q, N) float32 cost of every query with every row of its frame, padding included."""
        with full_precision(queries.class_logits.device):
            probs = at_least_float32(queries.class_logits.flatten(0, 1)).softmax(-1)
            classes = targets.class_ids.unsqueeze(1).expand(-1, queries.num_queries, -1)
            cost = -self.class_weight * probs.gather(2, classes)
            logits, masks = self.sampling.for_matching(queries, targets)
            cost += self.mask_weight * pairwise_sigmoid_bce(logits, masks)
            cost += self.dice_weight * pairwise_dice(logits, masks)
        return cost


def _what_is_not_finite(queries: FrameQueries, frame: int) -> str:
    names = ("class_logits", "mask_embeds", "mask_features")
    bad = [
        name
        for name in names
        if not torch.isfinite(getattr(queries, name).flatten(0, 1)[frame]).all()
    ]
    blame = " and ".join(bad) if bad else "their products, which overflow (inputs are finite)"
    return (
        f"matching costs of frame {frame} of the batch are NaN or infinite because of {blame}; "
        f"lower the learning rate, or look for a division by zero in the layers before"
    )
