"""Panoptic tubes, semantic maps and instances from one pass of the model.

All three are readings of the same tracked queries: a query has class probabilities and a mask in
every frame. The semantic map of a frame weighs every query's classes with its mask; an instance is
a (query, class) pair with the query's mask in all frames, and instances may overlap.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from pycocotools import mask as run_lengths
from torch import Tensor

from dvps_d2.structures import Clip, PanopticTube, TrackedQueries

from .assembly import class_probs
from .products import products, to_wide
from .query_fusion import ClassMean, ClipFusion, FrameFusion, clip_frames, mean_over_time
from .resize import Size, mask_probs, resize

Sizes = tuple[Size, Size, Size]  # padded, valid, output

# What is at output size at a time: masks that are encoded, rows of class scores.
MASKS_AT_ONCE = 16
ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """Running means of the class logits of a video, of both opinions.

    Attributes:
        first: of the tracks.
        second: of the second opinion, None without one.
    """

    first: ClassMean | None = None
    second: ClassMean | None = None

    def add(self, frame: TrackedQueries, memory: int) -> ClassMeans:
        """With one more frame; see :meth:`ClassMean.update`."""
        second = self.second
        if frame.second_class_logits is not None:
            second = ClassMean.update(second, to_wide(frame.second_class_logits[0, 0]), memory)
        first = ClassMean.update(self.first, to_wide(frame.class_logits[0, 0]), memory)
        return ClassMeans(first, second)

    def probs(self) -> Tensor:
        """(Q, K+1), see :func:`class_probs`."""
        assert self.first is not None  # a frame was added
        return class_probs(self.first.logits, None if self.second is None else self.second.logits)


@dataclass(frozen=True, eq=False)
class TaskState:
    """Memory of :class:`TaskFusion`.

    Attributes:
        panoptic: that of the panoptic fusion.
        recent: class means over the frames that ``class_memory`` allows, for semantic maps.
        whole: class means over all frames, for instances.
        track_ids: (Q,) identity of every query.
        masks: per frame, the run-length coded masks of all queries; some kilobytes a frame.
    """

    panoptic: Any = None
    recent: ClassMeans = field(default_factory=ClassMeans)
    whole: ClassMeans = field(default_factory=ClassMeans)
    track_ids: Tensor | None = None
    masks: tuple[tuple[dict[str, Any], ...], ...] = ()


class TaskFusion:
    """Panoptic fusion that also reads semantic maps and instances from the tracks.

    In scope "frame" a semantic map takes the classes known so far and instances are told at the
    end of the video; in scope "clip" both take the classes of the whole video. Only one frame is
    at output size at a time.

    Args:
        panoptic: the fusion of panoptic tubes; its scope is that of semantic maps too.
        num_classes: K.
        draw_panoptic: False leaves the tubes empty.
        draw_semantic: give a semantic map of every frame.
        max_instances: how many instances a video has at most; 0 looks for none.

    Source: Cheng et al., "Mask2Former", 2022 (semantic maps); Huang et al., "MinVIS", 2022, and
    Zhang et al., "DVIS", 2023 (instances: the surest pairs of query and class). Differs from them
    by: only things are instances, so that one model can serve all tasks.
    """

    def __init__(
        self,
        panoptic: FrameFusion | ClipFusion,
        num_classes: int,
        *,
        draw_panoptic: bool = True,
        draw_semantic: bool = False,
        max_instances: int = 0,
    ) -> None:
        if not (draw_panoptic or draw_semantic or max_instances):
            raise ValueError("all tasks are off: switch on panoptic, semantic or instances")
        self.panoptic = panoptic
        self.settings = panoptic.settings
        self.num_classes = num_classes
        self.draw_panoptic = draw_panoptic
        self.draw_semantic = draw_semantic
        self.max_instances = max_instances

    def __call__(
        self, tracks: TrackedQueries, clip: Clip, state: TaskState | None
    ) -> tuple[PanopticTube | None, TaskState]:
        """Fuse one window; see :class:`FrameFusion` and :class:`ClipFusion`."""
        state = state or TaskState()
        tube = None
        if self.draw_panoptic or isinstance(self.panoptic, ClipFusion):
            tube, kept = self.panoptic(tracks, clip, state.panoptic)
            state = replace(state, panoptic=kept)
        if isinstance(self.panoptic, ClipFusion):
            return None, state
        sizes = (clip.padded_size, clip.valid_sizes[0], clip.original_sizes[0])
        maps = []
        for t in range(tracks.num_frames):
            frame = tracks.select_frames(slice(t, t + 1))
            state = replace(state, recent=state.recent.add(frame, self.settings.class_memory))
            if self.draw_semantic:
                maps.append(semantic_map(frame, state.recent.probs(), sizes))
            if self.max_instances:
                state = self._remember(frame, sizes, state)
        return self._tube(tube, maps, tracks.num_frames, sizes), state

    def finish(
        self, state: TaskState | None
    ) -> Generator[PanopticTube, None, list[dict[str, Any]] | None]:
        """What is left to draw, frame by frame; the generator returns the instances, if wanted."""
        if state is None:
            return [] if self.max_instances else None
        if isinstance(self.panoptic, ClipFusion):
            return (yield from self._finish_clip(state.panoptic))
        if not self.max_instances:
            return None
        assert state.track_ids is not None
        probs = state.whole.probs()
        found = choose_instances(probs, self.settings.thing_ids, self.max_instances)
        return [
            describe_instance(pair, state.track_ids, [frame[pair[0]] for frame in state.masks])
            for pair in found
        ]

    def _finish_clip(
        self, video: Any
    ) -> Generator[PanopticTube, None, list[dict[str, Any]] | None]:
        opinions = [mean_over_time([window.class_logits for window, _ in video.windows])]
        if video.windows[0][0].second_class_logits is not None:
            second = [window.second_class_logits for window, _ in video.windows]
            opinions.append(mean_over_time(second))
        probs = class_probs(*opinions)
        found = choose_instances(probs, self.settings.thing_ids, self.max_instances)
        queries = torch.tensor(sorted({query for query, _, _ in found}), dtype=torch.int64)
        masks: dict[int, list[dict[str, Any]]] = {int(query): [] for query in queries}
        tubes = self.panoptic.finish(video) if self.draw_panoptic else None
        for frame, sizes in clip_frames(video):
            tube = None if tubes is None else next(tubes)
            maps = [semantic_map(frame, probs, sizes)] if self.draw_semantic else []
            for query, mask in zip(masks, encode_masks(frame, queries, sizes), strict=True):
                masks[query].append(mask)
            yield self._tube(tube, maps, 1, sizes)
        if not self.max_instances:
            return None
        track_ids = video.windows[0][0].track_ids[0]
        return [describe_instance(pair, track_ids, masks[pair[0]]) for pair in found]

    def _remember(self, frame: TrackedQueries, sizes: Sizes, state: TaskState) -> TaskState:
        queries = torch.arange(frame.num_queries, device=frame.class_logits.device)
        coded = tuple(encode_masks(frame, queries, sizes))
        return replace(
            state,
            whole=state.whole.add(frame, 0),
            track_ids=frame.track_ids[0].cpu(),
            masks=(*state.masks, coded),
        )

    def _tube(
        self, tube: PanopticTube | None, maps: Sequence[Tensor], frames: int, sizes: Sizes
    ) -> PanopticTube:
        if tube is None:
            tube = PanopticTube(torch.zeros((frames, *sizes[2]), dtype=torch.int32), {})
        return replace(tube, semantic=torch.stack(list(maps))) if maps else tube


def semantic_map(frame: TrackedQueries, probs: Tensor, sizes: Sizes) -> Tensor:
    """The best class of every pixel.

    Args:
        frame: one frame (B = T = 1).
        probs: (Q, K+1) class probabilities; "no object" weighs nothing.
        sizes: padded, valid and output size.

    Returns:
        (H, W) int32 class ids: the largest sum over queries of probability x mask.
    """
    logits = products(frame.mask_embeds[0, 0], frame.mask_features[0, 0])
    masks = mask_probs(logits, *sizes)  # (Q, H, W)
    weights = probs[:, :-1].to(masks)
    rows = [
        torch.einsum("qk,qhw->khw", weights, part).argmax(0)
        for part in masks.split(ROWS_AT_ONCE, dim=1)
    ]
    return torch.cat(rows).int()


def choose_instances(
    probs: Tensor, thing_ids: frozenset[int], count: int
) -> list[tuple[int, int, float]]:
    """The surest (query, class, probability), best first, of things alone.

    Args:
        probs: (Q, K+1) class probabilities of the video.
        thing_ids: classes that are countable.
        count: how many at most.
    """
    things = torch.tensor(sorted(thing_ids), dtype=torch.int64, device=probs.device)
    scores = probs[:, things].flatten()
    best = scores.topk(min(count, len(scores)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(p // len(things), int(things[p % len(things)]), score) for p, score in pairs]


def encode_masks(frame: TrackedQueries, queries: Tensor, sizes: Sizes) -> list[dict[str, Any]]:
    """Masks of one frame at output size, run-length coded as COCO does.

    A pixel belongs to a mask where its logit, resized twice, is positive.

    Args:
        frame: one frame (B = T = 1).
        queries: (N,) which ones.
        sizes: padded, valid and output size.
    """
    padded, valid, original = sizes
    coded: list[dict[str, Any]] = []
    for part in queries.split(MASKS_AT_ONCE):
        logits = products(frame.mask_embeds[0, 0, part], frame.mask_features[0, 0])
        full = resize(resize(logits, padded)[..., : valid[0], : valid[1]], original)
        inside = (full > 0).permute(1, 2, 0).byte().cpu().numpy()  # (H, W, N)
        coded += run_lengths.encode(np.asfortranarray(inside))
    return coded


def describe_instance(
    pair: tuple[int, int, float], track_ids: Tensor, masks: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """An instance in the form of YouTube-VIS results (its ``video_id`` is the video's).

    Args:
        pair: query, class, probability.
        track_ids: (Q,).
        masks: one per frame.
    """
    query, class_id, score = pair
    segmentations = [{**mask, "counts": mask["counts"].decode("ascii")} for mask in masks]
    return {
        "category_id": class_id,
        "score": score,
        "track_id": int(track_ids[query]),
        "segmentations": segmentations,
    }
