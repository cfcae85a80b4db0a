"""Tracking by matching the queries of neighbouring frames.

Source: Huang, Yu and Anandkumar, "MinVIS", NeurIPS 2022, section 3.3; used unchanged by MinDVPS
(Kim Ji-Yeon et al., section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from dvps_d2.structures import FrameQueries, TrackedQueries


@dataclass(frozen=True, eq=False)
class QueryMemory:
    """The last frame seen, in track order.

    Attributes:
        embeds: (B, Q, C) query embeddings.
        track_ids: (B, Q) int64.
    """

    embeds: Tensor
    track_ids: Tensor


def match_queries(previous: Tensor, current: Tensor) -> Tensor:
    """Associate the queries of a frame with those of the frame before.

    Args:
        previous: (B, Q, C) embeddings of frame t-1 in track order.
        current: (B, Q, C) embeddings of frame t in any order.

    Returns:
        (B, Q) int64: place q is the current query that continues track q; the assignment with
        the largest sum of cosine similarities.

    Raises:
        ValueError: shapes differ, or an embedding is not finite.
    """
    if previous.shape != current.shape:
        raise ValueError(
            f"cannot match {tuple(current.shape)} queries with the {tuple(previous.shape)} of the "
            f"previous frame; a stream must keep one model and one batch size"
        )
    # A zero vector gets cosine 0 with everything (normalize has an epsilon).
    before = F.normalize(previous.detach().to(_at_least_float32(previous)), dim=-1)
    now = F.normalize(current.detach().to(_at_least_float32(current)), dim=-1)
    with torch.autocast(before.device.type, enabled=False):  # ties must not come from rounding
        cost = (1 - before @ now.transpose(1, 2)).cpu().numpy()  # (B, Q, Q)
    order = []
    for clip, table in enumerate(cost):
        try:
            order.append(torch.from_numpy(linear_sum_assignment(table)[1]))
        except ValueError as error:
            raise ValueError(f"query embeddings of clip {clip} are not finite: {error}") from error
    return torch.stack(order).to(current.device)


class QueryMatching(nn.Module):
    """MinVIS association: frame by frame, cosine similarity, Hungarian; nothing to train.

    All queries are matched, "no object" ones included, and only the frame before is remembered,
    so identity lives in the place of a query.
    """

    def forward(
        self, queries: FrameQueries, state: QueryMemory | None
    ) -> tuple[TrackedQueries, QueryMemory]:
        """Permute every frame of the window into the order of the tracks.

        Args:
            queries: (B, T, Q, ...); depth embeddings move with their masks.
            state: the memory of the window before; None starts a video, whose first frame then
                defines the order.

        Returns:
            Tracked queries, and the memory after the last frame.
        """
        embeds = queries.query_embeds
        batch, frames, count, _ = embeds.shape
        identity = torch.arange(count, device=embeds.device).expand(batch, count)
        track_ids = identity if state is None else state.track_ids
        previous = None if state is None else state.embeds
        orders = []
        for t in range(frames):
            order = identity if previous is None else match_queries(previous, embeds[:, t])
            index = order.unsqueeze(-1).expand(-1, -1, embeds.shape[-1])
            previous = embeds[:, t].gather(1, index)
            orders.append(order)
        tracked = queries.permute(torch.stack(orders, dim=1))
        memory = QueryMemory(embeds=previous.detach(), track_ids=track_ids)
        return TrackedQueries.from_frames(tracked, track_ids), memory


class FixedSlots(nn.Module):
    """No association: query q is taken for one object in all frames.

    The floor for every tracker. On videos with little motion it scores like a tracker does, since
    queries tend to keep their image place; report it beside any tracking result.
    """

    def forward(self, queries: FrameQueries, state: None) -> tuple[TrackedQueries, None]:
        """Keep the order of the decoder; ``state`` is not used."""
        batch, _, count, _ = queries.query_embeds.shape
        slots = torch.arange(count, device=queries.query_embeds.device).expand(batch, count)
        return TrackedQueries.from_frames(queries, slots), None


def _at_least_float32(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
