"""Consistency of pixels over time: the warping and tube-matching losses of SiamTrack.

Source: Woo et al., "Learning to Associate Every Segment for Video Panoptic Segmentation"
(VPSNet-SiamTrack), CVPR 2021, section 3.2.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.layers.flow import resize_flow, warp


def occlusion_weights(key: Tensor, reference: Tensor, flow: Tensor, alpha: float = 50.0) -> Tensor:
    """How far the flow can be trusted: near 1 where both frames agree, near 0 where they do not.

    Args:
        key: (N, 3, H, W) colours in 0..1 (the paper does not give their range).
        reference: (N, 3, H, W).
        flow: (N, 2, H, W) pixels from key to reference.
        alpha: decay per colour difference.

    Returns:
        (N, H, W) in 0..1; 0 where the flow leaves the frame.
    """
    difference = (key - warp(reference, flow)).norm(dim=1)
    inside = warp(torch.ones_like(key[:, :1]), flow)[:, 0] > 0.5
    return torch.exp(-alpha * difference) * inside


def warping_loss(logits: Tensor, reference_logits: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    """Distance of logits from those of the reference frame, warped; equation 4.

    Args:
        logits: (N, h, w) of the segments that both frames show.
        reference_logits: (N, h, w), the same segments in the reference frame.
        flow: (2, H, W) pixels from key to reference, of any grid.
        weights: (H, W) of :func:`occlusion_weights`.

    Returns:
        Scalar. The mean over cells, where the paper writes a sum, so that it does not depend on
        the size of the frames.
    """
    size = (logits.shape[1], logits.shape[2])
    field = resize_flow(flow.unsqueeze(0), size).to(logits.dtype)
    warped = warp(reference_logits.unsqueeze(0), field)[0]
    trust = F.adaptive_avg_pool2d(weights[None, None], size)[0, 0]
    # The gradient of a norm has no value at 0.
    distance = ((logits - warped).square().sum(dim=0) + 1e-12).sqrt()
    return (trust.to(distance.dtype) * distance).mean()


def tube_loss(probs: Tensor, tubes: Tensor) -> Tensor:
    """One minus the dice coefficient of each tube with its ground truth; equations 5 to 7.

    Args:
        probs: (N, 2, h, w) softmax of the panoptic logits of both frames, of N traced segments.
        tubes: (N, 2, h, w) bool.

    Returns:
        Scalar mean over segments; 0 without any.
    """
    if len(probs) == 0:
        return probs.sum() * 0
    predicted, true = probs.flatten(1), tubes.flatten(1).to(probs.dtype)
    common = 2 * (predicted * true).sum(dim=1)
    total = predicted.square().sum(dim=1) + true.sum(dim=1)
    return (1 - common / total.clamp(min=1e-6)).mean()
