"""Blocks without an opinion about video."""

from dvps_d2.layers.attention import (
    CrossAttentionLayer,
    MultiheadAttention,
    SelfAttentionLayer,
    attend,
    open_empty_rows,
)
from dvps_d2.layers.conv import ConvNorm
from dvps_d2.layers.deformable import DeformableEncoder, MSDeformAttn
from dvps_d2.layers.mlp import MLP, FeedForwardLayer
from dvps_d2.layers.norm import GroupNorm, group_norm
from dvps_d2.layers.position import sine_position
from dvps_d2.layers.resnet import CompactResNet
from dvps_d2.layers.swin import SwinTransformer

__all__ = [
    "MLP",
    "CompactResNet",
    "ConvNorm",
    "CrossAttentionLayer",
    "DeformableEncoder",
    "FeedForwardLayer",
    "GroupNorm",
    "MSDeformAttn",
    "MultiheadAttention",
    "SelfAttentionLayer",
    "SwinTransformer",
    "attend",
    "group_norm",
    "open_empty_rows",
    "sine_position",
]
