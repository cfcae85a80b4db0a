"""The common parent of residual blocks and stems."""

from __future__ import annotations

from torch import nn

from .batch_norm import FrozenBatchNorm2d


class CNNBlockBase(nn.Module):
    """A convolutional block with a known number of channels and a known stride.

    Attributes:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: pixels of the input per pixel of the output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride

    def freeze(self) -> CNNBlockBase:
        """Stop all learning in this block: no gradients, and batch norm as a fixed affine map."""
        self.requires_grad_(False)
        FrozenBatchNorm2d.convert_frozen_batchnorm(self)
        return self
