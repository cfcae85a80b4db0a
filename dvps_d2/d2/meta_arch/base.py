"""What all video meta-architectures share: dictionaries in, losses or videos out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from dvps_d2.d2.boundary import (
    Normalizer,
    describe_frames,
    image_as_window,
    is_image_item,
    make_clip,
    make_targets,
)
from dvps_d2.d2.state_keys import publish_state_keys, published_module
from dvps_d2.d2.weights import accept_published_weights
from dvps_d2.pipeline import DVPSPipeline
from dvps_d2.structures import Clip, ClipTargets, PanopticTube, StreamState

from .streams import StreamBook


class VideoMetaArch(nn.Module):
    """A pipeline behind Detectron2's conventions.

    In training it takes clips and returns a dict of losses. Otherwise it takes windows of videos
    in order and remembers each video between calls, or plain image dicts (a video of one frame
    each, which touches no stream).

    Args:
        pipeline: the stages.
        criterion: raw output and targets -> weighted losses; None for inference only.
        normalizer: applied to every frame; its buffers tell the device.
        size_divisibility: frames are padded to multiples of it.
        sky_depth: class id -> metres that are written over the pixels of that class (the sky rule
            of saved results); empty to switch off.
    """

    def __init__(
        self,
        *,
        pipeline: DVPSPipeline,
        criterion: nn.Module | None,
        normalizer: Normalizer,
        size_divisibility: int,
        sky_depth: Mapping[int, float],
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.criterion = criterion
        self.normalizer = normalizer
        self.size_divisibility = size_divisibility
        self.sky_depth = dict(sky_depth)
        self.streams = StreamBook()
        accept_published_weights(self)
        publish_state_keys(self)

    def __getattr__(self, name: str) -> Any:
        """Parts by the names of published checkpoints too: ``backbone``, ``sem_seg_head``, ..."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            part = published_module(self, name)
            if part is None:
                raise
            return part

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.normalizer.mean.device

    def train(self, mode: bool = True) -> VideoMetaArch:
        """Switch between training and inference; going to training forgets all streams."""
        if mode:
            self.streams.clear()
        return super().train(mode)

    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> Any:
        """Losses in training; one output per item, in order, otherwise.

        Args:
            batched_inputs: training clips, windows of videos, or image dicts.

        Returns:
            Training: loss name -> weighted scalar. Windows: ``{"video_id", "frames"}`` with
            ``frames`` an iterable that is consumed once (see :mod:`dvps_d2.d2`). Images:
            Detectron2's own ``{"panoptic_seg", "depth"}``.
        """
        if self.training:
            clip = make_clip(batched_inputs, self.normalizer, self.size_divisibility)
            return self.losses(clip, make_targets(batched_inputs, clip, self.device))
        return [
            self._image(item) if is_image_item(item) else self._window(item)
            for item in batched_inputs
        ]

    def losses(self, clip: Clip, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Weighted losses of one batch of clips."""
        raise NotImplementedError(f"{type(self).__name__} does not define losses")

    @torch.no_grad()
    def _image(self, item: Mapping[str, Any]) -> dict[str, Any]:
        clip = make_clip([image_as_window(item)], self.normalizer, self.size_divisibility)
        tube, state = self.pipeline.step(clip, StreamState())
        tubes = [tube] if tube is not None else list(self.pipeline.finish(state))
        (frame,) = self.describe(tubes, clip.frame_ids[0])
        del frame["frame_id"]
        return frame

    @torch.no_grad()
    def _window(self, item: Mapping[str, Any]) -> dict[str, Any]:
        clip = make_clip([item], self.normalizer, self.size_divisibility)
        stream = self.streams.open(item)
        tube, stream.state = self.pipeline.step(clip, stream.state)
        frames: Iterator[dict[str, Any]] = iter(())
        if tube is not None:
            frames = self.describe([tube], clip.frame_ids[0])
        if item["is_last"]:
            rest = self.pipeline.finish(stream.state)
            frames = chain(frames, self.describe(rest, stream.frame_ids))
            self.streams.close(item)
        return {"video_id": item["video_id"], "frames": frames}

    def describe(
        self, tubes: Iterator[PanopticTube] | list[PanopticTube], frame_ids: Sequence[int]
    ) -> Iterator[dict[str, Any]]:
        """Tubes that follow one another as the output dictionaries of their frames, lazily."""
        start = 0
        for tube in tubes:
            ids = frame_ids[start : start + tube.num_frames]
            yield from describe_frames(self._fill_sky(tube), ids)
            start += tube.num_frames

    def _fill_sky(self, tube: PanopticTube) -> PanopticTube:
        depth = tube.depth
        if depth is None:
            return tube
        for number, segment in tube.segments.items():
            if segment.class_id in self.sky_depth:
                depth = depth.masked_fill(tube.ids == number, self.sky_depth[segment.class_id])
        return replace(tube, depth=depth)
