"""Training clips and test windows, as torch DataLoaders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    build_detection_test_loader,
)
from torch.utils.data import DataLoader, Dataset

from dvps_d2.formats.records import drop_excluded
from dvps_d2.windows import split_into_windows

from .mapper import ClipMapper, WindowMapper
from .sampling import ClipBatchSampler, VideoSampler


class ClipDataset(Dataset):
    """Videos addressed by (place, draw number)."""

    def __init__(self, records: Sequence[dict[str, Any]], mapper: ClipMapper) -> None:
        self.records = DatasetFromList(list(records), copy=False)
        self.mapper = mapper

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        index, draw = key
        return self.mapper(self.records[index], draw)


def video_records(
    names: str | Sequence[str], *, exclude: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The records of one or several registered datasets, each marked with its dataset's name.

    Args:
        names: registered names.
        exclude: frames to leave out: video ids, "video id/frame id", or base names of images.

    Raises:
        ValueError: no name, or a dataset without videos.
    """
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ValueError("no dataset is named; set DATASETS.TRAIN and DATASETS.TEST")
    records = []
    for name in names:
        found = drop_excluded(DatasetCatalog.get(name), exclude)
        if not found:
            raise ValueError(f"dataset {name!r} has no videos")
        records += [{**record, "dataset_name": name} for record in found]
    return records


def build_clip_train_loader(
    cfg: Any, *, mapper: ClipMapper | None = None, start_iteration: int = 0
) -> DataLoader:
    """Endless batches (lists) of training clips.

    Args:
        cfg: DATASETS.TRAIN, SOLVER.IMS_PER_BATCH (clips over all processes), INPUT.*, SEED,
            DATALOADER.NUM_WORKERS.
        mapper: replaces the one that the config describes.
        start_iteration: optimizer steps already done; the stream continues where an
            uninterrupted run would be.
    """
    records = video_records(cfg.DATASETS.TRAIN, exclude=cfg.DATASETS.EXCLUDE)
    dataset = ClipDataset(records, mapper or ClipMapper.from_config(cfg))
    sampler = ClipBatchSampler(
        len(dataset),
        cfg.SOLVER.IMS_PER_BATCH,
        seed=max(cfg.SEED, 0),
        start_batch=start_iteration * cfg.SOLVER.ACCUMULATION_STEPS,
    )
    workers = cfg.DATALOADER.NUM_WORKERS
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_as_list,
        persistent_workers=workers > 0,
    )


def make_windows(records: Sequence[dict[str, Any]], window_size: int) -> list[dict[str, Any]]:
    """Cut videos into inference windows.

    Args:
        records: dataset dicts of videos.
        window_size: frames per window; 0 is the whole video.

    Returns:
        Per window ``{"video_id", "dataset_name", "height", "width", "frames", "position",
        "is_first", "is_last"}``, windows of a video in order; ``position`` is the place of the
        first frame in the video.

    Raises:
        ValueError: two videos with one id.
    """
    windows, seen = [], set()
    for record in records:
        if record["video_id"] in seen:
            raise ValueError(
                f"video id {record['video_id']!r} occurs twice; evaluate datasets one by one"
            )
        seen.add(record["video_id"])
        count = len(record["frames"])
        for places in split_into_windows(count, window_size):
            windows.append(
                {
                    **record,
                    "frames": [record["frames"][i] for i in places],
                    "position": places.start,
                    "is_first": places.start == 0,
                    "is_last": places.stop == count,
                }
            )
    return windows


def build_video_test_loader(
    cfg: Any, dataset_name: str, *, mapper: WindowMapper | None = None
) -> DataLoader:
    """Detectron2's test loader over windows; each video stays on one process, in order.

    Args:
        cfg: MODEL.MASK_FORMER.TEST.WINDOW_SIZE, INPUT.*, DATALOADER.NUM_WORKERS.
        dataset_name: a registered dataset.
        mapper: replaces the one that the config describes.
    """
    windows = make_windows(video_records(dataset_name), cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE)
    return build_detection_test_loader(
        windows,
        mapper=mapper or WindowMapper.from_config(cfg),
        sampler=VideoSampler(windows),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )


def _as_list(batch: list[Any]) -> list[Any]:
    return batch
