"""A model on frames that come one after another, from anywhere; its memory is a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog
from detectron2.data import transforms as T
from torch import nn

from dvps_d2.formats import READERS
from dvps_d2.formats.classes import ClassTable
from dvps_d2.structures import PanopticTube, StreamState
from dvps_d2.visualize import Palette, SegmentMap
from dvps_d2.visualize.film import FrameResult
from dvps_d2.visualize.panels import Look
from dvps_d2.visualize.sources import SourceFrame

from .boundary import make_clip
from .build import dataset_metadata
from .data import register_video_panoptic
from .data.augmentations import test_augmentations
from .loading import load_config
from .meta_arch.base import VideoMetaArch
from .predict import load_model

# In the folder of a training run, best first.
CHECKPOINTS = ("model_average.pth", "model_best.pth", "model_final.pth")


@dataclass(frozen=True, eq=False)
class Streamed:
    """A video under way.

    Attributes:
        state: the pipeline's.
        waiting: ids of frames that have been seen and not been told.
    """

    state: StreamState
    waiting: tuple[int, ...] = ()


class StreamingModel:
    """A model with its config as a `dvps_d2.visualize.film.System`.

    Args:
        cfg: config of the model.
        model: in eval mode.
        title: for pictures; name of the meta-architecture by default.

    Raises:
        TypeError: the model is no video meta-architecture.
    """

    def __init__(self, cfg: Any, model: nn.Module, title: str = "") -> None:
        if not isinstance(model, VideoMetaArch):
            raise TypeError(
                f"model must be one of this package's meta-architectures, got "
                f"{type(model).__name__}"
            )
        self._model = model
        self._resize = T.AugmentationList(test_augmentations(cfg))
        self._bgr = cfg.INPUT.FORMAT == "BGR"
        metadata = dataset_metadata(cfg)
        self.table: ClassTable = READERS[metadata.reader].categories
        self.has_depth = bool(cfg.MODEL.DVPS.DEPTH.ENABLED)
        self.farthest = float(cfg.MODEL.DVPS.DEPTH.MAX)
        self.window = cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE
        names = list(metadata.thing_classes)
        palette = Palette(metadata.thing_colors, metadata.thing_ids)
        self.look = Look(title or cfg.MODEL.META_ARCHITECTURE, palette, names)

    @torch.no_grad()
    def step(
        self, frames: Sequence[SourceFrame], state: Streamed | None
    ) -> tuple[Iterable[FrameResult], Streamed]:
        """See `dvps_d2.visualize.film.System.step`."""
        state = state or Streamed(StreamState())
        model = self._model
        window = {"video_id": "stream", "frames": [self._item(frame) for frame in frames]}
        clip = make_clip([window], model.normalizer, model.size_divisibility)
        tube, after = model.pipeline.step(clip, state.state)
        waiting = (*state.waiting, *clip.frame_ids[0])
        if tube is None:
            return (), Streamed(after, waiting)
        told, rest = waiting[: tube.num_frames], waiting[tube.num_frames :]
        return list(self._results([tube], told)), Streamed(after, rest)

    def finish(self, state: Streamed) -> Iterator[FrameResult]:
        """See `dvps_d2.visualize.film.System.finish`."""
        rest, waiting = self._model.pipeline.finish(state.state), state.waiting
        del state  # so that what has been used up can be dropped
        with torch.no_grad():
            yield from self._results(rest, waiting)

    def _item(self, frame: SourceFrame) -> dict[str, Any]:
        height, width = frame.image.shape[:2]
        entry = T.AugInput(frame.image[..., ::-1] if self._bgr else frame.image)
        self._resize(entry)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(entry.image.transpose(2, 0, 1))),
            "frame_id": frame.position,
            "height": height,
            "width": width,
        }

    def _results(
        self, tubes: Iterable[PanopticTube], frame_ids: Sequence[int]
    ) -> Iterator[FrameResult]:
        for frame in self._model.describe(tubes, frame_ids):
            ids, info = frame["panoptic_seg"]
            ids = ids.cpu().numpy()
            classes = {int(entry["id"]): int(entry["category_id"]) for entry in info}
            depth = frame["depth"].float().cpu().numpy() if "depth" in frame else None
            segments = SegmentMap.from_ids(ids, classes, self.look.palette.thing_ids)
            yield FrameResult(segments, depth, ids, classes)


def run_weights(run: Path, weights: str | None = None) -> tuple[Path, str]:
    """Config and checkpoint in the folder of a training run: averaged, best or final weights.

    Args:
        run: OUTPUT_DIR of the run.
        weights: another checkpoint.

    Raises:
        FileNotFoundError: the folder holds no config or no checkpoint.
    """
    config = run / "config.yaml"
    if not config.is_file():
        raise FileNotFoundError(f"{config} is missing; {run} is not the folder of a training run")
    candidates = [run / name for name in CHECKPOINTS]
    found = weights or next((str(path) for path in candidates if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no checkpoint: {run} holds none of {', '.join(CHECKPOINTS)}")
    return config, found


def load_streaming_model(
    config_file: str | Path,
    weights: str = "",
    options: Sequence[str] = (),
    *,
    own_data: Path | None = None,
    title: str = "",
) -> StreamingModel:
    """A model of a config, ready for frames.

    Args:
        config_file: a YAML.
        weights: a checkpoint; MODEL.WEIGHTS by default.
        options: further keys and values, alternating.
        own_data: video panoptic JSON whose classes a model for own data has.
        title: for pictures.
    """
    if own_data is not None:
        cfg = load_config(config_file, options)
        for name in {*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST} - set(DatasetCatalog.list()):
            register_video_panoptic(name, own_data.parent, own_data)
    return StreamingModel(*load_model(config_file, weights, options), title)
