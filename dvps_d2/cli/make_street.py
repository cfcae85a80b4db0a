"""Render SynthStreet into the on-disk layout of a real dataset.

examples:
  dvps make-street --layout cityscapes_dvps --root datasets/street \\
      --preset quick --train 400 --val 20 --workers 2
  python datasets/make_street.py --layout cityscapes_dvps --root datasets/street

Run it again to continue after an interruption: complete videos are skipped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from dataclasses import replace

import cv2
from tqdm import tqdm

from dvps_d2.street import PRESETS, StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

Job = tuple[StreetTree, StreetConfig, str, int, int, bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps make-street``."""
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
        help="also write the true flow between neighbours, flow/SPLIT/VIDEO/KEY_REFERENCE.npy",
    )


def run(args: argparse.Namespace) -> int:
    """Render what is not there yet; returns the exit code.

    Raises:
        ValueError: no video is asked for, the folder holds another street, or the layout has no
            such split.
        OSError: it cannot be written to.
    """
    layout = LAYOUTS[args.layout]
    counts = {"train": args.train, "val": args.val, "test": args.test}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise ValueError(f"--train, --val, --test count videos, got {counts}")
    for split, count in counts.items():
        if count and split not in layout.splits:
            raise ValueError(f"{layout.name} has no {split} split: use --{split} 0")
    size = {k: getattr(args, k) for k in ("height", "width") if getattr(args, k) is not None}
    config = replace(PRESETS[args.preset], **size)
    tree = StreetTree(args.root, layout)
    if tree.root.exists() and not tree.root.is_dir():
        raise ValueError(f"--root must be a folder, or not exist yet; {tree.root} is a file")
    tree.claim(config, args.seed)
    frames = {"train": args.frames_train, "val": args.frames_val, "test": args.frames_val}
    jobs: list[Job] = [
        (tree, replace(config, frames=frames[split]), split, index, args.seed, args.with_flow)
        for split, count in counts.items()
        for index in range(count)
    ]
    todo = [
        job
        for job in jobs
        if not tree.is_complete(job[2], job[3], job[1].frames, with_flow=args.with_flow)
    ]
    done = len(jobs) - len(todo)
    write_all(todo, done, max(1, args.workers))
    for split, count in counts.items():
        if count:
            tree.finish(split, count)
    sys.stdout.write(f"{len(todo)} videos written, {done} were there: {tree.root}\n")
    return 0


def write_all(jobs: list[Job], done: int, workers: int) -> None:
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


def write(job: Job) -> None:
    """Write one video; one thread, since processes already share the cores."""
    cv2.setNumThreads(1)
    tree, config, split, index, seed, with_flow = job
    tree.write_video(config, split, index, seed, with_flow)
