"""Predictions beside the truth, as contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.detection_utils import read_image
from torch import nn

from dvps_d2.formats import READERS
from dvps_d2.visualize import Palette, SegmentMap, SheetFrame, result_sheet

from .predict import predict_video


def sheet_frames(
    cfg: Any, model: nn.Module, record: Mapping[str, Any], metadata: Any
) -> Iterator[SheetFrame]:
    """Prediction and truth of every frame of a video, streamed through a model in eval mode."""
    reader = READERS[metadata.reader]
    for frame, output in predict_video(cfg, model, record):
        ids, info = output["panoptic_seg"]
        classes = {segment["id"]: segment["category_id"] for segment in info}
        truth = depth = None
        if frame["labelled"]:
            label = reader.read_panoptic(frame)
            truth = SegmentMap.from_labels(label.class_ids, label.track_ids)
        if frame["depth_file_name"]:
            depth = reader.read_depth(frame)
        yield SheetFrame(
            image=read_image(frame["file_name"], format="RGB"),
            caption=f"frame {frame['frame_id']}",
            prediction=SegmentMap.from_ids(ids.cpu().numpy(), classes, metadata.thing_ids),
            truth=truth,
            depth=output["depth"].cpu().numpy() if "depth" in output else None,
            true_depth=depth,
        )


def validation_sheets(
    cfg: Any, model: nn.Module, dataset_name: str, *, videos: int, frames: int = 3
) -> dict[str, np.ndarray]:
    """Contact sheets of the first frames of the first videos of a dataset.

    Returns:
        video id -> (H, W, 3) uint8 RGB.
    """
    metadata = MetadataCatalog.get(dataset_name)
    palette = Palette(metadata.thing_colors, metadata.thing_ids)
    names = list(metadata.thing_classes)
    training = model.training
    model.eval()
    try:
        sheets = {}
        for record in DatasetCatalog.get(dataset_name)[:videos]:
            short = {**record, "frames": record["frames"][:frames]}
            rows = list(islice(sheet_frames(cfg, model, short, metadata), frames))
            sheets[record["video_id"]] = result_sheet(rows, palette, names)
    finally:
        model.train(training)
    return sheets
