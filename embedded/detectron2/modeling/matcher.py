"""Which ground-truth box does each prediction belong to?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detectron2.layers import nonzero_tuple


class Matcher:
    """Give every prediction its best ground truth, and a label by how good that is.

    Source: Ren et al., Faster R-CNN, 2015, section 3.1.2.
    """

    def __init__(
        self, thresholds: list[float], labels: list[int], allow_low_quality_matches: bool = False
    ) -> None:
        """Set the bands.

        Args:
            thresholds: rising limits between bands, all above 0.
            labels: of each band, from the worst: -1 to ignore, 0 background, 1 foreground.
            allow_low_quality_matches: also make foreground of every prediction that is the best
                (or as good as the best) for some ground truth.
        """
        thresholds = list(thresholds)
        assert thresholds[0] > 0, f"thresholds must be positive, got {thresholds}"
        limits = [-math.inf, *thresholds, math.inf]
        assert limits == sorted(limits), f"thresholds must rise, got {thresholds}"
        assert all(label in (-1, 0, 1) for label in labels), f"labels are -1, 0, 1: got {labels}"
        assert len(labels) == len(limits) - 1, (
            f"{len(thresholds)} thresholds need {len(limits) - 1} labels, got {len(labels)}"
        )
        self.thresholds = limits
        self.labels = labels
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Match.

        Args:
            match_quality_matrix: (M, N), at least 0: quality of ground truth m for prediction n.

        Returns:
            (N,) int64 index of the best ground truth (the first on ties, 0 when there is none);
            (N,) int8 label.
        """
        assert match_quality_matrix.dim() == 2, "match_quality_matrix must be (M, N)"
        quality = match_quality_matrix
        if quality.numel() == 0:
            nothing = quality.new_full((quality.size(1),), 0, dtype=torch.int64)
            return nothing, torch.full_like(nothing, self.labels[0], dtype=torch.int8)
        assert (quality >= 0).all(), "match qualities must not be negative"
        best, matches = quality.max(dim=0)
        labels = torch.ones_like(matches, dtype=torch.int8)
        for label, low, high in zip(
            self.labels, self.thresholds[:-1], self.thresholds[1:], strict=True
        ):
            labels[(best >= low) & (best < high)] = label
        if self.allow_low_quality_matches:
            self.set_low_quality_matches_(labels, quality)
        return matches, labels

    def set_low_quality_matches_(self, match_labels: Tensor, match_quality_matrix: Tensor) -> None:
        """Label predictions that are the best for some ground truth as foreground, in place.

        The match itself stays: it may be another ground truth than the one that this prediction
        is the best for.

        Args:
            match_labels: (N,) int8.
            match_quality_matrix: (M, N).
        """
        best = match_quality_matrix.max(dim=1, keepdim=True).values
        match_labels[nonzero_tuple(match_quality_matrix == best)[1]] = 1
