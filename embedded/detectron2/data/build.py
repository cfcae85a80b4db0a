"""From names in a config to data loaders."""

import itertools
import logging
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.utils.data as torchdata
from tabulate import tabulate
from termcolor import colored

from detectron2._subset import outside_subset
from detectron2.config import CfgNode, configurable
from detectron2.utils.comm import get_world_size
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import _log_api_usage

from .catalog import DatasetCatalog, MetadataCatalog
from .common import AspectRatioGroupedDataset, DatasetFromList, MapDataset, ToIterableDataset
from .dataset_mapper import DatasetMapper
from .detection_utils import check_metadata_consistency
from .samplers import (
    InferenceSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    TrainingSampler,
)

__all__ = [
    "build_batch_data_loader",
    "build_detection_test_loader",
    "build_detection_train_loader",
    "get_detection_dataset_dicts",
    "print_instances_class_histogram",
]

logger = logging.getLogger(__name__)


def filter_images_with_only_crowd_annotations(dataset_dicts: list[dict]) -> list[dict]:
    """Records with at least one annotation whose ``iscrowd`` is 0."""
    kept = [
        record
        for record in dataset_dicts
        if any(annotation.get("iscrowd", 0) == 0 for annotation in record["annotations"])
    ]
    logger.info("%d of %d images have an instance that is no crowd", len(kept), len(dataset_dicts))
    return kept


