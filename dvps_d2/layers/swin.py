"""Swin Transformer, with the parameter names of published checkpoints.

Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Standard deviation of the first weights and position biases.
INIT_STD = 0.02
# Embedding width, depths and heads of the published sizes; T and S use windows of 7 and B and L of
# 12 (pretrained on 384 x 384) in Mask2Former's configs.
SIZES = {
    "T": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "S": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "B": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "L": (192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


class SwinTransformer(nn.Module):
    """Four stages of windowed attention at strides 4, 8, 16 and 32.

    Args:
        embed_dim: channels at stride 4; every stage doubles them.
        depths: blocks per stage.
        num_heads: heads per stage.
        window_size: side of an attention window, in tokens.
        patch_size: side of a patch in pixels.
        mlp_ratio: width of the MLPs as a multiple of the channels.
        qkv_bias: whether queries, keys and values have a bias.
        patch_norm: LayerNorm after the patch convolution.
        drop_path_rate: share of dropped residual branches in the last block; it grows linearly
            from 0 in the first.

    Source: Liu et al., 2021, sections 3.1 and 3.2; the LayerNorm on each output is that of the
    public detection code.
    """

    def __init__(
        self,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        *,
        window_size: int = 7,
        patch_size: int = 4,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        patch_norm: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if len(depths) != len(num_heads):
            raise ValueError(
                f"depths and num_heads need one entry per stage, got {tuple(depths)} and "
                f"{tuple(num_heads)}"
            )
        self.channels = tuple(embed_dim * 2**stage for stage in range(len(depths)))
        self.strides = tuple(patch_size * 2**stage for stage in range(len(depths)))
        self.patch_embed = PatchEmbedding(embed_dim, patch_size, norm=patch_norm)
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist()
        self.layers = nn.ModuleList()
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            first = sum(depths[:stage])
            self.layers.append(
                SwinStage(
                    self.channels[stage],
                    heads,
                    window_size=window_size,
                    mlp_ratio=mlp_ratio,
                    qkv_bias=qkv_bias,
                    drop_paths=rates[first : first + depth],
                    downsample=stage < len(depths) - 1,
                )
            )
            self.add_module(f"norm{stage}", nn.LayerNorm(self.channels[stage]))
        self.apply(_initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) of any size -> one (N, C_i, ceil(H / stride_i), ...) map per stage."""
        x = self.patch_embed(images)  # (N, h, w, C)
        outputs = []
        for stage, layer in enumerate(self.layers):
            features, x = layer(x)
            normed = self.get_submodule(f"norm{stage}")(features)
            outputs.append(normed.permute(0, 3, 1, 2).contiguous())
        return outputs


class PatchEmbedding(nn.Module):
    """A convolution that turns patches into tokens; the image is padded right and bottom."""

    def __init__(self, dim: int, patch_size: int, *, norm: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, h, w, C)."""
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size))
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """Blocks at one resolution, every other one with shifted windows, then merging of patches."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        window_size: int,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_paths: Sequence[float],
        downsample: bool,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.blocks = nn.ModuleList(
            SwinBlock(
                dim,
                num_heads,
                window_size=window_size,
                shift=window_size // 2 if number % 2 else 0,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                drop_path=rate,
            )
            for number, rate in enumerate(drop_paths)
        )
        self.downsample = PatchMerging(dim) if downsample else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, h, w, C) -> the same after the blocks, and the input of the next stage."""
        # One mask serves all shifted blocks of the stage.
        _, height, width, _ = x.shape
        mask = shifted_window_mask(height, width, self.window_size, x.device)
        for block in self.blocks:
            x = block(x, mask)
        return x, x if self.downsample is None else self.downsample(x)


class SwinBlock(nn.Module):
    """Attention inside windows and an MLP, both with pre-norm and residual."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        window_size: int,
        shift: int,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = shift
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window_size, qkv_bias=qkv_bias)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = _PerceptronGELU(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Update tokens.

        Args:
            x: (N, h, w, C).
            mask: from `shifted_window_mask`.
        """
        x = x + self._dropped(self._attend(self.norm1(x), mask))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        size = self.window_size
        x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        shape = (batch, x.shape[1] // size, x.shape[2] // size)
        windows = x.unflatten(2, (-1, size)).unflatten(1, (-1, size)).transpose(2, 3)
        allowed = mask.repeat(batch, 1, 1) if self.shift else None
        attended = self.attn(windows.reshape(-1, size * size, x.shape[-1]), allowed)
        x = attended.view(*shape, size, size, -1).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def _dropped(self, branch: Tensor) -> Tensor:
        """Stochastic depth: leave a branch out for some images, keeping the expectation."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = 1 - self.drop_path
        coin = torch.rand(len(branch), 1, 1, 1, device=branch.device) < kept
        return branch * coin.to(branch.dtype) / kept


class WindowAttention(nn.Module):
    """Self-attention among the tokens of a window, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, num_heads: int, window_size: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(
            torch.empty((2 * window_size - 1) ** 2, num_heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=INIT_STD)
        self.register_buffer("relative_position_index", relative_positions(window_size))

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        """Attend.

        Args:
            x: (W, S, C) tokens of W windows.
            allowed: (W, S, S) bool, True = may be seen; None = everything.
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index]  # (S, S, M)
        bias = bias.permute(2, 0, 1).to(q.dtype)
        if allowed is not None:
            bias = bias.masked_fill(~allowed[:, None], float("-inf"))
        out = attend_with_bias(q, k, v, bias)
        return self.proj(out.transpose(1, 2).flatten(2))


class PatchMerging(nn.Module):
    """Two by two tokens become one with twice the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, h, w, C) -> (N, ceil(h / 2), ceil(w / 2), 2 C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        # The order is that of the published weights: down first, then right.
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class _PerceptronGELU(nn.Module):
    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def relative_positions(size: int) -> Tensor:
    """(S, S) int64 row of the bias table for every pair of the S = size^2 tokens of a window."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    place = torch.stack([y.flatten(), x.flatten()])  # (2, S)
    dy, dx = place[:, :, None] - place[:, None, :] + size - 1
    return dy * (2 * size - 1) + dx


def shifted_window_mask(height: int, width: int, size: int, device: torch.device) -> Tensor:
    """Which tokens of a shifted window were neighbours before the shift.

    Args:
        height, width: of the token grid, before padding to whole windows.
        size: side of a window; the shift is half of it.
        device: where the mask is wanted.

    Returns:
        (W, S, S) bool, True = may be seen.
    """
    shift = size // 2
    # Rolling brings rows from the top to the bottom; they get another number there.
    rows, columns = (
        (torch.arange(n, device=device) >= n - shift).long()
        for n in (height + -height % size, width + -width % size)
    )
    region = (2 * rows[:, None] + columns).unflatten(1, (-1, size)).unflatten(0, (-1, size))
    region = region.transpose(1, 2).flatten(2).flatten(0, 1)  # (W, S)
    return region[:, :, None] == region[:, None, :]


def attend_with_bias(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Scaled dot-product attention with an additive bias, broadcastable to (W, M, S, S)."""
    if query.device.type == "cpu" and torch.is_grad_enabled():
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2)) + bias
        return torch.matmul(scores.softmax(-1), value)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
