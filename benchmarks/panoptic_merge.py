"""The merge of masks: the compiled op beside the published order of steps in plain PyTorch.

    python benchmarks/panoptic_merge.py [--json FILE] [--quick] [--threads N]

A tube of 8 frames at 720x1280 from masks on a grid of stride 4, with 20 and with 100 masks that
compete. The other side, ``dvps_d2.ops.reference.panoptic_merge``, resizes all masks, crops them,
takes the sigmoid, compares, and counts, as the published video models do; it needs up to 10 GB.
Inputs are smooth blobs that overlap: random logits on a coarse grid, enlarged. Both sides run in
this process, in turns, on one thread unless asked otherwise; ratios are medians over rounds of CPU
seconds (one round where it is no ``speed``), with wall time beside them. Keys:

    speed_N      plain over compiled, CPU seconds, with N masks
    memory_N     peak growth of the process, plain over compiled, with N masks
    equal_N      share of pixels with the same owner on both sides
    resized_N    as speed_N where the frame has 480 rows and its probabilities are resized to 720
    noise_N      as speed_N on noise, the worst case: no mask can be left out early
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.ops import extension, panoptic_merge, reference, use_path

GIB = 2**30


class Case(NamedTuple):
    """Sizes of one merge, and what its masks look like."""

    key: str
    grid: tuple[int, int]
    padded: tuple[int, int]
    valid: tuple[int, int]
    output: tuple[int, int] = (720, 1280)
    noise: bool = False


CASES = [
    Case("speed", (184, 320), (736, 1280), (720, 1280)),
    Case("resized", (120, 216), (480, 864), (480, 854)),
    Case("noise", (184, 320), (736, 1280), (720, 1280), noise=True),
]


def inputs(case: Case, masks: int, frames: int) -> tuple[Tensor, Tensor]:
    """Logits (N, T, h, w): about one mask in eleven covers a pixel; scores from 0.8 to 1."""
    generator = torch.Generator().manual_seed(0)
    height, width = case.grid
    scores = 0.8 + 0.2 * torch.rand(masks, generator=generator)
    if case.noise:
        return 3 * torch.randn(masks, frames, height, width, generator=generator), scores
    coarse = torch.randn(masks, frames, height // 12, width // 12, generator=generator)
    return 6 * F.interpolate(coarse, size=case.grid, mode="bicubic") - 8, scores


class Cost(NamedTuple):
    """What one call took, and what it gave."""

    cpu: float  # seconds
    wall: float
    memory: int  # bytes that the process grew by, at most
    owner: Tensor


def cost(call: Callable[[], tuple[Tensor, Tensor]]) -> Cost:
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("/proc/self/status", "VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    owner, _ = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    growth = _status("/proc/self/status", "VmHWM") - before
    return Cost(cpu, wall, max(growth, 1), owner)


def _status(file: str, key: str) -> int:
    for line in Path(file).read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{file} has no {key}")


def check_memory(masks: int, frames: int) -> None:
    """Refuse what would not fit: the plain side holds three sets of full-size masks."""
    needed = 3.3 * 4 * masks * frames * 736 * 1280
    free = _status("/proc/meminfo", "MemAvailable")
    if needed > free:
        raise SystemExit(
            f"{masks} masks of {frames} frames need {needed / GIB:.1f} GiB in plain PyTorch, and "
            f"{free / GIB:.1f} GiB are free; use --quick"
        )


def measure(case: Case, masks: int, frames: int, rounds: int) -> dict[str, float]:
    logits, scores = inputs(case, masks, frames)
    sizes = (case.padded, case.valid, case.output)

    def plain() -> tuple[Tensor, Tensor]:
        return reference.panoptic_merge(logits, scores, *sizes)

    def compiled() -> tuple[Tensor, Tensor]:
        with use_path("compiled"):
            return panoptic_merge(logits, scores, *sizes)

    compiled()
    costs = [(cost(plain), cost(compiled)) for _ in range(rounds)]
    for side, name in enumerate(("plain", "compiled")):
        cpu = statistics.median(row[side].cpu for row in costs)
        wall = statistics.median(row[side].wall for row in costs)
        memory = statistics.median(row[side].memory for row in costs) / 2**20
        print(
            f"{masks:>4} masks  {case.key:<8} {name:<9} {cpu:8.3f} s CPU {wall:8.3f} s wall "
            f"{memory:8.0f} MiB",
            flush=True,
        )
    results = {f"{case.key}_{masks}": statistics.median(a.cpu / b.cpu for a, b in costs)}
    if case.key == "speed":
        slow, fast = costs[-1]
        results[f"memory_{masks}"] = statistics.median(a.memory / b.memory for a, b in costs)
        results[f"equal_{masks}"] = (slow.owner == fast.owner).double().mean().item()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {key: number} to this file")
    parser.add_argument("--quick", action="store_true", help="2 frames, one round")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not extension.has_kernel("cpu"):
        parser.error("no compiled op: build it with DVPS_BUILD_OPS=1")
    torch.set_num_threads(options.threads)
    frames, rounds = (2, 1) if options.quick else (8, 3)
    print(
        f"{torch.ops.dvps_d2.cpu_capability()}, torch {torch.__version__}, {options.threads} "
        f"thread(s), {frames} frames, load {os.getloadavg()[0]:.1f}"
    )
    results: dict[str, float] = {}
    for masks in (20, 100):
        check_memory(masks, frames)
        for case in CASES:
            results |= measure(case, masks, frames, rounds if case.key == "speed" else 1)
    for key, number in results.items():
        print(
            f"{key:<12} {number:12.7f}" if key.startswith("equal") else f"{key:<12} {number:8.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
