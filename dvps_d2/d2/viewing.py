"""Training clips as pictures: exactly what the mapper of a config gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog

from dvps_d2.visualize import Palette, SegmentMap, SheetFrame, result_sheet
from dvps_d2.visualize.palette import VOID

from .data import ClipMapper, video_records
from .data.sampling import ClipBatchSampler
from .data.segments import SegmentMaps


def clip_frames(clip: dict[str, Any], image_format: str) -> list[SheetFrame]:
    """Rows of a sheet: the frames of a clip as they enter the model.

    Args:
        clip: what :class:`~dvps_d2.d2.data.ClipMapper` returns.
        image_format: "RGB" or "BGR", of its images.
    """
    targets: SegmentMaps = clip["targets"]
    class_ids = np.concatenate([[VOID], targets.class_ids.numpy()])
    track_ids = np.concatenate([[0], targets.track_ids.numpy()])
    rows = []
    for t, frame in enumerate(clip["frames"]):
        image = frame["image"].numpy().transpose(1, 2, 0)
        image = np.ascontiguousarray(image[..., ::-1] if image_format == "BGR" else image)
        index = targets.numbers[t].numpy().astype(np.uint16)
        caption = f"{clip['video_id']}  frame {frame['frame_id']}"
        if len(clip["frames"]) > 1 and t == clip["key_frame"]:
            caption += "  (key frame)"
        depth = None if targets.depth is None else targets.depth[t].numpy()
        rows.append(
            SheetFrame(
                image=image,
                caption=f"{caption}  {image.shape[1]} x {image.shape[0]}",
                truth=SegmentMap(index, class_ids, track_ids),
                true_depth=depth,
            )
        )
    return rows


def training_sheet(cfg: Any, clips: int, *, first: int = 0, cell_width: int = 384) -> np.ndarray:
    """Draw the clips that training with a config begins with.

    Args:
        cfg: config.
        clips: how many.
        first: number of the first clip in the run.
        cell_width: pixels of a picture in the sheet.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: counts that make no sense, or no dataset in DATASETS.TRAIN.
    """
    if clips < 1 or first < 0:
        raise ValueError(f"clips must be at least 1 and first at least 0, got {clips} and {first}")
    records = video_records(cfg.DATASETS.TRAIN, exclude=cfg.DATASETS.EXCLUDE)
    mapper = ClipMapper.from_config(cfg)
    rows: list[SheetFrame] = []
    for video, draw in _draws(cfg, len(records), first, clips):
        rows += clip_frames(mapper(records[video], draw), cfg.INPUT.FORMAT)
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    palette = Palette(metadata.thing_colors, metadata.thing_ids)
    title = f"{', '.join(cfg.DATASETS.TRAIN)}: clips {first} to {first + clips - 1} of the run"
    return result_sheet(
        rows, palette, list(metadata.thing_classes), cell_width=cell_width, title=title
    )


def _draws(cfg: Any, videos: int, first: int, count: int) -> list[tuple[int, int]]:
    """(video, draw number) of clips ``first`` to ``first + count`` of a run."""
    sampler = ClipBatchSampler(videos, 1, seed=max(cfg.SEED, 0), start_batch=first)
    batches = iter(sampler)
    return [next(batches)[0] for _ in range(count)]
