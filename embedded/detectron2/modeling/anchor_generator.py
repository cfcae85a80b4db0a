"""Anchors: boxes of fixed sizes and shapes around every position of a feature map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detectron2._subset import absent
from detectron2.config import configurable
from detectron2.layers import ShapeSpec
from detectron2.structures import Boxes
from detectron2.utils.registry import Registry

ANCHOR_GENERATOR_REGISTRY = Registry("ANCHOR_GENERATOR")
ANCHOR_GENERATOR_REGISTRY.__doc__ = "Classes (cfg, list of ShapeSpec) that make anchors."

RotatedAnchorGenerator = absent("detectron2.modeling.anchor_generator.RotatedAnchorGenerator")
ANCHOR_GENERATOR_REGISTRY.register(RotatedAnchorGenerator)


class BufferList(nn.Module):
    """A list of tensors that move with the module and stay out of its state dict."""

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        super().__init__()
        for index, buffer in enumerate(buffers):
            self.register_buffer(str(index), buffer, persistent=False)

    def __len__(self) -> int:
        return len(self._buffers)

    def __iter__(self):
        return iter(self._buffers.values())


def _per_level(values: Sequence, levels: int, name: str) -> list[Sequence[float]]:
    """One list per level from one list for all levels, or from a list of lists."""
    assert len(values) > 0, f"{name} is empty"
    if not isinstance(values[0], Sequence):
        return [values] * levels
    if len(values) == 1:
        return list(values) * levels
    assert len(values) == levels, f"{name} has {len(values)} lists for {levels} feature maps"
    return list(values)


@ANCHOR_GENERATOR_REGISTRY.register()
class DefaultAnchorGenerator(nn.Module):
    """Every size in every aspect ratio, at every position (Ren et al., Faster R-CNN, 2015)."""

    box_dim = 4
    """Numbers per anchor."""

    @configurable
    def __init__(
        self,
        *,
        sizes: Sequence,
        aspect_ratios: Sequence,
        strides: Sequence[int],
        offset: float = 0.5,
    ) -> None:
        """Make the anchors of one position.

        Args:
            sizes: square roots of areas in pixels; a list for all levels or one per level.
            aspect_ratios: height / width; likewise.
            strides: of each level.
            offset: of the first anchor's centre from the corner of the image, in strides.
        """
        super().__init__()
        assert 0.0 <= offset < 1.0, f"offset must be in [0, 1), got {offset}"
        self.strides = list(strides)
        self.offset = offset
        levels = len(self.strides)
        self.num_features = levels
        self.cell_anchors = BufferList(
            [
                self.generate_cell_anchors(level_sizes, level_ratios)
                for level_sizes, level_ratios in zip(
                    _per_level(sizes, levels, "sizes"),
                    _per_level(aspect_ratios, levels, "aspect_ratios"),
                    strict=True,
                )
            ]
        )

    @classmethod
    def from_config(cls, cfg, input_shape: list[ShapeSpec]) -> dict:
        """Arguments from a config."""
        generator = cfg.MODEL.ANCHOR_GENERATOR
        return {
            "sizes": generator.SIZES,
            "aspect_ratios": generator.ASPECT_RATIOS,
            "strides": [shape.stride for shape in input_shape],
            "offset": generator.OFFSET,
        }

    @property
    def num_anchors(self) -> list[int]:
        """Anchors per position, for each level."""
        return [len(anchors) for anchors in self.cell_anchors]

    num_cell_anchors = num_anchors

    @staticmethod
    def generate_cell_anchors(
        sizes: Sequence[float] = (32, 64, 128, 256, 512),
        aspect_ratios: Sequence[float] = (0.5, 1, 2),
    ) -> Tensor:
        """(sizes x ratios, 4) boxes around the origin, not rounded; ratios vary fastest."""
        anchors = []
        for size in sizes:
            for ratio in aspect_ratios:
                width = math.sqrt(size**2 / ratio)
                height = ratio * width
                anchors.append([-width / 2, -height / 2, width / 2, height / 2])
        return torch.tensor(anchors)

    def forward(self, features: list[Tensor]) -> list[Boxes]:
        """Feature maps (N, C, H, W) -> per map the H * W * A anchors of an image.

        They are ordered by row, then column, then anchor.
        """
        return [
            Boxes(self._grid(cell, stride, feature))
            for cell, stride, feature in zip(self.cell_anchors, self.strides, features, strict=True)
        ]

    def _grid(self, cell: Tensor, stride: int, feature: Tensor) -> Tensor:
        height, width = feature.shape[-2:]
        ys, xs = (
            (torch.arange(n, device=cell.device, dtype=torch.float32) + self.offset) * stride
            for n in (height, width)
        )
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=-1)
        return (shifts.view(-1, 1, 4) + cell).view(-1, 4)


def build_anchor_generator(cfg, input_shape: list[ShapeSpec]) -> nn.Module:
    """Build ``cfg.MODEL.ANCHOR_GENERATOR.NAME`` for these feature maps."""
    name = cfg.MODEL.ANCHOR_GENERATOR.NAME
    return ANCHOR_GENERATOR_REGISTRY.get(name)(cfg, input_shape)
