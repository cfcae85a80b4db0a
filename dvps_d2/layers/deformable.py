"""Multi-scale deformable attention and the encoder built of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.layers.position import sine_position
from dvps_d2.ops import ms_deform_attn

LevelShapes = Sequence[tuple[int, int]]


class MSDeformAttn(nn.Module):
    """Every token looks at a few learned points around itself, on every level.

    Args:
        dim: channels of the tokens.
        num_heads: number of heads M; divides ``dim``.
        num_levels: number of levels L.
        num_points: points P per head and level.
        offset_noise: standard deviation, in cells, of noise on the initial offsets. The published
            initialisation (0) puts every point on a cell centre, where bilinear sampling has a
            kink and one-sided gradients.

    Raises:
        ValueError: ``num_heads`` does not divide ``dim``.

    Source: Zhu et al., 2021 (Deformable DETR), equation 3 and appendix A.4.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        *,
        offset_noise: float = 0.0,
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide dim={dim}")
        self.points_shape = (num_heads, num_levels, num_points)
        points = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(dim, points * 2)
        self.attention_weights = nn.Linear(dim, points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.reset_parameters(offset_noise)

    @torch.no_grad()
    def reset_parameters(self, offset_noise: float = 0.0) -> None:
        """Point p of head h starts p + 1 cells away, in the direction of head h; equal weights."""
        heads, levels, points = self.points_shape
        angles = torch.arange(heads) * (2 * math.pi / heads)
        directions = torch.stack((angles.cos(), angles.sin()), dim=-1)
        directions /= directions.abs().amax(dim=-1, keepdim=True)
        reach = torch.arange(1, points + 1)
        offsets = directions[:, None, None, :] * reach[:, None]  # (M, 1, P, 2)
        offsets = offsets.expand(heads, levels, points, 2)
        offsets = offsets + offset_noise * torch.randn(offsets.shape)
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias.copy_(offsets.flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, query: Tensor, reference: Tensor, value: Tensor, level_shapes: LevelShapes
    ) -> Tensor:
        """Sample ``value`` around the reference point of each query.

        Args:
            query: (N, Q, C).
            reference: (Q, 2) as (x, y) in 0..1, float32 or better.
            value: (N, S, C), the levels flattened one after the other.
            level_shapes: (H, W) of each level, in the order of ``value``.

        Returns:
            (N, Q, C).
        """
        heads, levels, points = self.points_shape
        # Locations stay in the precision of `reference` under autocast: bfloat16 would round them
        # to a fraction of a cell.
        offsets = self.sampling_offsets(query).unflatten(-1, (heads, levels, points, 2))
        cells = reference.new_tensor([(1 / w, 1 / h) for h, w in level_shapes])  # (L, 2)
        locations = torch.addcmul(reference[:, None, None, None, :], offsets, cells[:, None, :])
        weights = self.attention_weights(query).unflatten(-1, (heads, levels * points))
        weights = F.softmax(weights, dim=-1).unflatten(-1, (levels, points))
        projected = self.value_proj(value).unflatten(-1, (heads, -1))  # (N, S, M, D)
        sampled = ms_deform_attn(projected, level_shapes, locations, weights.to(locations.dtype))
        return self.output_proj(sampled)


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward block, each with residual and post-norm."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        num_levels: int,
        num_points: int,
        *,
        offset_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_attn = MSDeformAttn(
            dim, num_heads, num_levels, num_points, offset_noise=offset_noise
        )
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward_dim)
        self.linear2 = nn.Linear(feedforward_dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)

    def forward(
        self, tokens: Tensor, position: Tensor, reference: Tensor, level_shapes: LevelShapes
    ) -> Tensor:
        """``tokens`` (N, S, C), ``position`` (S, C), ``reference`` (S, 2) -> (N, S, C)."""
        attended = self.self_attn(tokens + position, reference, tokens, level_shapes)
        tokens = self.norm1(tokens + attended)
        hidden = F.relu(self.linear1(tokens), inplace=True)
        return self.norm2(tokens + self.linear2(hidden))


class LayerStack(nn.Module):
    """A list of layers that keeps the ``encoder.layers.N`` of published parameter names."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class DeformableEncoder(nn.Module):
    """Tokens of several levels exchange information by deformable attention.

    Args:
        dim: channels of the tokens.
        num_layers: number of layers.
        num_heads: heads per layer.
        feedforward_dim: channels inside the feed-forward blocks.
        num_levels: number of feature maps.
        num_points: points per head and level.
        offset_noise: see `MSDeformAttn`.

    Source: Zhu et al., 2021 (Deformable DETR); as pixel decoder: Cheng et al., 2022 (Mask2Former).
    """

    def __init__(
        self,
        dim: int,
        num_layers: int,
        num_heads: int,
        feedforward_dim: int,
        num_levels: int,
        num_points: int = 4,
        *,
        offset_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.empty(num_levels, dim).normal_())
        self.encoder = LayerStack(
            [
                DeformableEncoderLayer(
                    dim,
                    num_heads,
                    feedforward_dim,
                    num_levels,
                    num_points,
                    offset_noise=offset_noise,
                )
                for _ in range(num_layers)
            ]
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Update all levels.

        Args:
            levels: L maps (N, C, h, w), coarsest first.

        Returns:
            L maps of the same shapes (channels-last memory).

        Raises:
            ValueError: another number of maps than the encoder was built for.
        """
        if len(levels) != len(self.level_embed):
            raise ValueError(
                f"levels must be {len(self.level_embed)} feature maps, got {len(levels)}"
            )
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        position = torch.cat(
            [
                sine_position(h, w, embed.shape[0], device=embed.device, dtype=embed.dtype) + embed
                for (h, w), embed in zip(shapes, self.level_embed, strict=True)
            ]
        ).to(tokens.dtype)
        reference = cell_centres(shapes, tokens)
        for layer in self.encoder.layers:
            tokens = layer(tokens, position, reference, shapes)
        parts = tokens.split([h * w for h, w in shapes], dim=1)
        return [
            part.transpose(1, 2).unflatten(-1, shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]


def cell_centres(level_shapes: LevelShapes, like: Tensor) -> Tensor:
    """Centres of all cells of all levels as fractions of the frame.

    Args:
        level_shapes: (H, W) of each level.
        like: tensor whose device is used, and whose dtype where it is finer than float32.

    Returns:
        (S, 2) as (x, y) in 0..1, levels one after the other, row-major.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    centres = []
    for height, width in level_shapes:
        y = (torch.arange(height, device=like.device, dtype=dtype) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=dtype) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centres.append(torch.stack((grid_x.flatten(), grid_y.flatten()), dim=-1))
    return torch.cat(centres)
