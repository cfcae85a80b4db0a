"""Swin Transformers as Detectron2 backbones, under the name that published configs use."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import BACKBONE_REGISTRY, Backbone, ShapeSpec
from torch import Tensor

from dvps_d2.layers import SwinTransformer


@BACKBONE_REGISTRY.register()
class D2SwinTransformer(SwinTransformer, Backbone):
    """:class:`dvps_d2.layers.SwinTransformer` by ``MODEL.SWIN``, with outputs res2 to res5."""

    def __init__(self, cfg: Any, input_shape: ShapeSpec) -> None:
        swin = cfg.MODEL.SWIN
        super().__init__(
            swin.EMBED_DIM,
            swin.DEPTHS,
            swin.NUM_HEADS,
            window_size=swin.WINDOW_SIZE,
            patch_size=swin.PATCH_SIZE,
            mlp_ratio=swin.MLP_RATIO,
            qkv_bias=swin.QKV_BIAS,
            patch_norm=swin.PATCH_NORM,
            drop_path_rate=swin.DROP_PATH_RATE,
        )
        self.names = tuple(f"res{stage}" for stage in range(2, 2 + len(self.channels)))
        unknown = sorted(set(swin.OUT_FEATURES) - set(self.names))
        if unknown:
            raise ValueError(
                f"MODEL.SWIN.OUT_FEATURES names {', '.join(unknown)}; there are "
                f"{', '.join(self.names)}"
            )
        self.out_features = tuple(swin.OUT_FEATURES)

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """(N, 3, H, W) -> the chosen maps, by name."""
        maps = dict(zip(self.names, super().forward(images), strict=True))
        return {name: maps[name] for name in self.out_features}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every chosen map."""
        shapes = dict(zip(self.names, zip(self.channels, self.strides, strict=True), strict=True))
        return {
            name: ShapeSpec(channels=shapes[name][0], stride=shapes[name][1])
            for name in self.out_features
        }

    @property
    def size_divisibility(self) -> int:
        """The coarsest stride, so that every map covers the frame exactly."""
        return self.strides[-1]
