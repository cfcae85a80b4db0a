"""Multi-scale and flipped testing of any query system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvps_d2.d2.boundary import image_as_window, is_image_item, make_clip
from dvps_d2.d2.meta_arch import VideoMetaArch
from dvps_d2.d2.meta_arch.streams import StreamBook
from dvps_d2.panoptic import ClipFusion, FrameFusion, View, fuse_views
from dvps_d2.structures import PanopticTube, StreamState


class MultiScaleTesting(nn.Module):
    """Run a model on every video at several sizes, and merge what it says.

    The published result of a video is drawn when it has ended, from all views at once; until then
    every view keeps its mask features on the CPU in half precision. Frames are resized from what
    the loader gives, so ``INPUT.MIN_SIZE_TEST`` should be the largest of the sizes.

    Args:
        model: a query system in eval mode.
        short_edges: length of the shorter side of a frame, one per view.
        max_size: the longer side is never longer.
        flip: see every size mirrored too.

    Raises:
        ValueError: no size is given.
        TypeError: the model is no query system.
    """

    def __init__(
        self,
        model: VideoMetaArch,
        short_edges: Sequence[int],
        *,
        max_size: int = 4000,
        flip: bool = False,
    ) -> None:
        super().__init__()
        if not short_edges:
            raise ValueError("short_edges (TEST.AUG.MIN_SIZES) must name at least one size")
        self.model = model
        self.max_size = max_size
        mirrored = (False, True) if flip else (False,)
        self.views = tuple((edge, flipped) for edge in short_edges for flipped in mirrored)
        fusion = model.pipeline.fusion
        if not isinstance(fusion, (FrameFusion, ClipFusion)):
            raise TypeError(
                f"several views are merged for panoptic tubes of query systems only; "
                f"{type(model).__name__} fuses with {type(fusion).__name__} (for TaskFusion, "
                f"switch MODEL.MASK_FORMER.TEST.SEMANTIC_ON and INSTANCE_ON off)"
            )
        self.settings = fusion.settings
        self.gather = ClipFusion(self.settings)
        self.streams = StreamBook()
        self._states: dict[str, list[StreamState]] = {}  # video id -> one state per view

    @classmethod
    def from_config(cls, cfg: Any, model: VideoMetaArch) -> MultiScaleTesting:
        """The sizes of Detectron2's own ``TEST.AUG``."""
        aug = cfg.TEST.AUG
        return cls(model, aug.MIN_SIZES, max_size=aug.MAX_SIZE, flip=aug.FLIP)

    @torch.no_grad()
    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """As a model in eval mode, see :class:`dvps_d2.d2.meta_arch.VideoMetaArch`."""
        return [
            self._image(item) if is_image_item(item) else self._window(item)
            for item in batched_inputs
        ]

    def _image(self, item: Mapping[str, Any]) -> dict[str, Any]:
        window = image_as_window(item)
        states = [self._step(window, view, StreamState()) for view in self.views]
        (frame,) = self.model.describe(self._fuse(states), [0])
        del frame["frame_id"]
        return frame

    def _window(self, item: Mapping[str, Any]) -> dict[str, Any]:
        stream, video_id = self.streams.open(item), item["video_id"]
        if item["is_first"]:
            self._states[video_id] = [StreamState() for _ in self.views]
        self._states[video_id] = [
            self._step(item, view, state)
            for view, state in zip(self.views, self._states[video_id], strict=True)
        ]
        frames: Iterator[dict[str, Any]] = iter(())
        if item["is_last"]:
            tubes = self._fuse(self._states.pop(video_id))
            frames = self.model.describe(tubes, stream.frame_ids)
            self.streams.close(item)
        return {"video_id": video_id, "frames": frames}

    def _step(
        self, item: Mapping[str, Any], view: tuple[int, bool], state: StreamState
    ) -> StreamState:
        """One window as one view sees it; its tracks are kept in the state."""
        clip = make_clip(
            [self._resized(item, *view)], self.model.normalizer, self.model.size_divisibility
        )
        output, state = self.model.pipeline.raw(clip, state)
        if output.tracks is None:  # a refiner keeps them
            return state
        tracks = replace(output.tracks, mask_features=output.tracks.mask_features.half())
        return replace(state, fusion=self.gather(tracks, clip, state.fusion)[1])

    def _resized(self, item: Mapping[str, Any], edge: int, flipped: bool) -> dict[str, Any]:
        frames = []
        for frame in item["frames"]:
            image = resize_short_edge(frame["image"], edge, self.max_size)
            height, width = frame["image"].shape[-2:]
            size = {"height": frame.get("height", height), "width": frame.get("width", width)}
            frames.append({**frame, **size, "image": image.flip(-1) if flipped else image})
        return {**item, "frames": frames}

    def _fuse(self, states: Sequence[StreamState]) -> Iterator[PanopticTube]:
        views = []
        for (_, flipped), state in zip(self.views, states, strict=True):
            video = state.fusion
            for tracks, clip in self.model.pipeline.refined(state.refiner):
                video = self.gather(tracks, clip, video)[1]
            views.append(View(video, flipped))
        return fuse_views(views, self.settings)


def resize_short_edge(image: Tensor, edge: int, max_size: int) -> Tensor:
    """Resize an image like Detectron2's ``ResizeShortestEdge``.

    Args:
        image: (3, H, W) uint8.
        edge: wanted length of the shorter side.
        max_size: limit of the longer side.

    Returns:
        (3, h, w) float, bilinear and antialiased.
    """
    height, width = image.shape[-2:]
    scale = min(edge / min(height, width), max_size / max(height, width))
    size = (int(height * scale + 0.5), int(width * scale + 0.5))
    return F.interpolate(image[None].float(), size=size, mode="bilinear", antialias=True)[0]
