"""From the padded, resized input of a network to the size that the caller asked for."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from detectron2.structures import Instances, ROIMasks


def detector_postprocess(
    results: Instances, output_height: int, output_width: int, mask_threshold: float = 0.5
) -> Instances:
    """Scale detections to the output size, and paste their masks.

    The boxes of ``results`` are scaled in place, as Detectron2 does it.

    Args:
        results: in the size of the network's input: pred_boxes (or proposal_boxes), and
            optionally pred_masks (N, 1, S, S) probabilities.
        output_height: rows of the output.
        output_width: columns of the output.
        mask_threshold: from here on a pixel belongs to the mask.

    Returns:
        New ``Instances`` without the empty boxes; pred_masks is (N, height, width) bool.
    """
    height, width = results.image_size
    results = Instances((output_height, output_width), **results.get_fields())
    name = next((n for n in ("pred_boxes", "proposal_boxes") if results.has(n)), None)
    assert name is not None, "predictions must have boxes: pred_boxes or proposal_boxes"
    boxes = results.get(name)
    boxes.scale(output_width / width, output_height / height)
    boxes.clip(results.image_size)
    results = results[boxes.nonempty()]

    if results.has("pred_masks"):
        masks = results.pred_masks
        roi_masks = masks if isinstance(masks, ROIMasks) else ROIMasks(masks[:, 0])
        results.pred_masks = roi_masks.to_bitmasks(
            results.pred_boxes, output_height, output_width, mask_threshold
        ).tensor
    return results


def sem_seg_postprocess(
    result: Tensor, img_size: tuple[int, int], output_height: int, output_width: int
) -> Tensor:
    """Cut the padding off and resize to the output size.

    Args:
        result: (C, H, W) scores over the padded input.
        img_size: (height, width) of the input before padding.
        output_height: rows of the output.
        output_width: columns of the output.

    Returns:
        (C, output_height, output_width), bilinear.
    """
    height, width = img_size
    return F.interpolate(
        result[None, :, :height, :width],
        size=(output_height, output_width),
        mode="bilinear",
        align_corners=False,
    )[0]
