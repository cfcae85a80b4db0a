"""Perceptrons: the head of embeddings and the feed-forward block of a transformer layer."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU between them (not after the last).

    Args:
        in_dim: channels of the input.
        hidden_dim: channels between the layers.
        out_dim: channels of the output.
        num_layers: number of linear layers, at least 1.
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, num_layers: int = 3) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        dims = [in_dim] + [hidden_dim] * (num_layers - 1) + [out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_dim) -> (..., out_dim)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x), inplace=True)
        return self.layers[-1](x)


class FeedForwardLayer(nn.Module):
    """Two linear layers with residual and post-norm: ``norm(x + W2 relu(W1 x))``.

    Args:
        dim: channels of the tokens.
        feedforward_dim: channels between the two linear layers.
    """

    def __init__(self, dim: int, feedforward_dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, feedforward_dim)
        self.linear2 = nn.Linear(feedforward_dim, dim)
        self.norm = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.norm(x + self.linear2(F.relu(self.linear1(x), inplace=True)))
