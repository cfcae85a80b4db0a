"""The loss of the track head.

Source: Yang et al., "Video Instance Segmentation", ICCV 2019, equation 1; weights of the samples as
in the released code of VPSNet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.structures import BoxTargets
from dvps_d2.tracker.roi_affinity import affinity

BACKGROUND = -1


def track_labels(matched: Tensor, key: BoxTargets, reference: BoxTargets) -> Tensor:
    """Which object of the reference frame each sampled box shows.

    Args:
        matched: (P,) int64, thing of the key frame that a sample shows, -1 for background.
        key: (G things) of the key frame.
        reference: (R things) of the reference frame.

    Returns:
        (P,) int64: 1 + r for thing r of the reference frame, 0 for an object that is not there, -1
        for background.
    """
    found = F.pad(key.same_as(reference).long(), (1, 0))  # (G, 1 + R)
    columns = found.argmax(dim=1) if len(found) else found.new_zeros(0)
    padded = torch.cat([columns, columns.new_full((1,), BACKGROUND)])
    return padded[matched]  # -1 reads the last entry


def track_loss(embeds: list[Tensor], references: list[Tensor], labels: list[Tensor]) -> Tensor:
    """Cross entropy of "which object of the reference frame, or none of them".

    Args:
        embeds: per clip (P, C) of the boxes sampled in the key frame.
        references: per clip (R, C) of the ground-truth boxes of the reference frame.
        labels: per clip (P,) as from :func:`track_labels`.

    Returns:
        Scalar: sum over samples that show an object, divided by the number of all samples
        (background counts in the mean, with weight 0).
    """
    total = torch.stack([e.sum() * 0 for e in (*embeds, *references)]).sum().float()
    for sample, reference, label in zip(embeds, references, labels, strict=True):
        logits = affinity(sample, reference).float()
        total = total + F.cross_entropy(logits, label, ignore_index=BACKGROUND, reduction="sum")
    return total / max(sum(len(label) for label in labels), 1)
