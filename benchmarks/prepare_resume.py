"""Preparing Cityscapes-VPS with kill -9 in between: what is lost, and what is done twice.

Example:
    python benchmarks/prepare_resume.py --frames 300
    python benchmarks/prepare_resume.py --frames 3000 --kills 3 --workers 8 --json resume.json

A few videos of street are rendered; they stand in for all others by hard links under other names,
so that every frame is decoded and encoded as in the real set. One copy is prepared without
interruption, another is killed and continued. Exits with 1 unless both hold the same bytes, no
finished video was done again, and nothing half-written is left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from dvps_d2.formats.cityscapes_vps import LABELLED_PER_VIDEO
from dvps_d2.formats.files import PARTIAL_SUFFIX
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

SCRIPT = Path(__file__).resolve().parents[1] / "datasets" / "prepare_cityscapes_vps.py"
RAW = ("img", "cls", "inst")
MADE = ("labelmap", "panoptic_inst", "panoptic_video")
POLL = 0.02  # seconds


def render(root: Path, videos: int, size: tuple[int, int]) -> Path:
    """The training split of some videos; returns its folder."""
    config = StreetConfig(height=size[0], width=size[1], frames=LABELLED_PER_VIDEO)
    tree = StreetTree(root, LAYOUTS["cityscapes_vps"])
    for index in tqdm(range(videos), desc="rendering", unit="video"):
        tree.write_video(config, "train", index, 0)
    return root / "train"


def download(street: Path, root: Path, videos: int) -> Path:
    """A download of any number of videos, as hard links to the rendered ones."""
    for kind in RAW:
        folder = root / "train" / kind
        folder.mkdir(parents=True)
        names = sorted(os.listdir(street / kind))
        rendered = len(names) // LABELLED_PER_VIDEO
        for video in range(videos):
            first = video % rendered * LABELLED_PER_VIDEO
            for place, name in enumerate(names[first : first + LABELLED_PER_VIDEO]):
                rest = name.split("_", 2)[2]
                number = LABELLED_PER_VIDEO * video + place + 1
                os.link(street / kind / name, folder / f"{video + 1:04d}_{number:04d}_{rest}")
    return root


def command(root: Path, workers: int) -> list[str]:
    arguments = ["--root", root, "--splits", "train", "--workers", workers]
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def receipts(root: Path) -> dict[str, int]:
    """Finished videos -> when they were finished."""
    found = (root / ".prepared" / "train").glob("*.json")
    return {path.name: path.stat().st_mtime_ns for path in found if path.name[0] != "."}


def prepare(root: Path, workers: int) -> float:
    """Prepare to the end; returns seconds."""
    start = time.perf_counter()
    subprocess.run(command(root, workers), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def prepare_until(root: Path, workers: int, videos: int) -> int:
    """Prepare and kill -9 once this many videos are finished; returns how many there are."""
    process = subprocess.Popen(command(root, workers), stdout=subprocess.DEVNULL)
    while len(receipts(root)) < videos and process.poll() is None:
        time.sleep(POLL)
    if process.poll() is not None:
        raise SystemExit("the run ended before it could be killed: ask for more --frames")
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(receipts(root))


def still_at_work(root: Path) -> bool:
    """Whether processes that were left over go on writing."""
    before = receipts(root)
    time.sleep(3)
    return receipts(root) != before


def digests(root: Path) -> dict[str, str]:
    """Every made file -> its SHA-256."""
    paths = [path for kind in MADE for path in (root / "train" / kind).iterdir()]
    paths += root.glob("*.json")
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tqdm(paths, desc="comparing", unit="file", leave=False)
    }


def compare(root: Path, size: tuple[int, int], frames: int, kills: int, workers: int) -> dict:
    """Do it; returns numbers, prints what happened."""
    videos = max(kills + 2, frames // LABELLED_PER_VIDEO)
    street = render(root / "street", min(4, videos), size)
    whole = download(street, root / "whole", videos)
    killed = download(street, root / "killed", videos)
    seconds = prepare(whole, workers)
    print(f"{videos} videos, {videos * LABELLED_PER_VIDEO} frames of {size[0]} x {size[1]}")
    print(f"uninterrupted: {seconds:.1f} s")
    start = time.perf_counter()
    finished: dict[str, int] = {}
    orphans = redone = 0
    for number in range(kills):
        there = prepare_until(killed, workers, videos * (number + 1) // (kills + 1))
        orphans += still_at_work(killed)
        print(f"kill -9 with {there} of {videos} videos finished")
        now = receipts(killed)
        redone += sum(now[name] != when for name, when in finished.items())
        finished = now
    prepare(killed, workers)
    interrupted = time.perf_counter() - start
    now = receipts(killed)
    redone += sum(now[name] != when for name, when in finished.items())
    expected, found = digests(whole), digests(killed)
    different = sum(expected.get(name) != value for name, value in found.items())
    again = prepare(killed, workers)
    partial = sum(1 for _ in killed.rglob(f"*{PARTIAL_SUFFIX}*"))
    untouched = receipts(killed) == now
    print(f"killed {kills} times and continued: {interrupted:.1f} s")
    print(
        f"run again when all is there: {again:.1f} s, {'nothing' if untouched else 'SOME'} redone"
    )
    numbers = {
        "prepare/frames": videos * LABELLED_PER_VIDEO,
        "prepare/seconds": round(seconds, 2),
        "prepare/seconds_with_kills": round(interrupted, 2),
        "prepare/files_missing": len(expected.keys() - found.keys()),
        "prepare/files_different": different,
        "prepare/videos_redone": redone,
        "prepare/files_half_written": partial,
        "prepare/runs_with_orphans": orphans,
    }
    for name, value in list(numbers.items())[3:]:
        print(f"{name.removeprefix('prepare/').replace('_', ' '):20} {value}")
    return numbers


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=300, help="labelled frames (300)")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("H", "W"))
    parser.add_argument("--kills", type=int, default=2, help="how often to kill (2)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--root", type=Path, help="where to work; deleted afterwards")
    parser.add_argument("--json", type=Path, help="also write {name: number} here")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="prepare_resume_", dir=arguments.root))
    size = tuple(arguments.size)
    try:
        numbers = compare(root, size, arguments.frames, arguments.kills, arguments.workers)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")
    return 1 if any(list(numbers.values())[3:]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
