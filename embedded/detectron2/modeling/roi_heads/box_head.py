"""From pooled box features to one vector per box."""

from __future__ import annotations

from collections.abc import Sequence

from fvcore.nn.weight_init import c2_msra_fill, c2_xavier_fill
from torch import Tensor, nn

from detectron2.config import configurable
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.utils.registry import Registry

__all__ = ["ROI_BOX_HEAD_REGISTRY", "FastRCNNConvFCHead", "build_box_head"]

ROI_BOX_HEAD_REGISTRY = Registry("ROI_BOX_HEAD")
ROI_BOX_HEAD_REGISTRY.__doc__ = "Classes (cfg, ShapeSpec) that turn box features into vectors."


@ROI_BOX_HEAD_REGISTRY.register()
class FastRCNNConvFCHead(nn.Sequential):
    """3x3 convolutions ``conv1``, ..., then linear layers ``fc1``, ..., each with a ReLU."""

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        conv_dims: Sequence[int],
        fc_dims: Sequence[int],
        conv_norm="",
    ) -> None:
        """Build the head.

        Args:
            input_shape: channels, height and width of the pooled features.
            conv_dims: channels after each convolution.
            fc_dims: width of each linear layer.
            conv_norm: as in ``get_norm``.
        """
        super().__init__()
        assert len(conv_dims) + len(fc_dims) > 0, "the box head needs a layer"
        channels = input_shape.channels
        self._shape = ShapeSpec(channels, input_shape.height, input_shape.width)
        for index, out_channels in enumerate(conv_dims, start=1):
            conv = Conv2d(
                channels,
                out_channels,
                kernel_size=3,
                padding=1,
                bias=not conv_norm,
                norm=get_norm(conv_norm, out_channels),
                activation=nn.ReLU(),
            )
            self.add_module(f"conv{index}", conv)
            channels = self._shape.channels = out_channels

        width = channels * input_shape.height * input_shape.width
        for index, out_width in enumerate(fc_dims, start=1):
            if index == 1:
                self.add_module("flatten", nn.Flatten())
            fc = nn.Linear(width, out_width)
            self.add_module(f"fc{index}", fc)
            self.add_module(f"fc_relu{index}", nn.ReLU())
            width, self._shape = out_width, ShapeSpec(channels=out_width)
        # After all are made: a seed gives the weights that it gives in the original.
        for layer in self:
            if isinstance(layer, Conv2d):
                c2_msra_fill(layer)
            elif isinstance(layer, nn.Linear):
                c2_xavier_fill(layer)

    @classmethod
    def from_config(cls, cfg, input_shape: ShapeSpec) -> dict:
        """Arguments from a config."""
        head = cfg.MODEL.ROI_BOX_HEAD
        return {
            "input_shape": input_shape,
            "conv_dims": [head.CONV_DIM] * head.NUM_CONV,
            "fc_dims": [head.FC_DIM] * head.NUM_FC,
            "conv_norm": head.NORM,
        }

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, H, W) -> (R, D); with no linear layer (R, C', H, W)."""
        return super().forward(x)

    @property
    def output_shape(self) -> ShapeSpec:
        """Channels of the result; also height and width when there is no linear layer."""
        return self._shape


def build_box_head(cfg, input_shape: ShapeSpec) -> nn.Module:
    """Build ``cfg.MODEL.ROI_BOX_HEAD.NAME``."""
    return ROI_BOX_HEAD_REGISTRY.get(cfg.MODEL.ROI_BOX_HEAD.NAME)(cfg, input_shape)
