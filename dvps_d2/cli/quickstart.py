"""``dvps quickstart``: what a street training run gives, as numbers, pictures and a video.

Example:
    dvps quickstart --run output/demo
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats import READERS, VOID
from dvps_d2.metrics import (
    ClassSet,
    LabelMap,
    Listing,
    VideoCounter,
    empty_counts,
    get_protocol,
    joint_map,
    summarize,
)
from dvps_d2.visualize import Palette, VideoWriter, result_sheet

DATASET = "street_val"
SHEETS = 3  # videos drawn as contact sheets
FILMED = 8  # videos in the film
FRAMES_PER_SECOND = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``dvps quickstart``."""
    parser.add_argument("--run", required=True, type=Path, help="OUTPUT_DIR of the training run")


def run(args: argparse.Namespace) -> int:
    """Summarise a run; returns the exit code."""
    scores = args.run / "inference" / DATASET / f"{DATASET}_scores.json"
    training = args.run / "training.json"
    for needed in (scores, training):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} is missing: train first, with python train_net.py --config-file "
                f"configs/experiments/street/mindvps_compact.yaml OUTPUT_DIR {args.run}"
            )
    # Only here, so that `dvps --help` needs neither torch nor Detectron2.
    from dvps_d2.d2.data import registered
    from dvps_d2.d2.predict import load_run

    cfg, model = load_run(args.run)
    truth, metadata = registered(DATASET)
    baseline = score_baseline(registered("street_train")[0], truth, metadata)
    result = table(json.loads(scores.read_text()), baseline, json.loads(training.read_text()))
    (args.run / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    pictures = draw_pictures(cfg, model, truth, metadata, args.run)
    print_table(result)
    print("Look at: " + "  ".join(str(path) for path in (*pictures, args.run / "result.json")))
    return 0


def table(scores: dict, baseline: dict, training: dict) -> dict[str, float]:
    """The numbers of the quick start, 0..100, and what the training cost."""
    percent = {
        "vpq": scores["vpq"]["mean"]["all"],
        "vpq_things": scores["vpq"]["mean"]["things"],
        "dvpq": scores["dvpq"]["mean"]["all"],
        "vpq_k1": scores["vpq"]["1"]["all"]["pq"],
        "vpq_k4": scores["vpq"]["4"]["all"]["pq"],
        "baseline_vpq": baseline["vpq"]["mean"]["all"],
        "baseline_dvpq": baseline["dvpq"]["mean"]["all"],
    }
    costs = {
        "train_seconds": round(training["seconds"], 1),
        "train_cpu_seconds": round(training["cpu_seconds"], 1),
        "iterations": training["iterations"],
    }
    return {name: round(100 * value, 3) for name, value in percent.items()} | costs


def print_table(result: dict[str, float]) -> None:
    """The result as people read it."""
    print(f"\n{'':22}{'VPQ':>8}{'DVPQ':>8}")
    print(f"{'MinDVPS, trained':22}{result['vpq']:8.1f}{result['dvpq']:8.1f}")
    print(f"{'most frequent class':22}{result['baseline_vpq']:8.1f}{result['baseline_dvpq']:8.1f}")
    print(
        f"things {result['vpq_things']:.1f}; VPQ over 1 frame {result['vpq_k1']:.1f}, over 4 "
        f"frames {result['vpq_k4']:.1f}; {result['iterations']} iterations in "
        f"{result['train_seconds'] / 60:.1f} minutes\n"
    )


def score_baseline(train: list[dict], val: list[dict], metadata: Any) -> dict:
    """Scores of predicting, everywhere, the class that the training set shows there most often.

    Depth is the median of the training set; a thing class is one object.

    Returns:
        A result as :func:`dvps_d2.metrics.summarize` gives it.
    """
    reader = READERS[metadata.reader]
    names, things = tuple(metadata.thing_classes), tuple(metadata.thing_ids)
    class_map, metres = most_frequent(train, reader, len(names))
    classes = ClassSet(names, things)
    protocol = get_protocol(
        "cityscapes_dvps", metrics=("vpq", "dvpq"), eval_classes=tuple(metadata.eval_classes)
    )
    present = np.unique(class_map).tolist()
    info = [{"id": c + 1, "category_id": c, "isthing": c in things} for c in present]
    prediction = LabelMap(
        class_map.astype(np.int64) + 1, Listing.from_info(info, num_classes=len(names))
    )
    depth = np.full(class_map.shape, metres, dtype=np.float32)
    total = empty_counts(protocol, classes)
    for record in val:
        counter = VideoCounter(protocol, classes)
        for frame in record["frames"]:
            label = reader.read_panoptic(frame)
            truth = joint_map(label.class_ids, label.track_ids, crowd_classes=things)
            counter.count(truth, prediction, truth_depth=reader.read_depth(frame), pred_depth=depth)
        total = total + counter.counts()
    return summarize(total, protocol, classes)


def most_frequent(records: list[dict], reader: Any, num_classes: int) -> tuple[np.ndarray, float]:
    """(H, W) most frequent class at every pixel, and the median depth in metres."""
    votes, depths = None, []
    for record in records:
        for frame in record["frames"]:
            classes = reader.read_panoptic(frame).class_ids
            if votes is None:
                votes = np.zeros((num_classes, *classes.shape), dtype=np.int32)
            for class_id in np.unique(classes[classes != VOID]):
                votes[class_id] += classes == class_id
            measured = reader.read_depth(frame)
            depths.append(np.median(measured[measured > 0]))
    return votes.argmax(axis=0).astype(np.uint8), float(np.median(depths))


def draw_pictures(
    cfg: Any, model: Any, records: list[dict], metadata: Any, folder: Path
) -> list[Path]:
    """A contact sheet per video, and one film of several videos."""
    from PIL import Image
    from tqdm import tqdm

    from dvps_d2.d2.pictures import sheet_frames

    palette = Palette(metadata.thing_colors, metadata.thing_ids)
    names = list(metadata.thing_classes)
    written = []
    film = folder / "demo.mp4"
    with VideoWriter(film, FRAMES_PER_SECOND) as video:
        for place, record in enumerate(tqdm(records[:FILMED], desc="drawing", unit="video")):
            rows = list(sheet_frames(cfg, model, record, metadata))
            for row in rows:
                video.write(result_sheet([row], palette, names))
            if place < SHEETS:
                path = folder / f"sheet_{record['video_id']}.png"
                Image.fromarray(result_sheet(rows, palette, names)).save(path)
                written.append(path)
    return [*written, film]
