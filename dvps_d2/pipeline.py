"""The stages in one readable forward.

frames -> segmenter -> tracker -> (refiner) -> panoptic fusion -> PanopticTube

Queries flow through :class:`DVPSPipeline`, boxes through :class:`BoxPipeline`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .layers.flow import FramePair
from .panoptic.box_fusion import BoxFusion
from .panoptic.query_fusion import PanopticFusion
from .refiner import RECOMPUTE, Refiner
from .segmenter.boxes import BoxSegmenter, BoxStep
from .structures import (
    BoxTargets,
    Clip,
    DenoisingQueries,
    PanopticTube,
    RecalledQueries,
    SegmenterOutput,
    StreamState,
    TrackedQueries,
)
from .tracker import BoxTracker, RoiTracker, Tracker


class Segmenter(Protocol):
    """Frames -> queries; the state is None for segmenters without memory."""

    def __call__(
        self, clip: Clip, state: Any, denoising: DenoisingQueries | None = None
    ) -> tuple[SegmenterOutput, Any]:
        """Segment the frames of one window."""
        ...


@dataclass(frozen=True, eq=False)
class RawOutput:
    """Everything before panoptic fusion; what training needs.

    Attributes:
        segmented: the segmenter's queries, auxiliary layers included, in decoder order.
        tracks: the same queries in track order, refined if there is a refiner; None while a
            refiner waits for the end of the video.
    """

    segmented: SegmenterOutput
    tracks: TrackedQueries | None


class DVPSPipeline(nn.Module):
    """A video (depth-aware) panoptic segmenter from ready-made stages.

    Args:
        segmenter: stage 1.
        tracker: stage 2.
        refiner: stage 3, or None.
        fusion: stage 4.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        tracker: Tracker,
        refiner: Refiner | None = None,
        *,
        fusion: PanopticFusion,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.tracker = tracker
        self.refiner = refiner
        self.fusion = fusion

    def raw(
        self, clip: Clip, state: StreamState, denoising: DenoisingQueries | None = None
    ) -> tuple[RawOutput, StreamState]:
        """Run the learned stages.

        Args:
            clip: B clips of T frames.
            state: memory of the window before; ``StreamState()`` starts videos.
            denoising: noised ground truth to restore, in training only.

        Returns:
            Raw output, and the state with the fusion's part unchanged.
        """
        segmented, seen = self.segmenter(clip, state.segmenter, denoising)
        tracks, identities = self.tracker(segmented.queries, state.tracker)
        refined = state.refiner
        if self.refiner is not None:
            tracks, refined = self.refiner(tracks, clip, state.refiner)
        return RawOutput(segmented, tracks), StreamState(seen, identities, refined, state.fusion)

    def step(self, clip: Clip, state: StreamState) -> tuple[PanopticTube | None, StreamState]:
        """Run one window of one video.

        Args:
            clip: one clip (B = 1).
            state: memory of the window before; ``StreamState()`` starts a video. A video cut
                anywhere and resumed gives the same tubes.

        Returns:
            The tube of this window, or None where refiner or fusion wait for the end of the
            video; and the state to pass with the next window.
        """
        output, state = self.raw(clip, state)
        if output.tracks is None:
            return None, state
        tube, fused = self.fusion(output.tracks, clip, state.fusion)
        return tube, StreamState(state.segmenter, state.tracker, state.refiner, fused)

    def refined(self, state: Any) -> Iterator[tuple[TrackedQueries, Clip]]:
        """The windows that the refiner waited for, refined, in order; none without a refiner.

        Args:
            state: the refiner's.
        """
        if self.refiner is None:
            return
        recall = _Recall(self.segmenter)
        waiting = self.refiner.finish(state)
        del state
        for tracks, clip in waiting:
            if getattr(self.refiner, "feature_store", None) == RECOMPUTE:
                tracks = RecalledQueries.of(tracks, partial(recall, clip))
            yield tracks, clip

    def finish(self, state: StreamState) -> Generator[PanopticTube, None, Any]:
        """What is left to say once a video has ended, lazily in frame order.

        The generator returns what the fusion says of the video as a whole, or None.
        """
        refined, fused = state.refiner, state.fusion
        del state  # so that what has been used up can be dropped
        waiting = self.refined(refined)
        del refined
        for tracks, clip in waiting:
            tube, fused = self.fusion(tracks, clip, fused)
            if tube is not None:
                yield tube
        return (yield from self.fusion.finish(fused))


