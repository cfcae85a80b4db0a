"""A training run: which dataset it was scored on, and its predictions, made here if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvps_d2.cli.reporting.predictions import is_prediction_folder, videos_of_records
from dvps_d2.cli.reporting.subject import Color, Subject
from dvps_d2.formats import READERS
from dvps_d2.formats.files import read_json
from dvps_d2.metrics import ClassSet, get_protocol

DEPTH_METRICS = ("dvpq", "dstq", "depth")


def dataset_of_run(run: Path, dataset: str | None) -> str:
    """The dataset to report on: the one asked for, or the first that the run was tested on.

    Raises:
        ValueError: the run names none.
    """
    if dataset is None:
        from dvps_d2.d2.loading import load_config

        tested = load_config(run / "config.yaml").DATASETS.TEST
        if not tested:
            raise ValueError(f"{run / 'config.yaml'} has no DATASETS.TEST: name one with --dataset")
        dataset = tested[0]
    from dvps_d2.d2.data import metadata_of

    metadata_of(dataset)
    return dataset


def predictions_of_run(run: Path, dataset: str) -> Path:
    """Where the predictions of a run are kept."""
    return run / "inference" / dataset / "predictions"


def scores_path(run: Path, dataset: str) -> Path:
    """Where the evaluation of a run writes its scores."""
    return run / "inference" / dataset / f"{dataset}_scores.json"


def scores_of_run(run: Path, dataset: str) -> dict[str, Any] | None:
    """The scores that the evaluation of a run wrote; None without them."""
    path = scores_path(run, dataset)
    return read_json(path) if path.is_file() else None


def classes_of(dataset: str) -> tuple[ClassSet, list[Color]]:
    """The classes of a registered dataset, and their colours."""
    from dvps_d2.d2.data import metadata_of

    table = READERS[metadata_of(dataset).reader].categories
    return ClassSet(tuple(table.names), tuple(table.thing_ids)), list(table.colors)


def require_predictions(run: Path, dataset: str) -> Path:
    """The folder with the predictions of a run.

    Raises:
        FileNotFoundError: there are none; the message says how to get them.
    """
    folder = predictions_of_run(run, dataset)
    if not is_prediction_folder(folder):
        report = f"dvps report {run} --dataset {dataset}"
        raise FileNotFoundError(
            f"{folder} does not exist: evaluation keeps scores and no predicted maps.\n"
            f"  either let the report predict:   {report} --predict\n"
            f"  or predict first:                dvps predict --run {run} --dataset {dataset} "
            f"--out {folder}\n"
            f"  or leave the videos out:         {report} --scores-only"
        )
    return folder


def predict_run(run: Path, dataset: str, options: Sequence[str] = ()) -> Path:
    """Predict a dataset with a run, going on where an earlier call stopped."""
    from dvps_d2.d2.data import metadata_of
    from dvps_d2.d2.predict import load_run
    from dvps_d2.d2.submission import write_predictions
    from dvps_d2.formats.submission import WRITERS

    cfg, model = load_run(run, options=options)
    reader = metadata_of(dataset).reader
    # A layout with depth cannot hold predictions without; VIPSeg's holds all frames.
    flat = reader in WRITERS and WRITERS[reader].needs_depth and not cfg.MODEL.DVPS.DEPTH.ENABLED
    folder = predictions_of_run(run, dataset)
    write_predictions(cfg, model, dataset, folder, layout="vipseg" if flat else None)
    return folder


def subject_of_dataset(folder: Path, dataset: str) -> Subject:
    """Pair a folder of predictions with a registered dataset.

    Raises:
        ValueError: files are missing or do not fit together.
    """
    from dvps_d2.d2.data import metadata_of, registered
    from dvps_d2.d2.evaluation import PROTOCOL_OF_TYPE

    metadata = metadata_of(dataset)
    records, _ = registered(dataset)
    reader = READERS[metadata.reader]
    name, metrics = PROTOCOL_OF_TYPE[metadata.evaluator_type]
    with_depth = (folder / "depth").is_dir()
    if not with_depth:
        metrics = tuple(metric for metric in metrics if metric not in DEPTH_METRICS)
    counted = metadata.get("eval_classes", None)
    protocol = get_protocol(name, metrics=metrics)
    protocol = replace(protocol, eval_classes=None if counted is None else tuple(counted))
    table = reader.categories
    videos = videos_of_records(records, reader, folder, with_depth=with_depth)
    classes = ClassSet(tuple(table.names), tuple(table.thing_ids))
    return Subject(videos, protocol, classes, list(table.colors), dataset)
