"""Cityscapes-VPS from its release, Cityscapes' image sequences and gtFine.

Makes, per split: ``img`` (labelled frames), ``img_all`` (all frames; val and test), the labels of
Cityscapes' own frames merged into ``cls`` and ``inst``, and from those ``labelmap``,
``panoptic_inst``, ``panoptic_video`` and ``panoptic_gt_SPLIT_city_vps.json``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dvps_d2.formats.cityscapes_vps import (
    INSTANCE_SUFFIX,
    LABEL_DIVISOR,
    FrameName,
    list_frames,
    parse_name,
)
from dvps_d2.formats.classes import VOID, class_table, read_shipped_table
from dvps_d2.formats.errors import FormatError, TreeError, describe_folder
from dvps_d2.formats.files import read_json, write_json
from dvps_d2.formats.lookup import IdTable
from dvps_d2.formats.png import read_png, read_png_header, rgb_to_id, write_png
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label
from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces

LABELLED_SPLITS = ("train", "val")
SPLITS = (*LABELLED_SPLITS, "test")
TABLE = class_table("cityscapes")


def prepare(
    root: Path,
    *,
    images: Path | None = None,
    gtfine: Path | None = None,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    subset: int | None = None,
    how: str = "copy",
) -> None:
    """Do every step whose inputs are given; see the module.

    Args:
        root: the unpacked release.
        images: Cityscapes' ``leftImg8bit_sequence/val``; None leaves the images out.
        gtfine: Cityscapes' ``gtFine/val``; None leaves the merging out.
        splits: which splits.
        workers: processes.
        subset: only the first this many videos of each split.
        how: "copy", "hardlink" or "symlink" for images.
    """
    for split in splits:
        if images is not None:
            _fetch_images(root, split, images, how, subset)
        if split not in LABELLED_SPLITS:
            continue
        if gtfine is not None:
            _merge_gtfine(root, split, gtfine)
        _make_labels(root, split, workers, subset)


# --- images ----------------------------------------------------------------------------------


def _fetch_images(root: Path, split: str, images: Path, how: str, subset: int | None) -> None:
    listing = root / f"panoptic_im_{split}_city_vps.json"
    if not listing.is_file():
        raise TreeError(f"{listing} is not there; it is part of the release and lists the images")
    names = _first_videos(_parse_all(listing), subset)
    for name in tqdm(names, desc=f"{split}/img", unit="image"):
        target = root / split / "img" / f"{name.image_id}_{name.suffix}.png"
        place_file(_cityscapes_image(images, name.cityscapes_id), target, how)
    everything = root / f"im_all_info_{split}_city_vps.json"
    if split == "train" or not everything.is_file():
        return
    videos = {name.video_id for name in names}
    for image in tqdm(read_json(everything)["images"], desc=f"{split}/img_all", unit="image"):
        if f"{int(image['id']) // 10000:04d}" in videos:
            cityscapes_id = image["file_name"].removesuffix("_leftImg8bit.png")
            target = root / split / "img_all" / image["file_name"]
            place_file(_cityscapes_image(images, cityscapes_id), target, how)


def _parse_all(listing: Path) -> list[FrameName]:
    names = []
    for image in read_json(listing)["images"]:
        name = parse_name(image["file_name"])
        if name is None:
            raise FormatError(
                f"{listing} lists {image['file_name']!r}; expected "
                f"VVVV_GGGG_<city>_<sequence>_<frame>_newImg8bit.png or ..._leftImg8bit.png"
            )
        names.append(name)
    return names


def _cityscapes_image(images: Path, cityscapes_id: str) -> Path:
    city = cityscapes_id.rsplit("_", 2)[0]
    return images / city / f"{cityscapes_id}_leftImg8bit.png"


def _first_videos(names: Iterable[FrameName], subset: int | None) -> list[FrameName]:
    names = list(names)
    videos = sorted({name.video_id for name in names})[:subset]
    return [name for name in names if name.video_id in set(videos)]


# --- labels ----------------------------------------------------------------------------------


def _raw_folders(root: Path, split: str) -> tuple[Path, Path]:
    """``cls`` and ``inst``, which the release has in SPLIT or in SPLIT_gt."""
    for parent in (root / split, root / f"{split}_gt"):
        if (parent / "cls").is_dir() and (parent / "inst").is_dir():
            return parent / "cls", parent / "inst"
    raise TreeError(
        f"no raw labels of split {split!r}\n  expected: {root / split}/cls and inst, or "
        f"{root / split}_gt/cls and inst\n  found:    {describe_folder(root)}"
    )


def _merge_gtfine(root: Path, split: str, gtfine: Path) -> None:
    classes, instances = _raw_folders(root, split)
    for name in list_frames(root / split / "img"):
        if name.suffix == "leftImg8bit":
            source = gtfine / name.cityscapes_id.rsplit("_", 2)[0] / name.cityscapes_id
            place_file(Path(f"{source}_gtFine_color.png"), classes / name.label_name)
            file_name = f"{name.image_id}_{INSTANCE_SUFFIX['leftImg8bit']}.png"
            place_file(Path(f"{source}_gtFine_instanceIds.png"), instances / file_name)


def _make_labels(root: Path, split: str, workers: int, subset: int | None) -> None:
    classes, instances = _raw_folders(root, split)
    of_video: dict[str, list[tuple[FrameName, str, str]]] = defaultdict(list)
    instance_files = _by_image_id(instances)
    names = _first_videos(list_frames(root / split / "img"), subset)
    for name in names:
        pair = classes / name.label_name, instance_files.get(name.image_id)
        if pair[1] is None or not pair[0].is_file():
            raise TreeError(
                f"{split}/img holds {name.image_id}, but {pair[0]} or its instances in "
                f"{instances} are missing"
                + ("; give --gtfine to add them" if name.suffix == "leftImg8bit" else "")
            )
        of_video[name.video_id].append((name, str(pair[0]), str(pair[1])))
    pieces = [
        Piece(f"{split}/{video}", (str(root / split), frames), f"{len(frames)} frames")
        for video, frames in sorted(of_video.items())
    ]
    results = run_pieces(pieces, label_video, root, workers=workers, description=f"{split} labels")
    entries = [entry for video in results for entry in video]
    write_json(root / f"panoptic_gt_{split}_city_vps.json", ground_truth_json(entries))


def _by_image_id(folder: Path) -> dict[str, Path]:
    """Image id -> file, by the first five fields of the name."""
    return {"_".join(name.split("_")[:5]): folder / name for name in sorted(os.listdir(folder))}


def label_video(folder: str, frames: Sequence[tuple[FrameName, str, str]]) -> list[dict[str, Any]]:
    """Write all labels of one video.

    Args:
        folder: the split's folder.
        frames: name, class PNG, instance PNG of each labelled frame.

    Returns:
        Per frame what the ground-truth JSON needs.
    """
    entries = []
    for name, class_path, instance_path in frames:
        class_ids, values = read_raw_label(class_path, instance_path)
        write_png(Path(folder, "labelmap", name.label_name), class_ids)
        write_png(Path(folder, "panoptic_inst", name.label_name), values)
        video = int(name.video_id)
        single = values >= LABEL_DIVISOR
        # Classes of things are 11..18 and objects 0..999: 8000 numbers for each video.
        thing = values.astype(np.int32) - min(TABLE.thing_ids) * LABEL_DIVISOR
        numbers = np.where(single, video * 8 * LABEL_DIVISOR + thing + 1, 0)
        final = np.where(single, values // LABEL_DIVISOR, np.minimum(values, VOID))
        rgb, info = encode_label(final.astype(np.uint8), numbers, _ids())
        write_png(Path(folder, "panoptic_video", name.label_name), rgb)
        entries.append(
            {
                "image_id": name.image_id,
                "image": f"{name.image_id}_{name.suffix}.png",
                "label": name.label_name,
                "height": values.shape[0],
                "width": values.shape[1],
                "segments_info": info,
            }
        )
    return entries


@cache
def _ids() -> PanopticIds:
    return PanopticIds(TABLE)


@cache
def _color_table() -> IdTable:
    return IdTable([int(np.dot(color, (1, 256, 65536))) for color in TABLE.colors])


def read_raw_label(class_path: str, instance_path: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes by colour and objects by number -> ``labelmap`` and ``panoptic_inst``.

    An instance's class is the most frequent class of its pixels; an instance that is mostly
    stuff or void is none. Thing pixels outside instances (crowds) are void in the second map.

    Args:
        class_path: RGB or RGBA PNG in the colours of Cityscapes; other colours are void.
        instance_path: numbers; below 1000 no instance, else object = number modulo 1000.

    Returns:
        (H, W) uint8 class ids, 255 void; and (H, W) uint16: stuff class, thing class x 1000 +
        object, 255 for void and crowds.

    Raises:
        FormatError: a file is damaged, has no colours, or has red and blue swapped.
    """
    if read_png_header(class_path).channels not in (3, 4):
        raise FormatError(f"{class_path} must be a colour PNG, found {read_png_header(class_path)}")
    colors = np.ascontiguousarray(read_png(class_path)[..., :3])
    rows = _color_table().rows(rgb_to_id(colors))
    if not rows.all():
        swapped = _color_table().rows(rgb_to_id(np.ascontiguousarray(colors[..., ::-1])))
        if np.count_nonzero(swapped) > np.count_nonzero(rows):
            raise FormatError(
                f"{class_path}: red and blue seem to be swapped: {np.count_nonzero(rows)} pixels "
                f"have a colour of Cityscapes, {np.count_nonzero(swapped)} would have one"
            )
    class_ids = np.where(rows == 0, VOID, rows - 1).astype(np.uint8)
    raw = read_png(instance_path, channels=1, size=class_ids.shape)
    values = np.where(TABLE.is_thing[class_ids], VOID, class_ids).astype(np.uint16)
    inside = raw >= LABEL_DIVISOR
    objects = raw[inside].astype(np.int64) % LABEL_DIVISOR
    # (1000, 256): how many pixels of each class every object has
    votes = np.bincount(objects * 256 + class_ids[inside], minlength=256 * LABEL_DIVISOR)
    winner = votes.reshape(LABEL_DIVISOR, 256).argmax(1)
    value_of = np.where(
        TABLE.is_thing[winner], winner * LABEL_DIVISOR + np.arange(LABEL_DIVISOR), 0
    )
    chosen = value_of[objects]
    values[inside] = np.where(chosen > 0, chosen, values[inside])
    return class_ids, values


def ground_truth_json(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON that VPQ on Cityscapes-VPS is computed from; frames in order of name."""
    entries = sorted(entries, key=lambda entry: entry["label"])
    return {
        "images": [
            {
                "id": entry["image_id"],
                "width": entry["width"],
                "height": entry["height"],
                "file_name": entry["image"],
            }
            for entry in entries
        ],
        "annotations": [
            {
                "image_id": entry["image_id"],
                "file_name": entry["label"],
                "segments_info": entry["segments_info"],
            }
            for entry in entries
        ],
        "categories": vps_categories(),
    }


def vps_categories() -> list[dict[str, Any]]:
    """``categories`` with the fields of the released JSONs."""
    return [
        {
            "id": entry["id"],
            "name": entry["name"],
            "supercategory": entry["supercategory"],
            "isthing": int(entry["is_thing"]),
            "instance_eval": int(entry["is_thing"]),
            "trainid": entry["id"],
            "ori_id": entry["cityscapes_id"],
            "color": entry["color"],
        }
        for entry in read_shipped_table("cityscapes")["classes"]
    ]