class _Recall:
    """Mask features of frames that were seen before; those of the last window are at hand."""

    def __init__(self, segmenter: Any) -> None:
        self._segmenter = segmenter
        self._clip: Clip | None = None
        self._features: Tensor | None = None

    @torch.no_grad()
    def __call__(self, clip: Clip) -> Tensor:
        if self._clip is not clip:
            weight = next(self._segmenter.parameters())
            self._features = self._segmenter.mask_features(clip.to(weight.device, weight.dtype))
            self._clip = clip
        return self._features


class BoxPipeline(nn.Module):
    """A video panoptic segmenter that detects boxes, from ready-made stages.

    Args:
        segmenter: stage 1.
        tracker: stage 2.
        fusion: stage 4.
    """

    def __init__(self, segmenter: BoxSegmenter, tracker: nn.Module, *, fusion: BoxFusion) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.tracker: BoxTracker = tracker
        self.fusion = fusion

    def step(self, clip: Clip, state: StreamState) -> tuple[PanopticTube, StreamState]:
        """Run one window of one video.

        Args:
            clip: one clip (B = 1).
            state: memory of the window before; ``StreamState()`` starts a video. A video cut
                anywhere and resumed gives the same tubes.
        """
        frames, seen = self.segmenter(clip, state.segmenter)
        tracks, identities = self.tracker(frames, clip, state.tracker)
        tube, fused = self.fusion(tracks, clip, state.fusion)
        return tube, StreamState(seen, identities, None, fused)

    def finish(self, state: StreamState) -> Generator[PanopticTube, None, Any]:
        """Nothing is left: every frame was told when it came."""
        return (yield from self.fusion.finish(state.fusion))

    def supervise(
        self,
        clip: Clip,
        labels: Sequence[Sequence[BoxTargets]],
        roles: Sequence[tuple[int, int]],
    ) -> list[BoxStep]:
        """Run what training needs.

        Args:
            clip: B clips of T frames.
            labels: per frame of the clips, per clip.
            roles: places of (key frame, reference frame) in the clips, one step each.
        """
        segmenter, (batch, count) = self.segmenter, clip.images.shape[:2]
        together = segmenter.backbone(clip.images.flatten(0, 1))
        pyramids = [
            {name: level.unflatten(0, (batch, count))[:, t] for name, level in together.items()}
            for t in range(count)
        ]
        steps = []
        for key, reference in roles:
            gathered = flow = None
            if segmenter.fuses:
                gathered = segmenter.gather(pyramids[reference])
                pairs = [
                    FramePair(video_id, ids[key], ids[reference])
                    for video_id, ids in zip(clip.video_ids, clip.frame_ids, strict=True)
                ]
                images = clip.images
                flow = segmenter.find_flow(images[:, key], images[:, reference], pairs)
            fused = segmenter.fuse(pyramids[key], gathered, flow)
            frames = segmenter.supervise(pyramids[key], fused, clip.valid_sizes, labels[key])
            embeds = reference_embeds = None
            if isinstance(self.tracker, RoiTracker):
                boxes = [sample["boxes"] for sample in frames.samples]
                embeds = self.tracker.embed(frames.tracking_pyramid, boxes)
                # The other frame as it is: nothing of the key frame may leak into it.
                boxes = [target.boxes for target in labels[reference]]
                reference_embeds = self.tracker.embed(pyramids[reference], boxes)
            steps.append(BoxStep(key, reference, frames, embeds, reference_embeds))
        return steps