def print_instances_class_histogram(dataset_dicts: list[dict], class_names: list[str]) -> None:
    """Log how many non-crowd instances each class has.

    Args:
        dataset_dicts: records with "annotations".
        class_names: name of each class id; ids beyond them are an assertion error.
    """
    counts: Counter[int] = Counter()
    for record in dataset_dicts:
        classes = [
            annotation["category_id"]
            for annotation in record["annotations"]
            if not annotation.get("iscrowd", 0)
        ]
        if classes:
            assert 0 <= min(classes) <= max(classes) < len(class_names), (
                f"category_id must be in 0..{len(class_names) - 1}, got {sorted(set(classes))}"
            )
        counts.update(classes)
    cells = [cell for index, name in enumerate(class_names) for cell in (name[:13], counts[index])]
    columns = min(6, len(cells))  # three pairs side by side
    rows = itertools.zip_longest(*[cells[start::columns] for start in range(columns)])
    table = tabulate(
        list(rows),
        headers=["class", "instances"] * (columns // 2),
        tablefmt="pipe",
        numalign="left",
        stralign="center",
    )
    logger.info(
        "%d instances of %d classes:\n%s",
        sum(counts.values()),
        len(class_names),
        colored(table, "cyan"),
    )


def get_detection_dataset_dicts(
    names: str | Sequence[str],
    filter_empty: bool = True,
    min_keypoints: int = 0,
    proposal_files: Sequence[str] | None = None,
    check_consistency: bool = True,
) -> list[dict] | torchdata.Dataset:
    """Records of one or several data sets, one after another.

    Args:
        names: in DatasetCatalog.
        filter_empty: drop images without a non-crowd annotation. Only when the first record has
            "annotations".
        min_keypoints: outside the embedded subset unless 0.
        proposal_files: outside the embedded subset unless None.
        check_consistency: with annotations, assert that the data sets agree on ``thing_classes``.

    Returns:
        The records; or, when a registered function returned a torch Dataset, that (several are
        concatenated).

    Raises:
        KeyError: an unknown name.
        AssertionError: no names, or a data set without records.
    """
    names = [names] if isinstance(names, str) else names
    assert len(names), names
    if min_keypoints > 0:
        outside_subset("get_detection_dataset_dicts(min_keypoints=...)")
    if proposal_files is not None:
        outside_subset("get_detection_dataset_dicts(proposal_files=...), MODEL.LOAD_PROPOSALS")

    unknown = set(names) - set(DatasetCatalog.keys())
    if unknown:
        logger.warning(
            "Not in DatasetCatalog: %s. It has: %s", sorted(unknown), DatasetCatalog.list()
        )
    per_dataset = [DatasetCatalog.get(name) for name in names]

    if isinstance(per_dataset[0], torchdata.Dataset):
        return torchdata.ConcatDataset(per_dataset) if len(per_dataset) > 1 else per_dataset[0]
    for name, records in zip(names, per_dataset, strict=True):
        assert len(records), f"Dataset '{name}' is empty!"

    dataset_dicts = list(itertools.chain.from_iterable(per_dataset))
    has_instances = "annotations" in dataset_dicts[0]
    if filter_empty and has_instances:
        dataset_dicts = filter_images_with_only_crowd_annotations(dataset_dicts)
    if check_consistency and has_instances:
        class_names = MetadataCatalog.get(names[0]).get("thing_classes")
        if class_names is not None:
            check_metadata_consistency("thing_classes", names)
            print_instances_class_histogram(dataset_dicts, class_names)
    assert len(dataset_dicts), f"nothing left to use in {list(names)}"
    return dataset_dicts


def build_batch_data_loader(
    dataset: torchdata.Dataset,
    sampler: torchdata.Sampler | None,
    total_batch_size: int,
    *,
    aspect_ratio_grouping: bool = False,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
    drop_last: bool = True,
    single_gpu_batch_size: int | None = None,
    prefetch_factor: int | None = 2,
    persistent_workers: bool = False,
    pin_memory: bool = False,
    seed: int | None = None,
    **kwargs: Any,
) -> Iterable:
    """Batches for training: as `build_detection_train_loader` makes them, from parts.

    Args:
        dataset: map-style, or iterable (then ``sampler`` must be None).
        sampler: yields indices.
        total_batch_size: over all processes.
        aspect_ratio_grouping: batch elements of one orientation; they must be dicts with "width"
            and "height", and ``drop_last`` must hold.
        num_workers: loader processes in each process.
        collate_fn: list of elements -> batch; the list itself by default.
        drop_last: whether an incomplete last batch is left out.
        single_gpu_batch_size: elements per process, instead of ``total_batch_size``.
        prefetch_factor, persistent_workers, pin_memory: of the DataLoader.
        seed: of the generator that seeds the workers.
        kwargs: further arguments of the DataLoader.

    Raises:
        ValueError: both batch sizes are given.
        AssertionError: the total is not a positive multiple of the number of processes.
    """
    if single_gpu_batch_size:
        if total_batch_size:
            raise ValueError(
                f"give either total_batch_size ({total_batch_size}) or single_gpu_batch_size "
                f"({single_gpu_batch_size}), not both"
            )
        batch_size = single_gpu_batch_size
    else:
        world_size = get_world_size()
        assert total_batch_size > 0 and total_batch_size % world_size == 0, (
            f"Total batch size ({total_batch_size}) must be divisible by the number of gpus "
            f"({world_size})."
        )
        batch_size = total_batch_size // world_size
    logger.info("Batches of %d per process", batch_size)

    if isinstance(dataset, torchdata.IterableDataset):
        assert sampler is None, "an IterableDataset takes no sampler"
    else:
        dataset = ToIterableDataset(dataset, sampler, shard_chunk_size=batch_size)

    generator = None
    if seed is not None:
        generator = torch.Generator()
        generator.manual_seed(seed)
    common = {
        "num_workers": num_workers,
        "worker_init_fn": worker_init_reset_seed,
        "prefetch_factor": prefetch_factor if num_workers > 0 else None,
        "persistent_workers": persistent_workers,
        "pin_memory": pin_memory,
        "generator": generator,
        **kwargs,
    }
    if not aspect_ratio_grouping:
        return torchdata.DataLoader(
            dataset,
            batch_size=batch_size,
            drop_last=drop_last,
            collate_fn=trivial_batch_collator if collate_fn is None else collate_fn,
            **common,
        )
    assert drop_last, "aspect_ratio_grouping needs drop_last: incomplete batches wait"
    # Elements come one by one (a batch of one, unwrapped) and are batched in this process.
    elements = torchdata.DataLoader(dataset, collate_fn=operator.itemgetter(0), **common)
    batches = AspectRatioGroupedDataset(elements, batch_size)
    return batches if collate_fn is None else MapDataset(batches, collate_fn)


def _build_sampler(cfg: CfgNode, dataset: Any) -> torchdata.Sampler:
    """The training sampler that DATALOADER.SAMPLER_TRAIN names.

    SEED is used as it is: its default -1 is a fixed seed too.
    """
    name = cfg.DATALOADER.SAMPLER_TRAIN
    logger.info("Training sampler: %s", name)
    if name == "TrainingSampler":
        return TrainingSampler(len(dataset), seed=cfg.SEED)
    if name == "RepeatFactorTrainingSampler":
        factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
            dataset, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
        )
        return RepeatFactorTrainingSampler(factors, seed=cfg.SEED)
    if name == "RandomSubsetTrainingSampler":
        # RANDOM_SUBSET_RATIO has no default. SEED does not reach this sampler.
        return RandomSubsetTrainingSampler(len(dataset), cfg.DATALOADER.RANDOM_SUBSET_RATIO)
    if name in ("WeightedTrainingSampler", "WeightedCategoryTrainingSampler"):
        # Without its key (which has no default) this is the AttributeError of the official one.
        outside_subset(f"{name} with {cfg.DATASETS.TRAIN_REPEAT_FACTOR}")
    raise ValueError(f"Unknown training sampler: {name}")


