"""Looking the training data over before hours of training on it."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from tabulate import tabulate
from tqdm import tqdm

from dvps_d2.formats import READERS, FormatError
from dvps_d2.formats.check import Finding, Report
from dvps_d2.formats.check.dataset import check_video
from dvps_d2.formats.files import read_json, write_json

from .loaders import video_records

logger = logging.getLogger(__name__)

LEVELS = ("off", "files", "full")


def check_training_data(cfg: Any) -> Report:
    """Check what a config trains on; log what it is made of.

    ``DATALOADER.CHECK`` "files" looks for missing files only; "full" opens every file of every
    frame once and remembers that in ``OUTPUT_DIR/data_check.json``; "off" does nothing.

    Args:
        cfg: DATASETS.TRAIN, DATASETS.EXCLUDE, DATALOADER.CHECK, OUTPUT_DIR.

    Returns:
        The findings; warnings (a frame without valid depth) are logged and do not stop training.

    Raises:
        ValueError: an unknown level, or `check_class_counts` found a difference.
        FormatError: files are missing, unreadable or of another size; names the first ones.
    """
    check_class_counts(cfg)
    level = cfg.DATALOADER.CHECK
    if level not in LEVELS:
        raise ValueError(f"DATALOADER.CHECK={level!r} is not one of {', '.join(LEVELS)}")
    report = Report()
    if level == "off":
        return report
    records = video_records(cfg.DATASETS.TRAIN, exclude=cfg.DATASETS.EXCLUDE)
    report.add(missing_files(records, with_depth=cfg.MODEL.DVPS.DEPTH.ENABLED))
    stamp = Path(cfg.OUTPUT_DIR) / "data_check.json"
    content: dict[str, Any] = {
        "datasets": list(cfg.DATASETS.TRAIN),
        "exclude": list(cfg.DATASETS.EXCLUDE),
        "frames": sum(len(record["frames"]) for record in records),
    }
    if level == "full" and not report.has_errors:
        if stamp.is_file() and read_json(str(stamp)) == content:
            logger.info("Training data was checked before (%s)", stamp)
            return report
        open_everything(records, report)
    for line in report.lines():
        logger.info("Training data: %s", line)
    if report.has_errors:
        raise FormatError(
            "the training data has errors; repair them, list frames in DATASETS.EXCLUDE, or look "
            "closer with `dvps check`:\n" + "\n".join(report.lines())
        )
    if level == "full":
        os.makedirs(cfg.OUTPUT_DIR, exist_ok=True)
        write_json(stamp, content)
    return report


def check_class_counts(cfg: Any) -> None:
    """Compare the classes of all datasets of a config with each other and with the model's.

    Raises:
        ValueError: a dataset is not registered, has another number of classes (or of thing
            classes, for a model with a box detector) than the config says, or other classes than
            the first one.
    """
    names = list(dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)))
    first: list[str] | None = None
    for name in names:
        metadata = MetadataCatalog.get(name)
        classes = metadata.get("thing_classes")
        if classes is None:
            raise ValueError(
                f"DATASETS names {name!r}, which is not registered; own data is registered with "
                f"DATASETS.OWN [[{name}, annotations.json]]"
            )
        source = metadata.get("json_file")
        told = f"dataset {name!r}" + (f" ({source})" if source else "")
        counts = [("MODEL.SEM_SEG_HEAD.NUM_CLASSES", cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, classes)]
        if cfg.MODEL.META_ARCHITECTURE == "VPSNet":
            things = [classes[i] for i in metadata.thing_ids]
            counts.append(("MODEL.ROI_HEADS.NUM_CLASSES", cfg.MODEL.ROI_HEADS.NUM_CLASSES, things))
        for key, expected, found in counts:
            if len(found) != expected:
                kind = "classes" if found is classes else "thing classes"
                raise ValueError(
                    f"{key} is {expected}, but {told} has {len(found)} {kind} "
                    f"({', '.join(found[:4])}{', ...' if len(found) > 4 else ''}); set {key} "
                    f"{len(found)}, or name another dataset"
                )
        first = first or classes
        if classes != first:
            place = next(
                i for i, pair in enumerate(zip(classes, first, strict=True)) if len(set(pair)) > 1
            )
            raise ValueError(
                f"{told} has other classes than {names[0]!r}: class {place} is {classes[place]!r}, "
                f"not {first[place]!r}; all datasets of a run must have the same categories"
            )


def missing_files(records: Sequence[dict[str, Any]], *, with_depth: bool) -> list[Finding]:
    """Files that records name and the disk does not have; frames without depth as warnings."""
    findings = []
    for record in records:
        for frame in record["frames"]:
            for key in ("file_name", "pan_seg_file_name", "depth_file_name"):
                path = frame[key]
                if path is not None and not os.path.isfile(path):
                    findings.append(Finding("error", "missing", path, "this file is missing"))
            if with_depth and frame["labelled"] and frame["depth_file_name"] is None:
                told = "no depth file: no depth supervision in this frame"
                findings.append(Finding("warning", "depth", frame["file_name"], told))
    return findings


def open_everything(records: Sequence[dict[str, Any]], report: Report) -> None:
    """Decode every frame once, add findings to ``report``, and log statistics of the classes."""
    pixels: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    shares, ranges, labelled = [], [], 0
    for record in tqdm(
        records, desc="checking training data", unit="video", leave=False, disable=None
    ):
        metadata = MetadataCatalog.get(record["dataset_name"])
        for facts in check_video(READERS[metadata.reader], record, 1):
            report.add(facts.findings)
            labelled += bool(facts.segments)
            for (class_id, _), area in facts.segments.items():
                if class_id < len(metadata.thing_classes):
                    pixels[metadata.thing_classes[class_id]] += area
                    segments[metadata.thing_classes[class_id]] += 1
            shares += [] if facts.depth_share is None else [facts.depth_share]
            ranges += [] if facts.depth_range is None else [facts.depth_range]
    total = max(sum(pixels.values()), 1)
    rows = [
        (name, segments[name], f"{segments[name] / max(labelled, 1):.2f}", f"{count / total:.2%}")
        for name, count in pixels.most_common()
    ]
    header = ("class", "segments", "per frame", "of labelled pixels")
    logger.info("Training data: %d labelled frames\n%s", labelled, tabulate(rows, header))
    if ranges:
        logger.info(
            "Training data: depth on %.1f %% of pixels, %.2f to %.2f m",
            100 * sum(shares) / len(shares),
            min(low for low, _ in ranges),
            max(high for _, high in ranges),
        )
