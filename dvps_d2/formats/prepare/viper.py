"""VIPER for video panoptic segmentation, from its raw class and instance images.

Makes ``SPLIT_day/img``, ``SPLIT_day/panoptic_video`` and
``viper_panoptic_SPLIT_day_video.json``. Which sequences are filmed by day is listed on the
dataset's page and not in its files, so the sequences are an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dvps_d2.formats.files import write_json
from dvps_d2.formats.png import write_png
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces
from dvps_d2.formats.records import VideoRecord
from dvps_d2.formats.viper import VIPER, crowd_number, json_name

SPLITS = ("train", "val")


def prepare(
    root: Path,
    out: Path | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    sequences: Collection[str] | None = None,
    frame_limit: int | None = None,
    step: int = 1,
    workers: int = 0,
    subset: int | None = None,
    how: str = "hardlink",
) -> None:
    """Convert the chosen sequences.

    Args:
        root: the raw download.
        out: where to; ``root`` itself by default.
        splits: which splits.
        sequences: ids, "001"; None for all there are.
        frame_limit: the first this many frames of each sequence; None for all.
        step: take every ``step``-th of them.
        workers: processes.
        subset: only the first this many sequences of each split.
        how: "copy", "hardlink" or "symlink" for images.
    """
    out = out or root
    for split in splits:
        chosen = sequences
        if chosen is not None:
            chosen = [s for s in chosen if (root / split / "img" / s).is_dir()]
            if not chosen:
                continue
        records = VIPER(chosen, frame_limit).load_raw_records(root, split)[:subset]
        for record in records:
            record["frames"] = record["frames"][::step]
        pieces = [
            Piece(
                f"{split}/{record['video_id']}",
                (str(out), split, record, how),
                f"frames {[frame['frame_id'] for frame in record['frames']]}",
            )
            for record in records
        ]
        results = run_pieces(
            pieces, convert_sequence, out, workers=workers, description=f"VIPER {split}"
        )
        write_json(out / json_name(split), annotations_json(results))


def annotations_json(results: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
    """The JSON of converted sequences, frames of a sequence one after the other."""
    entries = [entry for sequence in results for entry in sequence]
    return {
        "images": [entry["image"] for entry in entries],
        "annotations": [entry["annotation"] for entry in entries],
        "categories": VIPER.categories.categories(),
    }


def convert_sequence(out: str, split: str, record: VideoRecord, how: str) -> list[dict[str, Any]]:
    """Write one sequence; returns an ``image`` and an ``annotation`` for each frame."""
    reader, ids = _reader(), _ids()
    folder = Path(out, f"{split}_day")
    entries = []
    for frame in record["frames"]:
        source = Path(frame["file_name"])
        name = f"{record['video_id']}/{source.name}"
        place_file(source, folder / "img" / name, how)
        label = reader.read_panoptic(frame)
        crowds = {c: crowd_number(c) for c in reader.categories.thing_ids}
        rgb, info = encode_label(label.class_ids, label.track_ids, ids, crowds)
        write_png(folder / "panoptic_video" / f"{source.stem}.png", rgb)
        height, width = label.shape
        entries.append(
            {
                "image": {
                    "id": source.stem,
                    "width": width,
                    "height": height,
                    "file_name": name,
                },
                "annotation": {
                    "image_id": source.stem,
                    "file_name": f"{source.stem}.png",
                    "segments_info": info,
                },
            }
        )
    return entries


@cache
def _reader() -> VIPER:
    return VIPER()


@cache
def _ids() -> PanopticIds:
    return PanopticIds(VIPER.categories)