def _train_loader_from_config(
    cfg: CfgNode,
    mapper: Callable | None = None,
    *,
    dataset: Any = None,
    sampler: torchdata.Sampler | None = None,
) -> dict[str, Any]:
    if dataset is None:
        if cfg.MODEL.LOAD_PROPOSALS:
            outside_subset("MODEL.LOAD_PROPOSALS")
        dataset = get_detection_dataset_dicts(
            cfg.DATASETS.TRAIN,
            filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
            min_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE
            if cfg.MODEL.KEYPOINT_ON
            else 0,
        )
    if mapper is None:
        mapper = DatasetMapper(cfg, True)
    if sampler is None and not isinstance(dataset, torchdata.IterableDataset):
        sampler = _build_sampler(cfg, dataset)
    return {
        "dataset": dataset,
        "sampler": sampler,
        "mapper": mapper,
        "total_batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "aspect_ratio_grouping": cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
    }


@configurable(from_config=_train_loader_from_config)
def build_detection_train_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Callable[[dict], Any] | None,
    sampler: torchdata.Sampler | None = None,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
    **kwargs: Any,
) -> Iterable:
    """An endless loader of training batches.

    Also called as ``build_detection_train_loader(cfg, mapper=None, dataset=None, sampler=None)``:
    everything not given comes from the config.

    Args:
        dataset: a list of records, or a torch Dataset (an iterable one without ``sampler``).
        mapper: record -> element of a batch, or None for no mapping.
        sampler: yields indices; a shuffling `TrainingSampler` by default.
        total_batch_size: over all processes; divisible by their number.
        aspect_ratio_grouping: batch elements of one orientation, by their "width" and "height".
        num_workers: loader processes in each process.
        collate_fn: list of elements -> batch; the list itself by default.
        kwargs: passed on to `build_batch_data_loader`.

    Returns:
        An iterable of batches, of ``total_batch_size / number of processes`` elements each.
    """
    _log_api_usage("data.build_detection_train_loader")
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    if mapper is not None:
        dataset = MapDataset(dataset, mapper)
    if isinstance(dataset, torchdata.IterableDataset):
        assert sampler is None, "an IterableDataset takes no sampler"
    else:
        if sampler is None:
            sampler = TrainingSampler(len(dataset))
        assert isinstance(sampler, torchdata.Sampler), (
            f"sampler must be a torch Sampler, got {type(sampler)}"
        )
    return build_batch_data_loader(
        dataset,
        sampler,
        total_batch_size,
        aspect_ratio_grouping=aspect_ratio_grouping,
        num_workers=num_workers,
        collate_fn=collate_fn,
        **kwargs,
    )


def _test_loader_from_config(
    cfg: CfgNode, dataset_name: str | Sequence[str], mapper: Callable | None = None
) -> dict[str, Any]:
    if cfg.MODEL.LOAD_PROPOSALS:
        outside_subset("MODEL.LOAD_PROPOSALS")
    dataset = get_detection_dataset_dicts(dataset_name, filter_empty=False)
    if mapper is None:
        mapper = DatasetMapper(cfg, False)
    is_iterable = isinstance(dataset, torchdata.IterableDataset)
    return {
        "dataset": dataset,
        "mapper": mapper,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        "sampler": None if is_iterable else InferenceSampler(len(dataset)),
    }


@configurable(from_config=_test_loader_from_config)
def build_detection_test_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Callable[[dict], Any] | None,
    sampler: torchdata.Sampler | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
) -> torchdata.DataLoader:
    """A loader of everything once, in order.

    Also called as ``build_detection_test_loader(cfg, dataset_name, mapper=None)``.

    Args:
        dataset: a list of records, or a torch Dataset (an iterable one without ``sampler``).
        mapper: record -> element of a batch, or None for no mapping.
        sampler: yields indices; `InferenceSampler` by default, which splits over processes.
        batch_size: elements per batch in each process.
        num_workers: loader processes in each process.
        collate_fn: list of elements -> batch; the list itself by default.

    Returns:
        A DataLoader; the last batch may be smaller.
    """
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    if mapper is not None:
        dataset = MapDataset(dataset, mapper)
    if isinstance(dataset, torchdata.IterableDataset):
        assert sampler is None, "an IterableDataset takes no sampler"
    elif sampler is None:
        sampler = InferenceSampler(len(dataset))
    return torchdata.DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=False,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator if collate_fn is None else collate_fn,
    )


def trivial_batch_collator(batch: list) -> list:
    """The list of elements itself."""
    return batch


def worker_init_reset_seed(worker_id: int) -> None:
    """Give a loader process its own seed for python, NumPy and torch."""
    initial_seed = torch.initial_seed() % 2**31
    seed_all_rng(initial_seed + worker_id)
