"""Cityscapes-DVPS: labels and images from a prepared Cityscapes-VPS beside the released depth.

The release has ``video_sequence/{train,val}/SSSSSS_FFFFFF_<Cityscapes id>_depth.png`` only; images
and labels come from Cityscapes-VPS (``img`` and ``panoptic_inst``) by the Cityscapes id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.cityscapes_dvps import (
    KINDS,
    LABEL_DIVISOR,
    VOID_CLASS,
    find_split_folder,
    index_files,
)
from dvps_d2.formats.cityscapes_vps import FrameName, list_frames
from dvps_d2.formats.classes import VOID
from dvps_d2.formats.errors import TreeError, describe_folder
from dvps_d2.formats.png import read_png, write_png
from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces

SPLITS = ("train", "val")


def prepare(
    root: Path,
    vps: Path,
    *,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    subset: int | None = None,
    how: str = "copy",
) -> None:
    """Add images and labels to the released depth.

    Args:
        root: folder with ``video_sequence``.
        vps: Cityscapes-VPS after its own preparation.
        splits: which splits.
        workers: processes.
        subset: only the first this many videos of each split.
        how: "copy", "hardlink" or "symlink" for images.

    Raises:
        TreeError: a frame with depth has no counterpart in Cityscapes-VPS.
    """
    for split in splits:
        folder = find_split_folder(root, split)
        if not (vps / split / "img").is_dir():
            raise TreeError(
                f"{vps} holds no {split}/img; prepare Cityscapes-VPS first "
                f"(datasets/prepare_cityscapes_vps.py); {describe_folder(vps)}"
            )
        known = {name.cityscapes_id: name for name in list_frames(vps / split / "img")}
        pieces = []
        for video_id, frames in list(index_files(folder).items())[:subset]:
            depths = [files[KINDS["depth"]] for files in frames.values() if KINDS["depth"] in files]
            arguments = (str(vps / split), [(d, _partner(d, known, vps)) for d in depths], how)
            pieces.append(Piece(f"{split}/{video_id}", arguments, f"{len(depths)} frames"))
        run_pieces(
            pieces, complete_video, root, workers=workers, description=f"Cityscapes-DVPS {split}"
        )


def _partner(depth: str, known: dict[str, FrameName], vps: Path) -> FrameName:
    cityscapes_id = Path(depth).name[len("000000_000000_") :].removesuffix("_depth.png")
    if cityscapes_id not in known:
        raise TreeError(f"{depth} is of frame {cityscapes_id}, which {vps} does not hold")
    return known[cityscapes_id]


def complete_video(
    folder: str, frames: Sequence[tuple[str, FrameName]], how: str
) -> list[dict[str, Any]]:
    """Write image and label of every frame of a video.

    Args:
        folder: the split's folder in Cityscapes-VPS.
        frames: depth file and Cityscapes-VPS name of each frame.
        how: see `place_file`.

    Returns:
        The files that were made.
    """
    made = []
    for depth, name in frames:
        stem = depth.removesuffix("_depth.png")
        image = Path(folder, "img", f"{name.image_id}_{name.suffix}.png")
        place_file(image, Path(f"{stem}_{KINDS['image']}.png"), how)
        values = read_png(Path(folder, "panoptic_inst", name.label_name), channels=1, bits=16)
        write_png(f"{stem}_{KINDS['label']}.png", dvps_values(values))
        made.append({"frame": Path(stem).name, "from": name.image_id})
    return made


def dvps_values(values: np.ndarray) -> np.ndarray:
    """``panoptic_inst`` numbers (H, W) uint16 -> class x 1000 + instance, void 32000."""
    stuff = values < LABEL_DIVISOR
    coded = np.where(stuff, values * np.uint16(LABEL_DIVISOR), values)
    return np.where(values == VOID, VOID_CLASS * LABEL_DIVISOR, coded).astype(np.uint16)
