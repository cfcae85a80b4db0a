"""Panoptic fusion of one video that was segmented and tracked several times.

Source: test-time augmentation of Zhang et al., PVUW 2023 (720 and 800 rows, +1.1 VPQ). The paper
does not say how results are merged; here tracks are matched by the overlap of their tubes, class
probabilities and masks are averaged, and everything is merged once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dvps_d2.structures import PanopticTube, TrackedQueries

from .assembly import accept, claim_pixels, class_probs, select_candidates
from .depth_map import compose_depth
from .identities import IdentityBook
from .products import products, to_wide
from .query_fusion import (
    ClipFusionState,
    FusionSettings,
    clip_frames,
    draw_frame,
    mean_over_time,
)
from .resize import Size, mask_probs

# Tubes of different views are compared on this grid over the image, whatever its size.
MATCH_GRID = (48, 80)


@dataclass(frozen=True, eq=False)
class View:
    """A video as one pass over it saw it.

    Attributes:
        video: all windows of the pass.
        flipped: whether its frames were mirrored (left and right).
    """

    video: ClipFusionState
    flipped: bool = False

    def frames(self) -> Iterator[tuple[TrackedQueries, tuple[Size, Size, Size]]]:
        """Tracks of one frame, and the sizes of its window, frame by frame."""
        return clip_frames(self.video)

    def probs(self) -> Tensor:
        """(Q, K+1) class probabilities of the tracks over the whole video."""
        windows = [window for window, _ in self.video.windows]
        first = mean_over_time([window.class_logits for window in windows])
        if windows[0].second_class_logits is None:
            return class_probs(first)
        return class_probs(first, mean_over_time([w.second_class_logits for w in windows]))

    def turned(self, maps: Tensor) -> Tensor:
        """Maps of this view the way round that the video is, and back."""
        return maps.flip(-1) if self.flipped else maps


def fuse_views(views: Sequence[View], settings: FusionSettings) -> Iterator[PanopticTube]:
    """Draw a video from several views of it, one tube of one frame at a time.

    With one view this is what :class:`dvps_d2.panoptic.ClipFusion` does.

    Args:
        views: passes over the same frames, wanted at the same output size; the first one says
            which tracks there are.
        settings: as for one view.

    Raises:
        ValueError: no view, or views of different frames or output sizes.
    """
    _check_alike(views)
    if not views[0].video.windows:
        return
    orders = [match_views(views[0], view) for view in views]
    probs = [view.probs()[order] for view, order in zip(views, orders, strict=True)]
    candidates = select_candidates(torch.stack(probs).mean(dim=0), settings.score_threshold)
    queries = [order[candidates.queries] for order in orders]
    areas = torch.zeros(3, len(candidates), dtype=torch.int64)
    for frames in _in_step(views):
        claims = claim_pixels(candidates.scores, _mean_masks(views, frames, queries))
        areas += torch.stack([claims.won, claims.mask_area, claims.kept])
    won, mask_area, kept = areas
    accepted = accept(won, mask_area, kept, settings.overlap_threshold)
    book = IdentityBook()
    plain = replace(settings, depth=None)
    for frames in _in_step(views):
        claims = claim_pixels(candidates.scores, _mean_masks(views, frames, queries))
        frame, sizes = frames[0]
        tube, book = draw_frame(frame, candidates, claims, accepted, sizes, book, plain)
        if settings.depth is not None and frame.has_depth:
            owner = torch.where(tube.ids > 0, claims.owner.long(), -1)
            tube = replace(tube, depth=_mean_depth(views, frames, queries, owner, settings))
        yield tube


def match_views(first: View, other: View) -> Tensor:
    """Which track of another view is the same object.

    Args:
        first: the view that names the tracks.
        other: a view with as many.

    Returns:
        (Q,) int64: place q is the track of ``other`` for track q of ``first``, by the assignment
        with the largest sum of overlaps (intersection over union of soft tubes).
    """
    count = first.video.windows[0][0].num_queries
    if other is first:
        return torch.arange(count)
    shared = torch.zeros(count, count)
    ours, theirs = torch.zeros(count), torch.zeros(count)
    for (frame, sizes), (seen, seen_sizes) in zip(first.frames(), other.frames(), strict=True):
        a = first.turned(_coarse_masks(frame, sizes)).flatten(1).float()
        b = other.turned(_coarse_masks(seen, seen_sizes)).flatten(1).float()
        shared += a @ b.T
        ours += a.sum(1)
        theirs += b.sum(1)
    union = ours[:, None] + theirs[None, :] - shared
    overlap = shared / union.clamp(min=torch.finfo(union.dtype).eps)
    return torch.from_numpy(linear_sum_assignment(overlap.numpy(), maximize=True)[1])


def _coarse_masks(frame: TrackedQueries, sizes: tuple[Size, Size, Size]) -> Tensor:
    """(Q, *MATCH_GRID) probabilities over the part of a frame that is image."""
    padded, valid, _ = sizes
    features = to_wide(frame.mask_features[0, 0])
    height, width = (
        max(1, round(cells * inside / whole))
        for cells, inside, whole in zip(features.shape[-2:], valid, padded, strict=True)
    )
    # Masks are linear in the features, so resizing these first gives the same masks for less.
    features = F.interpolate(features[None, :, :height, :width], size=MATCH_GRID, mode="bilinear")
    return products(frame.mask_embeds[0, 0], features[0]).sigmoid()


def _in_step(
    views: Sequence[View],
) -> Iterator[tuple[tuple[TrackedQueries, tuple[Size, Size, Size]], ...]]:
    return zip(*(view.frames() for view in views), strict=True)


def _mean_masks(views: Sequence[View], frames: Sequence, queries: Sequence[Tensor]) -> Tensor:
    """(N, 1, H, W) mask probabilities of the candidates, averaged over the views."""
    masks = (
        view.turned(
            mask_probs(products(frame.mask_embeds[0, 0, chosen], frame.mask_features[0, 0]), *sizes)
        )
        for view, (frame, sizes), chosen in zip(views, frames, queries, strict=True)
    )
    return (functools.reduce(torch.add, masks) / len(views)).unsqueeze(1)


def _mean_depth(
    views: Sequence[View],
    frames: Sequence,
    queries: Sequence[Tensor],
    owner: Tensor,
    settings: FusionSettings,
) -> Tensor:
    """(1, H, W) metres, averaged over the views."""
    maps = [
        view.turned(
            compose_depth(
                frame,
                chosen,
                view.turned(owner),
                sizes,
                settings.depth,
                settings.depth_upsampling,
            )
        )
        for view, (frame, sizes), chosen in zip(views, frames, queries, strict=True)
    ]
    return torch.stack(maps).mean(dim=0)


def _check_alike(views: Sequence[View]) -> None:
    if not views:
        raise ValueError("views are empty: there is nothing to fuse")
    frames = [sum(window.num_frames for window, _ in view.video.windows) for view in views]
    wanted = [{sizes[2] for _, sizes in view.video.windows} for view in views]
    if len(set(frames)) > 1 or any(size != wanted[0] for size in wanted):
        raise ValueError(
            f"views must show the same frames at one output size, got {frames} frames of "
            f"{[sorted(size) for size in wanted]}"
        )
