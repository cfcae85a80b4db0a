"""Front door of the panoptic merge of masks."""

import torch
from torch import Tensor

from . import reference
from .arguments import Size, check_merge_arguments
from .path import active_path


def panoptic_merge(
    logits: Tensor, scores: Tensor, padded: Size, valid: Size, output: Size
) -> tuple[Tensor, Tensor]:
    """Give every pixel of a tube to the mask with the largest score x probability, and count.

    Masks are resized to the padded frame as logits, cropped to the image, squashed by the sigmoid
    and resized to the output as probabilities (bilinear, half-pixel centres; a resize to the same
    size changes nothing). Compiled kernels (``dvps_d2.ops.active_path``) do all of it in one pass
    over output rows, hold no mask at full resolution, and leave out masks that cannot win where
    they cannot; plain PyTorch does it step by step. Both give the same owners except where two
    masks are equal to within rounding; among exactly equal ones the first owns the pixel.

    No gradient flows: the results are integers.

    Args:
        logits: (N, T, h, w) float32, float64, bfloat16 or float16, finite; N at most 32767. The
            grid (h, w) covers the padded frame. Half precision is computed in float32.
        scores: (N,) floating-point, usually the probability of the mask's class.
        padded: (height, width) of the frame with its padding, below and on the right.
        valid: (height, width) of the part of it that is image.
        output: (height, width) of the result.

    Returns:
        owner: (T, *output) int16, the mask that a pixel is drawn from: the one with the largest
            score x probability, or -1 where its own probability is below 0.5.
        areas: (N, 3) int64, pixels of the whole tube per mask: those it won (also where its
            probability is below 0.5), those where its probability is at least 0.5 (won or not),
            and those where both hold. They do not depend on the number of threads.

    Raises:
        TypeError: logits or scores are not floating-point.
        ValueError: shapes, sizes or devices disagree, or there are too many masks.
        RuntimeError: compiled kernels were asked for and cannot run.

    Source: Cheng et al., MaskFormer, NeurIPS 2021, section 3.4, on tubes as in the published code
    of Zhang et al., DVIS, 2023.
    """
    check_merge_arguments(logits, scores, padded, valid, output)
    if active_path(logits.device.type) == "reference":
        return reference.merge_masks(logits, scores, padded, valid, output)
    compute = torch.promote_types(logits.dtype, torch.float32)
    return torch.ops.dvps_d2.panoptic_merge(
        logits.detach(), scores.detach().to(compute), list(padded), list(valid), list(output)
    )
