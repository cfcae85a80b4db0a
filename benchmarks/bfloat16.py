"""A trained model in bfloat16 against itself in float32: do they say the same?

    python benchmarks/bfloat16.py --run output/street/mindvps_compact --dataset street_val \
        [--videos 10] [--json FILE]

The whole model runs under autocast, the pixel decoder included (``ENCODER_FLOAT32 False``). Keys:

    same_segments  share of the pixels in the same segment: ids of the two runs are paired one to
                   one over a video by what they share, since ids count in order of appearance and
                   one small segment more or less shifts those after it (aim: at least 0.99)
    same_ids       share of the pixels with the same number for an id
    same_classes   share of the pixels with the same class
    speedup        CPU seconds in float32 over those in bfloat16, medians over videos
    depth_change   mean relative change of depth, for models with depth
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from detectron2.data import build_detection_test_loader
from scipy.optimize import linear_sum_assignment

from dvps_d2.d2.data import VideoSampler, WindowMapper, make_windows, video_records
from dvps_d2.d2.predict import load_run

KEYS = ["MODEL.SEM_SEG_HEAD.ENCODER_FLOAT32", "False"]


def stream(model: torch.nn.Module, items: list[dict], half: bool) -> tuple[list[Any], float]:
    """(ids, classes, depth or None) of every frame, and the CPU seconds that they took."""
    frames = []
    start = time.process_time()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        for item in items:
            (output,) = model([item])
            for frame in output["frames"]:
                ids, info = frame["panoptic_seg"]
                class_of = torch.zeros(int(ids.max()) + 1, dtype=torch.int64)
                for segment in info:
                    class_of[segment["id"]] = segment["category_id"] + 1
                frames.append((ids, class_of[ids.long()], frame.get("depth")))
    return frames, time.process_time() - start


def share_of_paired(ids: torch.Tensor, other: torch.Tensor) -> float:
    """Share of pixels on which two (T, H, W) id maps agree once ids are paired; 0 is void."""
    shared = torch.zeros(int(ids.max()) + 1, int(other.max()) + 1, dtype=torch.int64)
    ones = torch.ones(ids.numel(), dtype=torch.int64)
    shared.index_put_((ids.flatten().long(), other.flatten().long()), ones, accumulate=True)
    segments = shared[1:, 1:].numpy()
    rows, columns = linear_sum_assignment(segments, maximize=True)
    return float(shared[0, 0] + segments[rows, columns].sum()) / ids.numel()


def measure(run: str, dataset: str, videos: int) -> dict[str, float]:
    """Stream the first videos of a dataset in both precisions."""
    cfg, model = load_run(run, options=KEYS)
    found: dict[str, list[float]] = {}
    for record in video_records(dataset)[:videos]:
        windows = make_windows([record], cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE)
        loader = build_detection_test_loader(
            windows,
            mapper=WindowMapper.from_config(cfg),
            sampler=VideoSampler(windows),
            num_workers=0,
        )
        items = [item for batch in loader for item in batch]
        (full, slow), (half, fast) = (stream(model, items, half) for half in (False, True))
        found.setdefault("speedup", []).append(slow / fast)
        pair = torch.stack([torch.stack([ids for ids, *_ in frames]) for frames in (full, half)])
        found.setdefault("same_segments", []).append(share_of_paired(*pair))
        for (ids, classes, depth), (other_ids, other_classes, other_depth) in zip(
            full, half, strict=True
        ):
            found.setdefault("same_ids", []).append((ids == other_ids).double().mean().item())
            same = (classes == other_classes).double().mean().item()
            found.setdefault("same_classes", []).append(same)
            if depth is not None:
                known = depth > 0
                change = ((other_depth - depth).abs() / depth)[known].mean().item()
                found.setdefault("depth_change", []).append(change)
    middle = {"speedup": statistics.median}
    return {name: middle.get(name, statistics.fmean)(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="OUTPUT_DIR of a training run")
    parser.add_argument("--dataset", default="street_val")
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if len(sys.argv) == 1:  # `make bench` runs every script; this one needs a trained model
        print("bfloat16: no --run, nothing to compare; see --help")
        return
    if args.run is None:
        parser.error("--run is missing")
    torch.set_num_threads(1)
    results = measure(args.run, args.dataset, args.videos)
    print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    if args.json:
        args.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
