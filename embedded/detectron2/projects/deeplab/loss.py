"""Cross entropy on the hardest pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DeepLabCE(nn.Module):
    """Mean cross entropy over a share of the pixels, those with the largest loss.

    Source: Yang et al., DeeperLab, 2019, section 3.3 (bootstrapped cross entropy).
    """

    def __init__(
        self,
        ignore_label: int = -1,
        top_k_percent_pixels: float = 1.0,
        weight: Tensor | None = None,
    ) -> None:
        """Set the share.

        Args:
            ignore_label: pixels without loss; they count as zeros in the mean.
            top_k_percent_pixels: share in 0..1; 1.0 takes all pixels.
            weight: (K,) weight of each class.
        """
        super().__init__()
        self.top_k_percent_pixels = top_k_percent_pixels
        self.ignore_label = ignore_label
        self.criterion = nn.CrossEntropyLoss(
            weight=weight, ignore_index=ignore_label, reduction="none"
        )

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Score a batch.

        Args:
            logits: (N, K, H, W).
            labels: (N, H, W) int64.
            weights: (N, H, W) weight of each pixel.
        """
        losses = self.criterion(logits, labels)
        if weights is not None:
            losses = losses * weights
        losses = losses.flatten()
        if self.top_k_percent_pixels < 1.0:
            hardest = int(self.top_k_percent_pixels * losses.numel())
            losses = torch.topk(losses, hardest).values
        return losses.mean()
