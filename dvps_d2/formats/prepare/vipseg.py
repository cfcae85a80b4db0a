"""VIPSeg at 720 rows from its download.

Makes ``images`` (JPEG), ``panomasks`` (raw numbers), ``panomasksRGB`` and
``panoptic_gt_VIPSeg.json`` with its parts for train, val and test. Width is
``int(720 * w / h)``, images are scaled bilinearly and masks by nearest pixel, as the dataset's
own scripts do; ids of things are numbers here, not random colours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import FormatError, tree_error
from dvps_d2.formats.files import atomic_path, write_json
from dvps_d2.formats.png import read_png, write_png
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.prepare.work import Piece, run_pieces
from dvps_d2.formats.vipseg import (
    CONVERTED_FOLDER,
    EXPECTED_RAW,
    FIRST_INSTANCE_VALUE,
    INSTANCE_DIVISOR,
    json_name,
    raw_tables,
    read_video_list,
)

logger = logging.getLogger(__name__)

ROWS = 720
JPEG_QUALITY = 95
SPLITS = ("train", "val", "test")
TABLE = class_table("vipseg")


def prepare(
    root: Path,
    out: Path | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    subset: int | None = None,
    rows: int = ROWS,
) -> None:
    """Convert every listed video.

    Args:
        root: the download.
        out: where to; ``root/VIPSeg_720P`` by default.
        splits: which lists to take; one that is not there is passed over with a message.
        workers: processes.
        subset: only the first this many videos of each list.
        rows: height of the converted frames in pixels.
    """
    out = out or root / CONVERTED_FOLDER
    if not (root / "imgs").is_dir():
        raise tree_error("VIPSeg", root, EXPECTED_RAW)
    everything = []
    for split in splits:
        listing = root / f"{split}.txt"
        if not listing.is_file():
            logger.warning("%s is not there: split %r is left out", listing, split)
            continue
        # The official JSONs are in order of folder name, whatever the order of the list.
        videos = sorted(read_video_list(listing)[:subset])
        pieces = [
            Piece(
                f"{split}/{video}",
                (str(root), str(out), video, split != "test", rows),
                f"{rows} rows",
            )
            for video in videos
        ]
        results = run_pieces(
            pieces, convert_video, out, workers=workers, description=f"VIPSeg {split}"
        )
        write_json(out / json_name(split), annotations_json(results))
        everything += results
    everything.sort(key=lambda result: result["video"]["video_id"])
    labelled = [result for result in everything if result["labelled"]]
    write_json(out / "panoptic_gt_VIPSeg.json", annotations_json(labelled))


def annotations_json(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON of a set of converted videos."""
    return {
        "videos": [result["video"] for result in results],
        "annotations": [result["annotation"] for result in results],
        "categories": TABLE.categories(),
    }


def convert_video(root: str, out: str, video: str, labelled: bool, rows: int) -> dict[str, Any]:
    """Write one video's frames and labels.

    Returns:
        Its ``video`` and ``annotation`` entries of the JSON, and whether it is ``labelled``.
    """
    images, annotations = [], []
    sources = sorted(Path(root, "imgs", video).glob("*.jpg"))
    if not sources:
        raise FormatError(f"{Path(root, 'imgs', video)} holds no .jpg frame")
    for source in sources:
        mask_path = Path(root, "panomasks", video, f"{source.stem}.png")
        if labelled and not mask_path.is_file():
            continue
        height, width = resize_image(source, Path(out, "images", video, source.name), rows)
        name = f"{source.stem}.png"
        info: list[dict[str, Any]] = []
        if labelled:
            mask = cv2.resize(
                read_png(mask_path, channels=1), (width, height), interpolation=cv2.INTER_NEAREST
            )
            write_png(Path(out, "panomasks", video, name), mask)
            rgb, info = encode_mask(mask, str(mask_path))
            write_png(Path(out, "panomasksRGB", video, name), rgb)
        images.append({"id": source.stem, "width": width, "height": height, "file_name": name})
        annotations.append({"image_id": source.stem, "file_name": name, "segments_info": info})
    return {
        "video": {"video_id": video, "images": images},
        "annotation": {"video_id": video, "annotations": annotations},
        "labelled": labelled,
    }


def resize_image(source: Path, target: Path, rows: int) -> tuple[int, int]:
    """Scale an image to ``rows`` rows and write it as JPEG; returns (height, width)."""
    try:
        with Image.open(source) as image:
            width = int(rows * image.width / image.height)
            resized = image.convert("RGB").resize((width, rows), Image.Resampling.BILINEAR)
    except OSError as error:
        raise FormatError(f"{source} is not a readable image: {error}") from error
    with atomic_path(target) as partial:
        resized.save(partial, quality=JPEG_QUALITY)
    return rows, width


def encode_mask(mask: np.ndarray, path: str = "mask") -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A raw mask (H, W) as RGB ids and segments in ascending order of raw value."""
    class_of, track_of, unknown = _tables()
    if unknown[mask].any():
        value = mask[unknown[mask]][0]
        raise FormatError(
            f"{path} holds {value}; expected 0, 1..124 or (class + 1) x 100 + instance"
        )
    class_ids = class_of[mask]
    slips = (mask >= FIRST_INSTANCE_VALUE) & ~TABLE.is_thing[class_ids] & (class_ids != VOID)
    if slips.any():
        value = int(mask[slips][0])
        logger.warning(
            "%s holds %d, an instance of the stuff class %s: taken as that class",
            path, value, TABLE.names[value // INSTANCE_DIVISOR - 1],
        )  # fmt: skip
    numbers = track_of[mask]
    rgb, info = encode_label(class_ids, numbers, _ids())
    raw_of = {_ids().thing(int(number)): int(number) for number in np.unique(numbers) if number}
    info.sort(key=lambda segment: raw_of.get(segment["id"], segment["category_id"] + 1))
    return rgb, info


@cache
def _ids() -> PanopticIds:
    return PanopticIds(TABLE)


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return raw_tables()
