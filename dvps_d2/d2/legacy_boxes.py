"""Box conventions of early MMDetection, in which released VPSNet weights were trained.

There a box ends on its last pixel: its width is x1 - x0 + 1 wherever one is needed, in the coding
of boxes, in overlaps, in the pyramid level of an RoI and in RoIAlign. That is what Detectron2
computes with far edges behind the last pixel, which all boxes here have; so only the anchors, which
lay on whole pixels, and the smallest step of a side are parts of their own, put into Detectron2's
detector by ``MODEL.VPSNET.LEGACY_BOXES``. RoIAlign without the half-pixel shift is its pooler type
"ROIAlign". The panoptic head alone counts cells up to the last pixel, see
:func:`dvps_d2.layers.roi.last_pixels`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes
from torch import Tensor, nn

LARGEST_STEP = abs(math.log(16 / 1000))  # of the logarithm of a side


class LegacyBoxTransform(Box2BoxTransform):
    """Box differences whose sides neither grow nor shrink beyond a factor.

    Args:
        weights: of dx, dy, dw, dh, the inverse of their standard deviations.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(tuple(weights), scale_clamp=LARGEST_STEP)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4k) weighted differences of (N, 4) boxes -> (N, 4k) boxes, in float32."""
        steps = deltas.float().unflatten(1, (-1, 4))
        smallest = steps.new_tensor(self.weights[2:]) * -self.scale_clamp
        steps = torch.cat([steps[..., :2], torch.maximum(steps[..., 2:], smallest)], dim=-1)
        return super().apply_deltas(steps.flatten(1), boxes)


class LegacyAnchors(nn.Module):
    """Anchors of whole pixels, around the middle of the first stride x stride block.

    Args:
        sizes: per level, square roots of the areas in pixels.
        aspect_ratios: height / width.
        strides: of the levels.
    """

    box_dim = 4

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        aspect_ratios: Sequence[float],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        for level, (level_sizes, stride) in enumerate(zip(sizes, strides, strict=True)):
            cell = legacy_cell_anchors(level_sizes, aspect_ratios, stride)
            self.register_buffer(f"cell_{level}", cell, persistent=False)

    @property
    def num_anchors(self) -> list[int]:
        """Anchors per position, for each level."""
        return [len(self.get_buffer(f"cell_{level}")) for level in range(len(self.strides))]

    def forward(self, features: list[Tensor]) -> list[Boxes]:
        """Maps (N, C, H, W) -> per level H * W * A boxes, by row, column and anchor."""
        anchors = []
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            cell = self.get_buffer(f"cell_{level}")
            rows, columns = (
                torch.arange(count, device=cell.device) * stride for count in feature.shape[-2:]
            )
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            shift = torch.stack([x, y, x, y], dim=-1).view(-1, 1, 4)
            anchors.append(Boxes((shift + cell).view(-1, 4)))
        return anchors


@ANCHOR_GENERATOR_REGISTRY.register()
def LegacyAnchorGenerator(cfg: CfgNode, input_shape: list[ShapeSpec]) -> LegacyAnchors:
    """The anchors of ``MODEL.ANCHOR_GENERATOR``, on whole pixels."""
    anchors = cfg.MODEL.ANCHOR_GENERATOR
    return LegacyAnchors(
        anchors.SIZES, anchors.ASPECT_RATIOS[0], [shape.stride for shape in input_shape]
    )


def legacy_cell_anchors(
    sizes: Sequence[float], aspect_ratios: Sequence[float], stride: int
) -> Tensor:
    """(A, 4) anchors of the first position; ratios vary fastest.

    First and last pixels are rounded; the far edges lie behind the last ones.
    """
    middle = (stride - 1) / 2
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            half = [(side - 1) / 2 for side in (size / math.sqrt(ratio), size * math.sqrt(ratio))]
            anchors.append([middle + sign * h for sign in (-1, 1) for h in half])
    return torch.tensor(anchors).round() + torch.tensor([0.0, 0.0, 1.0, 1.0])
