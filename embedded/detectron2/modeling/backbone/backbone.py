"""What every backbone promises."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from torch import Tensor, nn

from detectron2.layers import ShapeSpec


class Backbone(nn.Module, metaclass=ABCMeta):
    """From images to named feature maps.

    Subclasses set ``_out_features`` (names), ``_out_feature_channels`` and
    ``_out_feature_strides`` (name -> number), or override ``output_shape``.
    """

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) -> name -> (N, C', H / stride, W / stride)."""

    @property
    def size_divisibility(self) -> int:
        """Image sides must be multiples of this; 0 asks for nothing."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Options for ``ImageList.from_tensors``: size_divisibility, square_size."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every output."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }
