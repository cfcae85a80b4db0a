"""What all video meta-architectures share: dictionaries in, losses or videos out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from dvps_d2.d2.boundary import (
    Normalizer,
    describe_frames,
    describe_image,
    image_as_window,
    is_image_item,
    make_clip,
    make_targets,
)
from dvps_d2.d2.state_keys import publish_state_keys, published_module
from dvps_d2.d2.weights import accept_published_weights
from dvps_d2.pipeline import DVPSPipeline
from dvps_d2.structures import Clip, ClipTargets, PanopticTube, StreamState

from .streams import Ending, StreamBook


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
            ``frames`` an iterable that is consumed once (see :mod:`dvps_d2.d2`); the last window
            of a video also has ``instances`` where they are asked for, an iterable to be read
            after ``frames``. Images: Detectron2's own ``{"panoptic_seg", "sem_seg", "instances"}``
            and ``depth``, as far as they are asked for.
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
        ending = Ending(self.pipeline.finish(state))
        tubes = chain([] if tube is None else [tube], ending)
        (frame,) = self.describe(tubes, clip.frame_ids[0])
        classes = getattr(self.pipeline.fusion, "num_classes", 0)
        return describe_image(frame, ending.said, classes)

    @torch.no_grad()
    def _window(self, item: Mapping[str, Any]) -> dict[str, Any]:
        clip = make_clip([item], self.normalizer, self.size_divisibility)
        stream = self.streams.open(item)
        tube, stream.state = self.pipeline.step(clip, stream.state)
        frames: Iterator[dict[str, Any]] = iter(())
        if tube is not None:
            frames = self.describe([tube], clip.frame_ids[0])
        output = {"video_id": item["video_id"], "frames": frames}
        if item["is_last"]:
            ending = Ending(self.pipeline.finish(stream.state))
            output["frames"] = chain(frames, self.describe(ending, stream.frame_ids))
            if getattr(self.pipeline.fusion, "max_instances", 0):
                output["instances"] = ending.after_frames(item["video_id"])
            self.streams.close(item)
        return output

    def describe(
        self, tubes: Iterable[PanopticTube], frame_ids: Sequence[int]
    ) -> Iterator[dict[str, Any]]:
        """Tubes that follow one another as the output dictionaries of their frames, lazily."""
        start = 0
        panoptic = getattr(self.pipeline.fusion, "draw_panoptic", True)
        for tube in tubes:
            ids = frame_ids[start : start + tube.num_frames]
            yield from describe_frames(self._fill_sky(tube), ids, panoptic=panoptic)
            start += tube.num_frames

    def _fill_sky(self, tube: PanopticTube) -> PanopticTube:
        depth = tube.depth
        if depth is None:
            return tube
        for number, segment in tube.segments.items():
            if segment.class_id in self.sky_depth:
                depth = depth.masked_fill(tube.ids == number, self.sky_depth[segment.class_id])
        return replace(tube, depth=depth)
