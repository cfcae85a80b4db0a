"""Frames per second of trained runs on the same videos, taken in turns.

    python benchmarks/run_speed.py output/street/vpsnet_siamtrack_compact \
        output/street/vpsnet_fusetrack_compact --dataset street_val --videos 10

Every video goes through every run before the next one comes, so that a busy minute of the machine
is shared by all. Images are read before the clock starts; prediction and fusion count, writing does
not. Weights are those of the runs: how long a frame takes depends on what is found in it.

Keys: ``fps`` (wall), ``cpu_ms`` (CPU milliseconds per frame) and ``fps_ratio`` (over the first
run, by CPU seconds, which other work on the machine disturbs less) with the name of the run.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from detectron2.data import DatasetCatalog

from dvps_d2.d2.data import WindowMapper, make_windows
from dvps_d2.d2.predict import load_run

WARM_UP = 1  # videos of every run that are not counted


def stream(model: torch.nn.Module, items: list[dict]) -> tuple[int, float, float]:
    """Frames, wall seconds and CPU seconds of one video, given as its windows."""
    device = next(model.parameters()).device
    started = time.perf_counter(), time.process_time()
    frames = 0
    with torch.no_grad():
        for item in items:
            (output,) = model([item])
            frames += sum(1 for _ in output["frames"])
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return frames, time.perf_counter() - started[0], time.process_time() - started[1]


def measure(runs: list[Path], dataset: str, videos: int, options: list[str]) -> dict[str, dict]:
    """Run -> frames per second (wall), CPU milliseconds per frame."""
    loaded = {str(run): load_run(run, options=options) for run in runs}
    totals = {name: [0, 0.0, 0.0] for name in loaded}
    records = DatasetCatalog.get(dataset)[: videos + WARM_UP]
    for place, record in enumerate(records):
        for name, (cfg, model) in loaded.items():
            mapper = WindowMapper.from_config(cfg)
            windows = make_windows([dict(record)], cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE)
            spent = stream(model, [mapper(window) for window in windows])
            if place >= WARM_UP:
                totals[name] = [a + b for a, b in zip(totals[name], spent, strict=True)]
    return {
        name: {"fps": frames / wall, "cpu_ms": 1000 * cpu / frames}
        for name, (frames, wall, cpu) in totals.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="OUTPUT_DIRs of training runs")
    parser.add_argument("--dataset", default="street_val", help="registered name")
    parser.add_argument("--videos", type=int, default=10, help="beside one to warm up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--opts", nargs="+", default=[], help="config overrides of all runs")
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if len(sys.argv) == 1:  # `make bench` runs every script; this one needs runs
        print("run_speed: no run to time; see --help")
        return
    if len(set(args.runs)) < 2:
        parser.error("name at least two runs to compare")
    if args.videos < 1:
        parser.error("--videos must be at least 1")
    torch.set_num_threads(args.threads)
    found = measure(args.runs, args.dataset, args.videos, args.opts)
    first = next(iter(found.values()))
    wide = max(map(len, found))
    print(f"{'':{wide}} {'fps':>7} {'CPU ms':>7} {'ratio':>6}")
    for name, row in found.items():
        row["fps_ratio"] = first["cpu_ms"] / row["cpu_ms"]
        print(f"{name:{wide}} {row['fps']:7.2f} {row['cpu_ms']:7.1f} {row['fps_ratio']:6.2f}")
    if args.json:
        flat = {f"{key} {name}": v for name, row in found.items() for key, v in row.items()}
        args.json.write_text(json.dumps(flat, indent=2) + "\n")


if __name__ == "__main__":
    main()
