"""A dataset through a model into the files that evaluation servers and scripts take."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from detectron2.data import build_detection_test_loader
from torch import nn
from tqdm import tqdm

from dvps_d2.formats import READERS, VideoRecord
from dvps_d2.formats.files import read_json, write_json
from dvps_d2.formats.submission import WRITERS, SubmissionWriter

from .data import VideoSampler, WindowMapper, make_windows, metadata_of, video_records

logger = logging.getLogger(__name__)

NOTES = ".predicted"  # hidden folder with a note for every finished video
# Own data has no server: its predictions are written like VIPSeg's, a folder for each video.
LAYOUT_OF_OWN_DATA = "vipseg"


def write_predictions(
    cfg: Any,
    model: nn.Module,
    dataset_name: str,
    folder: str | Path,
    *,
    layout: str | None = None,
    subset: int | None = None,
) -> SubmissionWriter:
    """Stream a dataset through a model and write its submission.

    An interrupted run goes on with the first video that is not complete, provided that config
    and weights are the same. Memory does not grow with the number of videos.

    Args:
        cfg: config of the model; MODEL.MASK_FORMER.TEST.WINDOW_SIZE frames enter at once, and
            DATALOADER.NUM_WORKERS processes decode images.
        model: in eval mode.
        dataset_name: a registered dataset.
        folder: where to; made when missing.
        layout: key of `dvps_d2.formats.submission.WRITERS`; None for that of the dataset.
        subset: only the first this many videos.

    Returns:
        The writer, with everything written; its ``archive`` packs the folder.

    Raises:
        ValueError: unknown dataset or layout, a layout with depth and a model without, or a
            folder that holds the predictions of another model.
    """
    folder = Path(folder)
    reader = metadata_of(dataset_name).reader
    records = video_records(dataset_name)[:subset]
    kind = _choose_layout(cfg, reader, layout)
    table = READERS[reader].categories
    notes = folder / NOTES
    _claim(notes, cfg, kind, dataset_name)
    with WRITERS[kind](folder, cast(list[VideoRecord], records), table) as writer:
        todo = [record for record in records if not _resume(writer, notes, record["video_id"])]
        if len(todo) < len(records):
            done = len(records) - len(todo)
            logger.info("%d of %d videos are there already", done, len(records))
        if todo:
            _predict(cfg, model, todo, writer, notes)
    logger.info("Predictions of %d videos of %s are in %s", len(records), dataset_name, folder)
    return writer


def _choose_layout(cfg: Any, reader: str, layout: str | None) -> str:
    chosen = layout or (reader if reader in WRITERS else LAYOUT_OF_OWN_DATA)
    if chosen not in WRITERS:
        raise ValueError(f"no layout {chosen!r}; there are {', '.join(sorted(WRITERS))}")
    if WRITERS[chosen].needs_depth and not cfg.MODEL.DVPS.DEPTH.ENABLED:
        plain = [name for name, writer in WRITERS.items() if not writer.needs_depth]
        raise ValueError(
            f"layout {chosen!r} holds depth, which {cfg.MODEL.META_ARCHITECTURE} without "
            f"MODEL.DVPS.DEPTH.ENABLED does not predict; layouts without depth are "
            f"{', '.join(plain)}"
        )
    return chosen


def _predict(
    cfg: Any,
    model: nn.Module,
    records: Sequence[dict[str, Any]],
    writer: SubmissionWriter,
    notes: Path,
) -> None:
    windows = make_windows(records, cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE)
    loader = build_detection_test_loader(
        windows,
        mapper=WindowMapper.from_config(cfg),
        sampler=VideoSampler(windows),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )
    count = sum(len(record["frames"]) for record in records)
    scores: dict[str, list[list[float]]] = {}  # of the video under way, by frame
    with tqdm(total=count, desc="predicting", unit="frame") as bar:
        for (window,) in loader:
            with torch.no_grad():
                (output,) = model([window])
                for frame in output["frames"]:
                    _add(writer, output["video_id"], frame)
                    scores[str(frame["frame_id"])] = segment_scores(*frame["panoptic_seg"])
                    bar.update()
            if window["is_last"]:
                video_id = output["video_id"]
                write_json(_note(notes, video_id), {**writer.progress(video_id), "scores": scores})
                scores = {}


def _add(writer: SubmissionWriter, video_id: str, frame: Mapping[str, Any]) -> None:
    ids, info = frame["panoptic_seg"]
    classes = {int(segment["id"]): int(segment["category_id"]) for segment in info}
    depth = frame.get("depth")
    writer.add(
        video_id,
        int(frame["frame_id"]),
        ids.cpu().numpy().astype(np.int32),
        classes,
        None if depth is None else depth.float().cpu().numpy(),
    )


def segment_scores(ids: torch.Tensor, info: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """``[x, y, score]`` of every segment that is not tiny: one of its pixels, and its score.

    Layouts number segments in their own ways and have no scores; a pixel finds the segment again
    in any of them.
    """
    step = max(1, ids.shape[0] // 256)
    coarse = ids[::step, ::step].cpu().numpy()
    first = dict(zip(*(a.tolist() for a in np.unique(coarse, return_index=True)), strict=True))
    found = []
    for segment in info:
        if "score" in segment and segment["id"] in first:
            y, x = divmod(first[segment["id"]], coarse.shape[1])
            found.append([x * step, y * step, round(float(segment["score"]), 4)])
    return found


def _claim(notes: Path, cfg: Any, layout: str, dataset_name: str) -> None:
    """Note what is written here; notes of something else are an error."""
    settings = cfg.clone()
    settings.defrost()
    # What may change between a run and its continuation.
    settings.OUTPUT_DIR = ""
    settings.DATALOADER.NUM_WORKERS = 0
    weights = Path(cfg.MODEL.WEIGHTS)
    content = {
        "dataset": dataset_name,
        "layout": layout,
        "weights": [str(weights), weights.stat().st_size if weights.is_file() else None],
        "config": hashlib.sha256(settings.dump().encode()).hexdigest(),
    }
    path = notes / "run.json"
    if path.is_file() and read_json(path) != content:
        found = read_json(path)
        changed = [key for key in content if found.get(key) != content[key]]
        raise ValueError(
            f"{notes.parent} holds the predictions of another run (other {', '.join(changed)}); "
            f"choose another folder, or delete this one"
        )
    write_json(path, content)


def _resume(writer: SubmissionWriter, notes: Path, video_id: str) -> bool:
    """Count a video as written if an earlier run finished it."""
    note = _note(notes, video_id)
    if not note.is_file():
        return False
    writer.resume(video_id, read_json(note))
    return True


def _note(notes: Path, video_id: str) -> Path:
    return notes / "videos" / f"{video_id}.json"
