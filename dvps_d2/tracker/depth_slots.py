"""A defect on purpose: depth that does not move with its masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from dvps_d2.structures import FrameQueries, TrackedQueries

from .protocol import Tracker


class DepthInFixedSlots(nn.Module):
    """Track as another tracker does, but leave depth embeddings in their slots.

    Classes, masks and identities are permuted, depth is not, so that depth i and mask i belong to
    different objects wherever tracking moved something. An ablation for scoring what it costs;
    never what is wanted.

    Args:
        tracker: does the tracking; must keep the number of queries.
    """

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self.tracker = tracker

    def forward(self, queries: FrameQueries, state: Any) -> tuple[TrackedQueries, Any]:
        """As the tracker, with ``depth_embeds`` of the result in the order of ``queries``."""
        tracks, state = self.tracker(queries, state)
        return replace(tracks, depth_embeds=queries.depth_embeds), state
