"""Box conventions of early MMDetection, in which released VPSNet weights were trained.

There a box ends on its last pixel, so that its width is x1 - x0 + 1, and anchors lie on whole
pixels. ``MODEL.VPSNET.LEGACY_BOXES`` puts these parts into Detectron2's detector; RoIAlign without
the half-pixel shift is Detectron2's own pooler type "ROIAlign".
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
    """Box differences with inclusive far edges.

    Args:
        weights: of dx, dy, dw, dh, the inverse of their standard deviations.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__(tuple(weights), scale_clamp=LARGEST_STEP)

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """(N, 4) and (N, 4) boxes -> (N, 4) weighted differences."""
        centre, size = _centre_and_size(src_boxes)
        target_centre, target_size = _centre_and_size(target_boxes)
        deltas = torch.cat([(target_centre - centre) / size, (target_size / size).log()], dim=1)
        return deltas * deltas.new_tensor(self.weights)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4k) weighted differences of (N, 4) boxes -> (N, 4k) boxes, in float32."""
        steps = deltas.float().view(len(deltas), -1, 4)
        steps = steps / steps.new_tensor(self.weights)
        centre, size = (part.unsqueeze(1) for part in _centre_and_size(boxes.float()))
        moved = centre + steps[..., :2] * size
        half = size * steps[..., 2:].clamp(-self.scale_clamp, self.scale_clamp).exp() / 2
        return torch.cat([moved - half + 0.5, moved + half - 0.5], dim=-1).flatten(1)


class LegacyAnchors(nn.Module):
    """Anchors with corners on whole pixels, around the middle of the first stride x stride block.

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
    """(A, 4) anchors of the first position; ratios vary fastest, corners are rounded."""
    middle = (stride - 1) / 2
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            half = [(side - 1) / 2 for side in (size / math.sqrt(ratio), size * math.sqrt(ratio))]
            anchors.append([middle + sign * h for sign in (-1, 1) for h in half])
    return torch.tensor(anchors).round()


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    near, far = boxes[:, :2], boxes[:, 2:]
    return (near + far) / 2, far - near + 1
