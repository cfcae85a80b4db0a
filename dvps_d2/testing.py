"""Toy data for tests and examples: tubes drawn as text, queries that see what was drawn.

A drawing is one string per frame with rows split at spaces; every letter is one segment, ``.`` is
void::

    draw_ids(["AAB AAB", "AAB ABB"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .layers import CompactResNet
from .panoptic import FrameFusion, FusionSettings
from .pipeline import DVPSPipeline
from .segmenter import DepthDecoder, MaskedAttentionDecoder, PixelDecoder, QuerySegmenter
from .structures import Clip, ClipTargets, FrameQueries
from .tracker import QueryMatching

VOID = "."


def draw_ids(frames: Sequence[str], order: str | None = None) -> Tensor:
    """Drawings -> (T, H, W) int64 ids; letters count from 1 in ``order``, void is 0.

    Args:
        frames: one drawing per frame.
        order: the letters in the order of their ids; alphabetical by default.

    Raises:
        ValueError: rows or frames of different size.
    """
    letters = order or "".join(sorted({c for frame in frames for c in frame} - {VOID, " "}))
    values = {letter: index + 1 for index, letter in enumerate(letters)} | {VOID: 0}
    rows = [frame.split() for frame in frames]
    sizes = {(len(frame), len(row)) for frame in rows for row in frame}
    if len(sizes) != 1:
        raise ValueError(f"all rows of all frames must have one size, got {sorted(sizes)}")
    return torch.tensor([[[values[c] for c in row] for row in frame] for frame in rows])


def draw_targets(
    frames: Sequence[str], classes: Mapping[str, int], depth: Tensor | None = None
) -> ClipTargets:
    """Ground truth from drawings; ``classes`` maps letters to class ids."""
    letters = sorted(classes)
    ids = draw_ids(frames, "".join(letters))
    numbers = torch.arange(1, len(letters) + 1)
    return ClipTargets(
        class_ids=torch.tensor([classes[letter] for letter in letters]),
        track_ids=numbers,
        masks=ids[None] == numbers[:, None, None, None],
        depth=depth,
    )


def draw_queries(
    frames: Sequence[str],
    classes: Sequence[Mapping[str, int]] | Mapping[str, int],
    *,
    num_classes: int,
    slots: Sequence[str] | None = None,
    sureness: float = 10.0,
    metres: Mapping[str, float] | None = None,
) -> FrameQueries:
    """Queries whose masks are exactly what was drawn (B = 1).

    Mask features are one channel per letter, so a query that carries a letter's unit vector has
    its mask; every letter has an embedding of its own, the same in all frames.

    Args:
        frames: one drawing per frame; letters are segments.
        classes: letter -> class id, for all frames or per frame; letters without class are
            "no object".
        num_classes: K.
        slots: per frame, the letter of each query slot (a string); the sorted letters by default.
        sureness: size of class and mask logits.
        metres: letter -> depth logit (the tests' activation is the identity); adds depth.

    Returns:
        Queries with (h, w) = the drawing's size.
    """
    letters = sorted({c for frame in frames for c in frame} - {VOID, " "})
    ids = draw_ids(frames, "".join(letters))  # (T, H, W)
    slots = slots or ["".join(letters)] * len(frames)
    per_frame = [classes] * len(frames) if isinstance(classes, Mapping) else list(classes)
    kinds = torch.tensor(
        [
            [known.get(c, num_classes) for c in places]
            for known, places in zip(per_frame, slots, strict=True)
        ]
    )
    place = torch.tensor([[letters.index(c) for c in places] for places in slots])
    unit = torch.eye(len(letters))[place]  # (T, Q, letters)
    # One channel per letter and one that is always on, to push the other pixels below zero.
    inside = (ids[:, None] == torch.arange(1, len(letters) + 1)[:, None, None]).float()
    features = torch.cat([inside, torch.ones_like(inside[:, :1])], dim=1)
    embeds = torch.cat([2 * unit, -torch.ones_like(unit[..., :1])], dim=-1) * sureness
    depth_embeds = global_depth = None
    if metres is not None:
        values = torch.tensor([[metres[c] for c in places] for places in slots])
        depth_embeds = torch.zeros_like(embeds)
        depth_embeds[..., -1] = values
        global_depth = torch.zeros(len(frames), features.shape[1])
        global_depth[:, -1] = metres[VOID]
    return FrameQueries(
        class_logits=sureness * torch.eye(num_classes + 1)[kinds][None],
        mask_features=features[None],
        mask_embeds=embeds[None],
        query_embeds=unit[None],
        depth_embeds=None if depth_embeds is None else depth_embeds[None],
        global_depth=None if global_depth is None else global_depth[None],
    )


def clip_of(num_frames: int, height: int, width: int, **kwargs: Any) -> Clip:
    """A clip of grey frames, for tests that look at the queries only."""
    frames = [torch.zeros(3, height, width) for _ in range(num_frames)]
    return Clip.from_frames([frames], divisibility=1, **kwargs)


def random_clip(
    num_frames: int, size: tuple[int, int] = (64, 64), *, batch: int = 1, seed: int = 0
) -> Clip:
    """Noise frames in float64."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, num_frames, 3, *size, dtype=torch.float64, generator=generator)
    return Clip.from_frames([list(clip) for clip in images], divisibility=32)


def tiny_pipeline(*, depth: bool = True, num_classes: int = 4, seed: int = 0) -> DVPSPipeline:
    """A whole MinDVPS in float64 that runs in milliseconds, with random weights, in eval mode."""
    torch.manual_seed(seed)
    backbone = CompactResNet(width=16, blocks=(1, 1, 1, 1))
    shapes = backbone.output_shapes()
    sizes: dict[str, Any] = {"hidden_dim": 32, "num_queries": 6, "num_layers": 3, "num_heads": 2}
    segmenter = QuerySegmenter(
        backbone,
        PixelDecoder(
            {name: channels for name, (channels, _) in shapes.items()},
            {name: stride for name, (_, stride) in shapes.items()},
            hidden_dim=32,
            mask_dim=32,
            encoder_layers=1,
            num_heads=2,
            feedforward_dim=32,
            num_points=2,
        ),
        MaskedAttentionDecoder(num_classes=num_classes, feedforward_dim=32, mask_dim=32, **sizes),
        DepthDecoder(feedforward_dim=32, mask_dim=32, **sizes) if depth else None,
    )
    settings = FusionSettings(
        thing_ids=frozenset({0, 1}),
        score_threshold=0.0,
        overlap_threshold=0.0,
        depth=torch.sigmoid if depth else None,
    )
    return DVPSPipeline(segmenter, QueryMatching(), fusion=FrameFusion(settings)).double().eval()
