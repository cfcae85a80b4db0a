"""Backbone features -> refined features of several strides and the features masks are made of."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers import ConvNorm, DeformableEncoder, group_norm


class PixelDecoder(nn.Module):
    """Deformable encoder over the coarse levels, then a feature pyramid down to the finest.

    Args:
        in_channels: channels of every backbone output that is used, by name.
        strides: stride of every backbone output that is used, by name.
        hidden_dim: channels of everything inside and of the returned levels.
        mask_dim: channels of the mask features.
        encoder_layers: layers of the deformable encoder.
        num_heads: heads of its attention.
        feedforward_dim: channels inside its feed-forward blocks.
        num_points: points per head and level.
        encoder_levels: backbone outputs that enter the encoder, finest first.
        fpn_levels: backbone outputs added after it, from coarse to fine; the mask features have
            the stride of the last one. ("res2",) is the published model; ("res2", "stem") gives
            mask features of stride 2.
        offset_noise: see `dvps_d2.layers.MSDeformAttn`.
        full_precision: leave autocast and compute in the precision of the parameters, as the
            published model does. False follows autocast: faster on a CPU with bfloat16.

    Raises:
        ValueError: a level has no channels or stride, or the levels are not in order.

    Source: Cheng et al., 2022 (Mask2Former), section 3.2 and its code. Differs from it by: more
    than one pyramid step is allowed (``adapter_1`` is the first one taken, i.e. the coarsest).
    """

    def __init__(
        self,
        in_channels: Mapping[str, int],
        strides: Mapping[str, int],
        *,
        hidden_dim: int = 256,
        mask_dim: int = 256,
        encoder_layers: int = 6,
        num_heads: int = 8,
        feedforward_dim: int = 1024,
        num_points: int = 4,
        encoder_levels: Sequence[str] = ("res3", "res4", "res5"),
        fpn_levels: Sequence[str] = ("res2",),
        offset_noise: float = 0.0,
        full_precision: bool = True,
    ) -> None:
        super().__init__()
        self.encoder_levels = tuple(reversed(encoder_levels))  # coarsest first
        self.fpn_levels = tuple(fpn_levels)
        self._check_levels(in_channels, strides)
        self.mask_stride = strides[(self.encoder_levels + self.fpn_levels)[-1]]
        self.hidden_dim = hidden_dim
        self.mask_dim = mask_dim
        self.full_precision = full_precision
        self.input_proj = nn.ModuleList()
        for name in self.encoder_levels:
            projection = nn.Conv2d(in_channels[name], hidden_dim, 1)
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)
            self.input_proj.append(nn.Sequential(projection, group_norm(hidden_dim)))
        self.transformer = DeformableEncoder(
            hidden_dim,
            encoder_layers,
            num_heads,
            feedforward_dim,
            len(self.encoder_levels),
            num_points,
            offset_noise=offset_noise,
        )
        for number, name in enumerate(self.fpn_levels, start=1):
            adapter = ConvNorm(in_channels[name], hidden_dim, norm=group_norm(hidden_dim))
            layer = ConvNorm(hidden_dim, hidden_dim, 3, norm=group_norm(hidden_dim), relu=True)
            self.add_module(f"adapter_{number}", adapter)
            self.add_module(f"layer_{number}", layer)
        self.mask_features = ConvNorm(hidden_dim, mask_dim)

    def _check_levels(self, in_channels: Mapping[str, int], strides: Mapping[str, int]) -> None:
        names = self.encoder_levels + self.fpn_levels
        if not self.encoder_levels:
            raise ValueError("encoder_levels must name at least one backbone output, got none")
        for argument, table in (("in_channels", in_channels), ("strides", strides)):
            missing = [name for name in names if name not in table]
            if missing:
                raise ValueError(
                    f"{argument} lacks {missing}; encoder_levels and fpn_levels may only name "
                    f"backbone outputs, here {sorted(table)}"
                )
        order = [strides[name] for name in names]
        if any(fine >= coarse for coarse, fine in itertools.pairwise(order)):
            raise ValueError(
                "encoder_levels must go from fine to coarse and fpn_levels on from coarse to fine; "
                f"from the coarsest on, strides are {dict(zip(names, order, strict=True))}"
            )

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode the features of one batch of frames.

        Args:
            features: backbone outputs by name, (N, channels, h, w); more names do no harm.

        Returns:
            Mask features (N, mask_dim, h, w) at the finest level, and the encoder's maps
            (N, hidden_dim, h, w), coarsest first.
        """
        if not self.full_precision:
            return self._decode(features)
        dtype = self.mask_features.weight.dtype
        used = self.encoder_levels + self.fpn_levels
        device_type = features[used[0]].device.type
        with torch.autocast(device_type, enabled=False):
            return self._decode({name: features[name].to(dtype) for name in used})

    def _decode(self, features: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        projected = [
            projection(features[name])
            for projection, name in zip(self.input_proj, self.encoder_levels, strict=True)
        ]
        levels = self.transformer(projected)
        finest = levels[-1]
        for number, name in enumerate(self.fpn_levels, start=1):
            lateral = self.get_submodule(f"adapter_{number}")(features[name])
            raised = F.interpolate(finest, size=lateral.shape[-2:], mode="bilinear")
            finest = self.get_submodule(f"layer_{number}")(lateral + raised)
        return self.mask_features(finest), levels
