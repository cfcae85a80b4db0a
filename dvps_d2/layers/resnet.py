"""A small residual network that a CPU can train from scratch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers.conv import ConvNorm

STAGES = ("res2", "res3", "res4", "res5")

# Below this, torch's CPU backward of a strided 1x1 convolution in channels_last memory can crash
# (seen with 8 input channels in torch 2.14 and 2.15).
MIN_WIDTH = 16


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Source: He et al., 2016, figure 5 (left).
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(
            in_channels, channels, 3, stride=stride, norm=nn.BatchNorm2d(channels), relu=True
        )
        self.conv2 = ConvNorm(channels, channels, 3, norm=nn.BatchNorm2d(channels))
        same = stride == 1 and in_channels == channels
        self.shortcut = (
            None
            if same
            else ConvNorm(in_channels, channels, stride=stride, norm=nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / stride, W / stride)."""
        skip = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.conv2(self.conv1(x)).add_(skip), inplace=True)


class CompactResNet(nn.Module):
    """ResNet-18 layout without the max-pool, so that stride 2 has features worth predicting on.

    Stages are called as in Detectron2: "stem" (stride 2), "res2" (4), "res3" (8), "res4" (16),
    "res5" (32). Every stage doubles the width of the one before, the stem has that of "res2".

    Args:
        width: channels of the stem and of "res2"; at least 16.
        blocks: residual blocks in each of the four stages.

    Raises:
        ValueError: ``width`` is below 16, or ``blocks`` has not four positive entries.

    Source: He et al., 2016 (block and stage layout). Differs from it by: width, a 3x3 stem, no
    max-pool ("res2" has the stride instead).
    """

    def __init__(self, width: int = 32, blocks: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        if width < MIN_WIDTH:
            raise ValueError(
                f"width must be at least {MIN_WIDTH} (narrower strided convolutions crash torch's "
                f"CPU backward in channels_last memory), got {width}"
            )
        if len(blocks) != len(STAGES) or min(blocks) < 1:
            raise ValueError(f"blocks must be four positive numbers, got {tuple(blocks)}")
        self.width = width
        self.stem = ConvNorm(3, width, 3, stride=2, norm=nn.BatchNorm2d(width), relu=True)
        channels = width
        for index, (name, depth) in enumerate(zip(STAGES, blocks, strict=True)):
            stage = width << index
            self.add_module(
                name,
                nn.Sequential(
                    BasicBlock(channels, stage, 2),
                    *(BasicBlock(stage, stage, 1) for _ in range(depth - 1)),
                ),
            )
            channels = stage

    def output_shapes(self) -> dict[str, tuple[int, int]]:
        """Name -> (channels, stride) of every output, finest first."""
        shapes = {name: (self.width << i, 4 << i) for i, name in enumerate(STAGES)}
        return {"stem": (self.width, 2), **shapes}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all stages.

        Args:
            images: (N, 3, H, W) float.

        Returns:
            Name -> (N, channels, ceil(H / stride), ceil(W / stride)), finest first, in
            channels-last memory.
        """
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        outputs = {"stem": x}
        for name in STAGES:
            x = self.get_submodule(name)(x)
            outputs[name] = x
        return outputs
