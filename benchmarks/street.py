"""How long a frame of SynthStreet takes on one core.

Example:
    python benchmarks/street.py --videos 20 --json street.json

Medians over videos of CPU time, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2

from dvps_d2.street import PRESETS, StreetVideo, split_seed
from dvps_d2.street.textures import build_atlas

SIZES = ((96, 192), (128, 256), (256, 512))


def cpu_milliseconds(action: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall time of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)


def measure(preset: str, size: tuple[int, int], videos: int) -> dict[str, tuple[float, float]]:
    """Median (CPU, wall) milliseconds of each step."""
    config = replace(PRESETS[preset], height=size[0], width=size[1])
    times: dict[str, list[tuple[float, float]]] = {}
    for index in range(videos):
        video = StreetVideo(config, split_seed("test", index))
        steps = {
            "world": lambda video=video: video.world,
            "frame": lambda video=video: video.render(1),
            "frame with flow": lambda video=video: video.render(2, with_flow=True),
        }
        for name, step in steps.items():
            times.setdefault(name, []).append(cpu_milliseconds(step))
    return {
        name: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for name, rows in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=10, help="videos per row")
    parser.add_argument("--json", type=Path, help="also write {name: CPU milliseconds} here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    build_atlas()
    numbers = {}
    print(f"{'preset':8} {'size':9} {'step':16} {'CPU ms':>8} {'wall ms':>8}")
    for preset in PRESETS:
        for size in SIZES:
            label = f"{size[0]}x{size[1]}"
            for step, (cpu, wall) in measure(preset, size, arguments.videos).items():
                print(f"{preset:8} {label:9} {step:16} {cpu:8.1f} {wall:8.1f}")
                numbers[f"street/{preset}/{label}/{step.replace(' ', '_')}_ms"] = round(cpu, 2)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
