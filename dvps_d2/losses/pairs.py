"""Which query answers for which segment, for many frames at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .precision import dot_products


@dataclass(frozen=True, eq=False)
class Pairs:
    """Query ``query[f, r]`` of frame f answers for segment ``target[f, r]``; padded to R pairs.

    Attributes:
        query: (F, R) int64; 0 in padding.
        target: (F, R) int64 row of :class:`FrameTargets`; 0 in padding.
        valid: (F, R) bool, False in padding.
        dropped: (F, N) bool, targets that vanish on this grid and were left out; None where
            nothing was examined.
    """

    query: Tensor
    target: Tensor
    valid: Tensor
    dropped: Tensor | None = None

    @classmethod
    def from_lists(
        cls,
        lists: Sequence[tuple[np.ndarray, np.ndarray]],
        device: torch.device | str = "cpu",
        dropped: Tensor | None = None,
    ) -> Pairs:
        """Pad per-frame (query indices, target indices)."""
        longest = max((len(queries) for queries, _ in lists), default=0)
        table = np.zeros((3, len(lists), longest), dtype=np.int64)
        for frame, (queries, rows) in enumerate(lists):
            table[0, frame, : len(queries)] = queries
            table[1, frame, : len(rows)] = rows
            table[2, frame, : len(rows)] = 1
        query, target, valid = torch.from_numpy(table).to(device)
        return cls(query, target, valid.bool(), dropped)

    def repeat(self, times: int, dropped: Tensor | None = None) -> Pairs:
        """The same pairs in ``times`` consecutive frames each."""
        return Pairs(
            self.query.repeat_interleave(times, dim=0),
            self.target.repeat_interleave(times, dim=0),
            self.valid.repeat_interleave(times, dim=0),
            dropped,
        )

    def lists(self) -> list[tuple[Tensor, Tensor]]:
        """Per frame (query indices, target indices), without padding."""
        frames = zip(self.query, self.target, self.valid, strict=True)
        return [(query[valid], target[valid]) for query, target, valid in frames]

    def flat(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(frame, slot, query, target), (M,) int64 each, of the M valid pairs."""
        frame, slot = self.valid.nonzero(as_tuple=True)
        return frame, slot, self.query[frame, slot], self.target[frame, slot]

    def only(self, wanted: Tensor) -> Pairs:
        """The pairs whose target is set in ``wanted`` (F, N) bool."""
        if wanted.shape[1] == 0:
            return self
        return replace(self, valid=self.valid & wanted.gather(1, self.target))

    def by_tube(self, values: Tensor, num_frames: int) -> Tensor:
        """(M, P) values of pairs that repeat in every frame of a clip -> (M / T, T * P)."""
        frame, slot, _, _ = self.flat()
        tube = frame // num_frames * self.query.shape[1] + slot
        return values[tube.argsort(stable=True)].reshape(-1, num_frames * values.shape[-1])

    def slot_of(self, rows: Tensor, num_rows: int) -> Tensor:
        """Which pair a target belongs to.

        Args:
            rows: (F, ...) int64 target rows, -1 for none.
            num_rows: N.

        Returns:
            (F, ...) int64 in 0..R-1, -1 where the row is -1 or has no query.
        """
        frame, slot, _, row = self.flat()
        # The last column stands for "no row", and is where an index of -1 leads.
        table = rows.new_full((len(rows), num_rows + 1), -1)
        table[frame, row] = slot
        return table.gather(1, (rows % (num_rows + 1)).flatten(1)).view(rows.shape)


def paired_logits(embeds: Tensor, features: Tensor, pairs: Pairs) -> Tensor:
    """Dot products of the paired queries' embeddings with the features of their frame.

    Args:
        embeds: (B, T, Q, C).
        features: (B, T, C, h, w).
        pairs: R pairs in each of F = B * T frames.

    Returns:
        (F, R, h, w), at least float32; meaningless where a pair is padding.
    """
    embeds = embeds.flatten(0, 1)
    chosen = embeds.gather(1, pairs.query.unsqueeze(-1).expand(-1, -1, embeds.shape[-1]))
    logits = dot_products(chosen, features.flatten(0, 1).flatten(2))
    return logits.unflatten(-1, features.shape[-2:])
