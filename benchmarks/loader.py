"""Frames per second of the training loader at published sizes, and where its time goes.

Example:
    python benchmarks/loader.py --systems cityscapes_dvps vipseg_online --json loader.json
    python benchmarks/loader.py --memory-only

Street frames of each dataset's size are rendered once (below --root) and read through the real
readers, augmentations and mapper. The last part draws small clips for long and compares resident
memory, all processes together, after 200 and after 2 000 of them: what grows with the number of
items would be a leak. Frames per second depend on what else the machine does, CPU time hardly
does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import torch
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config
from tqdm import tqdm

from dvps_d2.d2 import add_dvps_config, build_clip_train_loader, register_video_dataset
from dvps_d2.d2.data import ClipMapper, mapper, video_records
from dvps_d2.formats import READERS
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MOST_GROWTH = 1.1


@dataclass(frozen=True)
class System:
    """A published way to train.

    Attributes:
        dataset: layout, reader and config.
        size: (height, width) of the frames on disk.
        model: config below ``configs/models`` that says how clips are drawn, or None.
        overrides: further config keys and values.
    """

    dataset: str
    size: tuple[int, int]
    model: str | None = None
    overrides: tuple[Any, ...] = ()


PAIRS = ("INPUT.SAMPLING_FRAME_NUM", 2, "INPUT.SAMPLING_FRAME_RANGE", 1, "INPUT.BOXES", True)
SYSTEMS = {
    "cityscapes_dvps": System("cityscapes_dvps", (1024, 2048), "mindvps_R50"),
    "cityscapes_vps_pairs": System("cityscapes_vps", (1024, 2048), None, PAIRS),
    "viper_pairs": System("viper", (1080, 1920), None, PAIRS),
    "vipseg_online": System("vipseg", (720, 1280), "dvis_online_R50"),
    "vipseg_offline": System("vipseg", (720, 1280), "dvis_offline_R50"),
    "semkitti_dvps": System("semkitti_dvps", (376, 1241), "mindvps_R50"),
}
VIDEOS, FRAMES = 2, 3  # of the street; clips of more frames repeat some of them
SMALL = (96, 192)  # frames of the memory test


# --- data --------------------------------------------------------------------------------------


def write_street(root: Path, dataset: str, size: tuple[int, int], split: str = "train") -> Path:
    """A street in a dataset's layout; what is there already stays."""
    config = StreetConfig(height=size[0], width=size[1], frames=FRAMES)
    folder = root / f"{dataset}_{size[0]}x{size[1]}"
    tree = StreetTree(folder, LAYOUTS[dataset])
    tree.claim(config, 0)
    for index in tqdm(range(VIDEOS), desc=f"rendering {folder.name}", leave=False):
        if not tree.is_complete(split, index, FRAMES):
            tree.write_video(config, split, index, 0)
    tree.finish(split, VIDEOS)
    return folder


def make_config(system: System, dataset_name: str, *overrides: Any) -> Any:
    """The published inputs on a registered dataset."""
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    if system.model is not None:
        cfg.merge_from_file(str(CONFIGS / "models" / f"{system.model}.yaml"))
    cfg.merge_from_file(str(CONFIGS / "datasets" / f"{system.dataset}.yaml"))
    cfg.merge_from_list([*system.overrides, *overrides])
    cfg.DATASETS.TRAIN = (dataset_name,)
    return cfg


# --- time --------------------------------------------------------------------------------------


def loader_speed(cfg: Any, workers: int, batches: int) -> tuple[float, float]:
    """(frames per second, CPU milliseconds per frame over all processes) of the loader alone."""
    cfg = cfg.clone()
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SOLVER.IMS_PER_BATCH = 1
    stream = iter(build_clip_train_loader(cfg))
    for _ in range(1 + 3 * workers):  # workers start, and fill their queues
        next(stream)
    count = 0
    start, cpu = time.perf_counter(), cpu_seconds()
    for batch in islice(stream, batches):
        count += sum(len(item["frames"]) for item in batch)
    return count / (time.perf_counter() - start), 1e3 * (cpu_seconds() - cpu) / count


def cpu_seconds() -> float:
    """CPU time of this process and of its children, user and system."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


class Clock:
    """CPU seconds of functions, each without the time in other timed functions it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with its time taken under ``name``."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.process_time() - start
                self.seconds[name] += spent - self._inner.pop()
                self._inner[-1] += spent

        return wrapper


