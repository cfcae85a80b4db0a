"""A whole video's tracks, kept where there is room for them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dvps_d2.structures import Clip, TrackedQueries

# How mask features, by far the largest part, are kept: as they are or in half precision in main
# memory, in half precision in a temporary file, or not at all: then the frames wait in half
# precision, a fifth of the features' size, and backbone and pixel decoder see them again.
RECOMPUTE = "recompute"
FEATURE_STORES = ("full", "half", "disk", RECOMPUTE)


@dataclass(frozen=True, eq=False)
class RefinerMemory:
    """The windows of a video so far, on the CPU.

    Attributes:
        windows: tracks and the clip of every window, in order. The clip is an outline (no pixels)
            unless features are to be recomputed from it.
    """

    windows: tuple[tuple[TrackedQueries, Clip], ...] = ()

    def add(self, tracks: TrackedQueries, clip: Clip, store: str) -> RefinerMemory:
        """The memory with one more window; ``store`` is one of :data:`FEATURE_STORES`."""
        features = keep_features(tracks.mask_features.detach(), store)
        kept = replace(tracks, mask_features=features).to("cpu")
        kept = replace(kept, track_ids=kept.track_ids.cpu())
        seen = clip.to("cpu", torch.float16) if store == RECOMPUTE else clip.outline()
        return RefinerMemory((*self.windows, (kept, seen)))


def keep_features(features: Tensor, store: str) -> Tensor:
    """Bring mask features to the CPU.

    Args:
        features: any shape, float.
        store: "full" keeps the type; "half" is float16 in memory; "disk" is float16 in an unnamed
            temporary file that lives as long as the tensor (the system loads and drops its pages
            as it needs). "recompute" keeps the shape alone: NaN everywhere, in no memory.

    Raises:
        ValueError: another store.
    """
    if store not in FEATURE_STORES:
        raise ValueError(f"store must be one of {', '.join(FEATURE_STORES)}, got {store!r}")
    if store == RECOMPUTE:
        return torch.full((), torch.nan, dtype=features.dtype).expand(features.shape)
    if store == "full":
        return features.cpu()
    small = features.to("cpu", torch.float16)
    if store == "half":
        return small
    with tempfile.NamedTemporaryFile(prefix="dvps_features_") as file:
        mapped = torch.from_file(
            file.name, shared=True, size=small.numel(), dtype=small.dtype
        ).view_as(small)
        return mapped.copy_(small)
