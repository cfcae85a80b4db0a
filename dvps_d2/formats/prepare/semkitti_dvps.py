"""SemKITTI-DVPS: the images of the KITTI odometry set beside the released labels and depth."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dvps_d2.formats.errors import TreeError, describe_folder
from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces
from dvps_d2.formats.semkitti_dvps import PATTERN, find_split_folder

SPLITS = ("train", "val")


def prepare(
    root: Path,
    kitti: Path,
    *,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    subset: int | None = None,
    how: str = "copy",
) -> None:
    """Add the images.

    Args:
        root: folder with ``video_sequence``.
        kitti: the odometry set's ``sequences`` folder: ``08/image_2/000000.png``.
        splits: which splits.
        workers: processes.
        subset: only the first this many sequences of each split.
        how: "copy", "hardlink" or "symlink".

    Raises:
        TreeError: wrong folders.
    """
    if not any(kitti.glob("[0-9][0-9]/image_2")):
        raise TreeError(f"expected SS/image_2/FFFFFF.png below {kitti}; {describe_folder(kitti)}")
    for split in splits:
        folder = find_split_folder(root, split)
        frames: dict[str, set[str]] = defaultdict(set)
        for name in os.listdir(folder):
            match = PATTERN.fullmatch(name)
            if match is not None:
                frames[match.group(1)].add(match.group(2))
        pieces = [
            Piece(
                f"{split}/{sequence}",
                (str(folder), str(kitti), sequence, sorted(frames[sequence]), how),
                f"{len(frames[sequence])} frames",
            )
            for sequence in sorted(frames)[:subset]
        ]
        run_pieces(
            pieces, place_images, root, workers=workers, description=f"SemKITTI-DVPS {split}"
        )


def place_images(
    folder: str, kitti: str, sequence: str, frames: Sequence[str], how: str
) -> list[str]:
    """Put the images of one sequence beside its labels; returns the frames."""
    source = Path(kitti, sequence[-2:], "image_2")
    for frame in frames:
        target = Path(folder, f"{sequence}_{frame}_leftImg8bit.png")
        place_file(source / f"{frame}.png", target, how)
    return list(frames)