@contextmanager
def timed_parts(clock: Clock, reader: Any) -> Iterator[None]:
    """Take the CPU time of every part of the mapper."""
    parts = [
        (mapper.utils, "read_image", "decode image"),
        (reader, "read_panoptic", "decode label"),
        (reader, "read_semantic", "decode label"),
        (reader, "read_depth", "decode depth"),
        (ClipMapper, "_images", "transform image"),
        (mapper, "apply_to_numbers", "transform label"),
        (ClipMapper, "_targets", "targets"),
        (ClipMapper, "_depth", "targets"),
        (mapper, "frame_instances", "boxes"),
    ]
    patches = [
        mock.patch.object(owner, name, clock.timed(part, getattr(owner, name)))
        for owner, name, part in parts
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def seconds_of_parts(cfg: Any, dataset_name: str, clips: int) -> dict[str, float]:
    """CPU milliseconds per frame of every part, in this process."""
    clock = Clock()
    records = video_records(dataset_name)
    reader = READERS[mapper.MetadataCatalog.get(dataset_name).reader]
    draw = ClipMapper.from_config(cfg)
    draw(records[0], 0)
    frames = 0
    with timed_parts(clock, reader):
        whole = clock.timed("rest", draw)
        for number in range(1, clips + 1):
            frames += len(whole(records[number % len(records)], number)["frames"])
    return {name: 1e3 * spent / frames for name, spent in clock.seconds.items()}


# --- memory ------------------------------------------------------------------------------------


def resident_mebibytes() -> float:
    """Of this process and its children."""
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    pages = 0
    for pid in pids:
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory_growth(cfg: Any, workers: int, early: int, late: int) -> tuple[float, float]:
    """Resident MiB after ``early`` and after ``late`` items."""
    cfg = cfg.clone()
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SOLVER.IMS_PER_BATCH = 1
    stream = iter(build_clip_train_loader(cfg))
    found = []
    for number, _ in enumerate(tqdm(islice(stream, late), total=late, leave=False), start=1):
        if number in (early, late):
            found.append(resident_mebibytes())
    return found[0], found[1]


# --- command -----------------------------------------------------------------------------------


def measure_time(root: Path, names: list[str], batches: int) -> dict[str, float]:
    """Print the table of speeds and parts; returns its numbers."""
    numbers = {}
    for name in names:
        system = SYSTEMS[name]
        folder = write_street(root, system.dataset, system.size)
        register_video_dataset(f"loader_{name}", system.dataset, folder, "train")
        cfg = make_config(system, f"loader_{name}")
        print(f"\n{name}: {system.size[0]} x {system.size[1]} on disk")
        for workers in (0, 1, 2):
            speed, cpu = loader_speed(cfg, workers, batches)
            numbers[f"loader/{name}/workers_{workers}_fps"] = round(speed, 3)
            numbers[f"loader/{name}/workers_{workers}_cpu_ms"] = round(cpu, 2)
            print(f"  {workers} workers      {speed:8.2f} frames/s, {cpu:6.1f} CPU ms per frame")
        parts = seconds_of_parts(cfg, f"loader_{name}", batches)
        total = sum(parts.values())
        for part, spent in sorted(parts.items(), key=lambda pair: -pair[1]):
            numbers[f"loader/{name}/{part.replace(' ', '_')}_ms"] = round(spent, 2)
            print(f"  {part:16} {spent:8.1f} CPU ms per frame, {spent / total:5.1%}")
    return numbers


def measure_memory(root: Path, early: int, late: int) -> dict[str, float]:
    """Print resident memory early and late; returns the ratios."""
    folder = write_street(root, "cityscapes_dvps", SMALL)
    register_video_dataset("loader_memory", "cityscapes_dvps", folder, "train")
    height, width = SMALL
    overrides = ("INPUT.MIN_SIZE_TRAIN", (height, 2 * height), "INPUT.CROP.SIZE", [height, width])
    cfg = make_config(SYSTEMS["cityscapes_dvps"], "loader_memory", *overrides)
    numbers = {}
    print(f"\nresident memory after {early} and {late} items")
    for workers in (0, 1):
        before, after = memory_growth(cfg, workers, early, late)
        growth = after / before
        verdict = "ok" if growth <= MOST_GROWTH else f"more than {MOST_GROWTH}"
        print(f"  {workers} workers: {before:.0f} MiB, {after:.0f} MiB: {growth:.3f} ({verdict})")
        numbers[f"loader/memory_growth_workers_{workers}"] = round(growth, 4)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--batches", type=int, default=12, help="clips per measurement (12)")
    parser.add_argument("--items", type=int, nargs=2, default=(200, 2000), metavar=("N", "M"))
    parser.add_argument("--memory-only", action="store_true", help="leave the speeds out")
    parser.add_argument("--root", type=Path, help="keep the street there (default: forget it)")
    parser.add_argument("--json", type=Path, help="also write {name: number} here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or Path(scratch)
        numbers = {}
        if not arguments.memory_only:
            numbers |= measure_time(root, arguments.systems, arguments.batches)
        numbers |= measure_memory(root, *arguments.items)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
