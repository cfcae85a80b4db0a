"""Panoptic fusion of tracked queries, per frame (streams) or per clip (published numbers)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from dvps_d2.structures import Clip, PanopticTube, Segment, TrackedQueries

from .assembly import (
    Candidates,
    Claims,
    accept,
    claim_resized,
    class_probs,
    select_candidates,
)
from .depth_map import compose_depth
from .identities import IdentityBook
from .products import products, to_wide
from .resize import Size


@dataclass(frozen=True)
class FusionSettings:
    """What both scopes share.

    Attributes:
        thing_ids: contiguous class ids that are countable.
        score_threshold: a query needs a larger class probability to become a segment.
        overlap_threshold: smallest share of its own mask that a segment must keep.
        class_memory: frames over which a track's class logits are averaged (running mean); 0
            means all frames so far.
        depth: logits -> metres, or None for plain VPS.
        depth_upsampling: from the mask grid to the output, see
            :func:`dvps_d2.panoptic.depth_map.compose_depth`.
    """

    thing_ids: frozenset[int]
    score_threshold: float = 0.8
    overlap_threshold: float = 0.8
    class_memory: int = 0
    depth: Callable[[Tensor], Tensor] | None = None
    depth_upsampling: str = "metres"


class PanopticFusion(Protocol):
    """Tracked queries of one video -> panoptic tubes, window after window."""

    def __call__(
        self, tracks: TrackedQueries, clip: Clip, state: Any
    ) -> tuple[PanopticTube | None, Any]:
        """Fuse a window; None when nothing can be said before the video ends."""
        ...

    def finish(self, state: Any) -> Iterator[PanopticTube]:
        """What is left to say at the end of the video, lazily, frame by frame."""
        ...


@dataclass(frozen=True, eq=False)
class ClassMean:
    """Running mean of class logits.

    Attributes:
        logits: (Q, K+1) mean so far.
        frames: how many frames it stands for.
    """

    logits: Tensor
    frames: int

    @staticmethod
    def update(mean: ClassMean | None, logits: Tensor, memory: int) -> ClassMean:
        """Add one frame of (Q, K+1) logits; ``memory`` > 0 limits the weight of the past."""
        if mean is None:
            return ClassMean(logits, 1)
        frames = mean.frames + 1
        weight = min(frames, memory) if memory > 0 else frames
        return ClassMean(mean.logits + (logits - mean.logits) / weight, frames)


@dataclass(frozen=True, eq=False)
class FrameFusionState:
    """Memory of :class:`FrameFusion`: class means (of both opinions) and the ids given so far."""

    classes: ClassMean | None = None
    second: ClassMean | None = None
    book: IdentityBook = field(default_factory=IdentityBook)


class FrameFusion:
    """Fuse each frame by itself, with a running mean of every track's class.

    Exact under any split of the video into windows, in memory that does not grow.
    """

    def __init__(self, settings: FusionSettings) -> None:
        self.settings = settings

    def __call__(
        self, tracks: TrackedQueries, clip: Clip, state: FrameFusionState | None
    ) -> tuple[PanopticTube, FrameFusionState]:
        """Fuse the T frames of one window (B = 1).

        Raises:
            ValueError: more than one clip.
        """
        sizes = _sizes(tracks, clip)
        state = state or FrameFusionState()
        frames = []
        for t in range(tracks.num_frames):
            frame = tracks.select_frames(slice(t, t + 1))
            classes, second = (
                mean if logits is None else self._average(mean, logits)
                for mean, logits in (
                    (state.classes, frame.class_logits),
                    (state.second, frame.second_class_logits),
                )
            )
            probs = class_probs(classes.logits, None if second is None else second.logits)
            candidates = select_candidates(probs, self.settings.score_threshold)
            claims = _claim(frame, candidates, sizes)
            accepted = accept(
                claims.won, claims.mask_area, claims.kept, self.settings.overlap_threshold
            )
            tube, book = draw_frame(
                frame, candidates, claims, accepted, sizes, state.book, self.settings
            )
            state = FrameFusionState(classes, second, book)
            frames.append(tube)
        return _join(frames), state

    def _average(self, mean: ClassMean | None, logits: Tensor) -> ClassMean:
        return ClassMean.update(mean, to_wide(logits[0, 0]), self.settings.class_memory)

    def finish(self, state: FrameFusionState | None) -> Iterator[PanopticTube]:
        """Nothing is left: every frame was told when it came."""
        return iter(())


@dataclass(frozen=True, eq=False)
class ClipFusionState:
    """Memory of :class:`ClipFusion`: the windows so far, on the CPU."""

    windows: tuple[tuple[TrackedQueries, tuple[Size, Size, Size]], ...] = ()


class ClipFusion:
    """Fuse a whole video at once: areas and classes are those of tubes.

    The published protocol of query models: class logits averaged over all frames, areas counted
    over the whole tube, so that a segment is in or out for the whole video. It keeps the mask
    features and embeddings of all windows on the CPU and draws frame by frame at the end. At full
    resolution there is one frame, and of all others two bytes per pixel that say who owns it.
    """

    def __init__(self, settings: FusionSettings) -> None:
        self.settings = settings

    def __call__(
        self, tracks: TrackedQueries, clip: Clip, state: ClipFusionState | None
    ) -> tuple[None, ClipFusionState]:
        """Remember one window (B = 1)."""
        sizes = _sizes(tracks, clip)
        state = state or ClipFusionState()
        kept = tracks.to("cpu")
        kept = replace(kept, track_ids=kept.track_ids.cpu())
        return None, ClipFusionState((*state.windows, (kept, sizes)))

    def finish(self, state: ClipFusionState | None) -> Iterator[PanopticTube]:
        """Draw the video, one tube of one frame at a time."""
        if state is None or not state.windows:
            return
        windows = [window for window, _ in state.windows]
        opinions = [mean_over_time([window.class_logits for window in windows])]
        if windows[0].second_class_logits is not None:
            opinions.append(mean_over_time([window.second_class_logits for window in windows]))
        candidates = select_candidates(class_probs(*opinions), self.settings.score_threshold)
        claims = [_claim(frame, candidates, sizes) for frame, sizes in clip_frames(state)]
        accepted = accept(
            won=torch.stack([claim.won for claim in claims]).sum(dim=0),
            mask_area=torch.stack([claim.mask_area for claim in claims]).sum(dim=0),
            kept=torch.stack([claim.kept for claim in claims]).sum(dim=0),
            overlap_threshold=self.settings.overlap_threshold,
        )
        book = IdentityBook()
        for (frame, sizes), claim in zip(clip_frames(state), claims, strict=True):
            tube, book = draw_frame(frame, candidates, claim, accepted, sizes, book, self.settings)
            yield tube


def mean_over_time(logits: list[Tensor]) -> Tensor:
    """(1, T, Q, K+1) of every window -> (Q, K+1)."""
    return torch.cat([to_wide(window[0]) for window in logits]).mean(dim=0)


def clip_frames(
    state: ClipFusionState,
) -> Iterator[tuple[TrackedQueries, tuple[Size, Size, Size]]]:
    for window, sizes in state.windows:
        for t in range(window.num_frames):
            yield window.select_frames(slice(t, t + 1)), sizes


def _claim(frame: TrackedQueries, candidates: Candidates, sizes: tuple[Size, Size, Size]) -> Claims:
    """Let the candidates compete for the pixels of one frame at output size."""
    logits = products(frame.mask_embeds[0, 0, candidates.queries], frame.mask_features[0, 0])
    return claim_resized(candidates.scores, logits.unsqueeze(1), *sizes)


def draw_frame(
    frame: TrackedQueries,
    candidates: Candidates,
    claims: Claims,
    accepted: Tensor,
    sizes: tuple[Size, Size, Size],
    book: IdentityBook,
    settings: FusionSettings,
) -> tuple[PanopticTube, IdentityBook]:
    """Paint the accepted candidates of one frame, and read the depth of each in its own pixels."""
    names, book, segments = _name(frame, candidates, accepted, book, settings)
    place = claims.owner.int() + 1  # 0 for nobody
    depth = None
    if settings.depth is not None and frame.has_depth:
        numbers = torch.arange(len(candidates), device=place.device)
        owner = _look_up(torch.where(accepted, numbers, -1), place, nobody=-1)
        depth = compose_depth(
            frame, candidates.queries, owner, sizes, settings.depth, settings.depth_upsampling
        )
    seen = set(names[accepted & (claims.kept > 0)].tolist())
    visible = {number: segment for number, segment in segments.items() if number in seen}
    return PanopticTube(_look_up(names, place, nobody=0), visible, depth), book


def _look_up(table: Tensor, place: Tensor, nobody: int) -> Tensor:
    """``table[place - 1]``, and ``nobody`` where place is 0."""
    table = torch.cat([table.new_full((1,), nobody), table])
    return table.index_select(0, place.flatten()).view(place.shape)


def _name(
    frame: TrackedQueries,
    candidates: Candidates,
    accepted: Tensor,
    book: IdentityBook,
    settings: FusionSettings,
) -> tuple[Tensor, IdentityBook, dict[int, Segment]]:
    """Output ids of the accepted candidates as a (N,) int32 table, 0 for the others."""
    places = torch.nonzero(accepted).flatten().tolist()
    queries = candidates.queries[accepted]
    tracks = frame.track_ids[0, queries].tolist()
    class_ids = candidates.class_ids[accepted].tolist()
    scores = candidates.scores[accepted].tolist()
    ids, book = book.assign(tracks, class_ids, settings.thing_ids)
    table = torch.zeros(len(candidates), dtype=torch.int32, device=frame.mask_features.device)
    table[places] = torch.tensor(ids, dtype=torch.int32, device=table.device)
    segments: dict[int, Segment] = {}
    for number, class_id, score in zip(ids, class_ids, scores, strict=True):
        if number in segments:  # several queries draw one stuff class
            score = max(score, segments[number].score)
        segments[number] = Segment(class_id, class_id in settings.thing_ids, score)
    return table, book, segments


def _join(frames: list[PanopticTube]) -> PanopticTube:
    segments: dict[int, Segment] = {}
    for frame in frames:
        segments.update(frame.segments)
    has_depth = all(frame.depth is not None for frame in frames)
    return PanopticTube(
        ids=torch.cat([frame.ids for frame in frames]),
        segments=segments,
        depth=torch.cat([frame.depth for frame in frames]) if has_depth else None,
    )


def _sizes(tracks: TrackedQueries, clip: Clip) -> tuple[Size, Size, Size]:
    if tracks.class_logits.shape[0] != 1 or clip.batch_size != 1:
        raise ValueError(
            f"fusion follows one video at a time, got a batch of {tracks.class_logits.shape[0]}; "
            f"call it once per clip"
        )
    return clip.padded_size, clip.valid_sizes[0], clip.original_sizes[0]
