"""Attention between sets of tokens, with the parameter names of published checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.Module):
    """Batch-first multi-head attention on ``scaled_dot_product_attention``.

    Parameters are named and shaped as in ``torch.nn.MultiheadAttention``, so that its weights load.
    It never returns attention weights, which is what keeps it fast.

    Args:
        dim: channels of queries, keys, values and the result.
        num_heads: number of heads; divides ``dim``.

    Raises:
        ValueError: ``num_heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide dim={dim}")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """Attend from every query to the keys it is allowed to see.

        Args:
            query: (N, Q, C).
            key: (N, S, C); the same tensor as ``query`` saves one product.
            value: (N, S, C).
            allowed: bool, broadcastable to (N, M, Q, S); True = may be seen, None = everything.
                A row without any True gives zeros or NaN: open it first (`open_empty_rows`).

        Returns:
            (N, Q, C).
        """
        dim = self.out_proj.in_features
        if key is query:
            weights = self.in_proj_weight.split((2 * dim, dim))
            biases = self.in_proj_bias.split((2 * dim, dim))
            q, k = F.linear(query, weights[0], biases[0]).chunk(2, dim=-1)
        else:
            weights = self.in_proj_weight.split((dim, dim, dim))
            biases = self.in_proj_bias.split((dim, dim, dim))
            q = F.linear(query, weights[0], biases[0])
            k = F.linear(key, weights[1], biases[1])
        v = F.linear(value, weights[-1], biases[-1])
        attended = attend(self._split(q), self._split(k), self._split(v), allowed)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (N, M, tokens, D)


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention by the kernel that is fastest where it runs.

    Args:
        query: (N, M, Q, D).
        key: (N, M, S, D).
        value: (N, M, S, D).
        allowed: bool, broadcastable to (N, M, Q, S), True = may be seen; None = everything.

    Returns:
        (N, M, Q, D).
    """
    if query.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    # The backward of PyTorch's fused kernel on CPUs takes milliseconds at any size; for a few
    # dozen queries the plain products take a tenth of that.
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if allowed is not None:
        hidden = torch.zeros_like(allowed, dtype=scores.dtype)
        scores = scores + hidden.masked_fill_(~allowed, float("-inf"))
    return torch.matmul(scores.softmax(-1), value)


class CrossAttentionLayer(nn.Module):
    """Queries read a memory, with residual and post-norm."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.multihead_attn = MultiheadAttention(dim, num_heads)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        memory_keys: Tensor,
        memory: Tensor,
        *,
        position: Tensor | None = None,
        allowed: Tensor | None = None,
    ) -> Tensor:
        """Update the queries.

        Args:
            x: (N, Q, C) queries.
            memory_keys: (N, S, C), the memory with its own position added.
            memory: (N, S, C).
            position: (N, Q, C) or broadcastable, added to the queries inside the attention only.
            allowed: as in `MultiheadAttention`.

        Returns:
            (N, Q, C).
        """
        query = x if position is None else x + position
        return self.norm(x + self.multihead_attn(query, memory_keys, memory, allowed))


class SelfAttentionLayer(nn.Module):
    """Queries read one another, with residual and post-norm."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(dim, num_heads)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, *, position: Tensor | None = None, allowed: Tensor | None = None
    ) -> Tensor:
        """Update the queries: ``x`` (N, Q, C), ``position`` and ``allowed`` as elsewhere here."""
        query = x if position is None else x + position
        return self.norm(x + self.self_attn(query, query, x, allowed))


def open_empty_rows(allowed: Tensor) -> Tensor:
    """Let a query that may see nothing see everything.

    Args:
        allowed: bool (..., S), True = may be seen.

    Returns:
        The same, with rows of only False turned into rows of only True.

    Source: Cheng et al., 2022 (Mask2Former), section 3.2.1, as published in code.
    """
    return allowed | ~allowed.any(dim=-1, keepdim=True)
