"""Render SynthStreet into the on-disk layout of a real dataset.

Example:
    python datasets/make_street.py --layout cityscapes_dvps --root datasets/street \
        --preset quick --train 400 --val 20 --workers 2

Run it again to continue after an interruption: complete videos are skipped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from dataclasses import replace

import cv2
from tqdm import tqdm

from dvps_d2.street import PRESETS, StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="cityscapes_dvps")
    parser.add_argument("--root", required=True, help="folder to write to; made when missing")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="quick", help="how hard the street is"
    )
    parser.add_argument("--train", type=int, default=400, help="number of training videos")
    parser.add_argument("--val", type=int, default=20, help="number of validation videos")
    parser.add_argument("--test", type=int, default=0, help="number of test videos")
    parser.add_argument("--frames-train", type=int, default=3, help="labelled frames per video")
    parser.add_argument("--frames-val", type=int, default=6, help="the same, for val and test")
    parser.add_argument("--height", type=int, help="pixels (the preset's when left out)")
    parser.add_argument("--width", type=int, help="pixels (the preset's when left out)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another data set")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument(
        "--with-flow",
        action="store_true",
        help="also write flow/SPLIT/VIDEO.npz: flow, valid, poses, intrinsics, seconds",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    layout = LAYOUTS[arguments.layout]
    counts = {"train": arguments.train, "val": arguments.val, "test": arguments.test}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise SystemExit(f"make_street: --train, --val, --test count videos, got {counts}")
    tree = StreetTree(arguments.root, layout)
    size = {k: getattr(arguments, k) for k in ("height", "width") if getattr(arguments, k)}
    config = replace(PRESETS[arguments.preset], **size)
    try:
        tree.claim(config, arguments.seed)
    except (ValueError, OSError) as error:
        raise SystemExit(f"make_street: {error}") from error
    jobs = []
    for split, count in counts.items():
        if count and split not in layout.splits:
            raise SystemExit(f"{layout.name} has no {split} split: use --{split} 0")
        frames = arguments.frames_train if split == "train" else arguments.frames_val
        jobs += [
            (
                tree,
                replace(config, frames=frames),
                split,
                index,
                arguments.seed,
                arguments.with_flow,
            )
            for index in range(count)
        ]
    todo = [
        job
        for job in jobs
        if not tree.is_complete(job[2], job[3], job[1].frames, with_flow=arguments.with_flow)
    ]
    done = len(jobs) - len(todo)
    run(todo, done, max(1, arguments.workers))
    for split, count in counts.items():
        if count:
            tree.finish(split, count)
    print(f"{len(todo)} videos written, {done} were there: {tree.root}")


def run(jobs: list[tuple], done: int, workers: int) -> None:
    """Write the videos, in processes when there is more than one worker."""
    with tqdm(total=done + len(jobs), initial=done, unit="video", desc="street") as bar:
        if workers == 1 or len(jobs) < 2:
            for job in jobs:
                write(job)
                bar.update()
            return
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for _ in pool.imap_unordered(write, jobs, chunksize=4):
                bar.update()


def write(job: tuple[StreetTree, StreetConfig, str, int, int, bool]) -> None:
    """Write one video; one thread, since processes already share the cores."""
    cv2.setNumThreads(1)
    tree, config, split, index, seed, with_flow = job
    tree.write_video(config, split, index, seed, with_flow)


if __name__ == "__main__":
    main()
