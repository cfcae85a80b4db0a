"""Panoptic JSON files as flat lists: Cityscapes-VPS, VIPER and VIPSeg."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvps_d2.formats.files import read_json
from dvps_d2.metrics import ClassSet, pack_segments

# How Cityscapes-VPS names the label of an image.
LABEL_SUFFIXES = {"_newImg8bit.png": "_final_mask.png", "_leftImg8bit.png": "_gtFine_color.png"}


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image of a JSON.

    Attributes:
        video_id: the video it belongs to; "" where the file does not say.
        name: for messages.
        aliases: names under which the image may be known elsewhere, without folder and ending.
        files: candidates for its label PNG, relative to the folder of PNGs, best first.
        segments: (N, 4) rows of ``metrics.pack_segments``.
    """

    video_id: str
    name: str
    aliases: tuple[str, ...]
    files: tuple[str, ...]
    segments: np.ndarray


@dataclass(frozen=True, eq=False)
class Truth:
    """A truth JSON: its images in order, and its classes.

    Attributes:
        annotations: in the order of the file.
        classes: class 0 up to the largest category id; ids in between that the file does not
            name have an empty name.
        categories: category ids that the file names.
        entries: number of entries of 'annotations'; with ``by_position`` it may differ from that
            of the images.
    """

    annotations: list[Annotation]
    classes: ClassSet
    categories: frozenset[int]
    entries: int


def read_vps_truth(path: str, *, by_position: bool = False) -> Truth:
    """A JSON of Cityscapes-VPS; the video is the start of the image id.

    Args:
        path: of the JSON.
        by_position: entry n of 'annotations' is of image n, as the published script has it,
            whatever their ids say.
    """
    return _read_flat(
        path, lambda image: str(image["id"]).split("_")[0], _vps_files, by_position=by_position
    )


def read_viper_truth(path: str, *, by_position: bool = False) -> Truth:
    """A JSON of VIPER; the video is the image name without the frame number."""
    return _read_flat(
        path,
        lambda image: stem(image["file_name"]).rpartition("_")[0],
        _viper_files,
        by_position=by_position,
    )


def read_vipseg_truth(path: str, *, by_position: bool = False) -> Truth:
    """A JSON of VIPSeg, whose videos are listed; the published script takes their ids too."""
    content = read_json(path)
    annotations = _read_nested(content, path)
    return Truth(annotations, *_classes(content, path), len(annotations))


def read_flat_predictions(path: str) -> list[Annotation]:
    """``{"annotations": [{"image_id" or "file_name", "segments_info"}]}``, in file order."""
    found = []
    for position, entry in enumerate(_list(read_json(path), "annotations", path)):
        names = tuple(stem(entry[key]) for key in ("image_id", "file_name") if key in entry)
        name = names[0] if names else f"annotation {position}"
        found.append(Annotation("", name, names, (), _segments(entry, name, path)))
    return found


def read_vipseg_predictions(path: str) -> list[Annotation]:
    """Predictions in the layout of the VIPSeg truth, flattened in file order."""
    return _read_nested(read_json(path), path)


def stem(name: object) -> str:
    """A file name without its folder and image ending."""
    base = os.path.basename(str(name))
    root, ending = os.path.splitext(base)
    return root if ending.lower() in (".png", ".jpg", ".jpeg") else base


def _read_flat(
    path: str, video_of: Callable[[Mapping], str], files_of: Callable, *, by_position: bool
) -> Truth:
    content = read_json(path)
    images = _list(content, "images", path)
    entries = _list(content, "annotations", path)
    by_image = {str(entry["image_id"]): entry for entry in entries if "image_id" in entry}
    if by_position:
        empty: dict = {"segments_info": []}
        padded = [*entries, *[empty] * len(images)]
        by_image = {str(image["id"]): padded[n] for n, image in enumerate(images)}
    elif not by_image and len(entries) == len(images):  # parallel lists
        by_image = {str(image["id"]): entry for image, entry in zip(images, entries, strict=True)}
    annotations = []
    for image in images:
        name = str(image["id"])
        if name not in by_image:
            raise ValueError(f"{path}: image {name} has no annotation")
        entry = by_image[name]
        aliases = tuple(dict.fromkeys((name, stem(image["file_name"]))))
        segments = _segments(entry, name, path)
        files = tuple(files_of(image, {} if by_position else entry))
        annotations.append(Annotation(video_of(image), name, aliases, files, segments))
    return Truth(annotations, *_classes(content, path), len(entries))


def _vps_files(image: Mapping, entry: Mapping) -> list[str]:
    base = os.path.basename(image["file_name"])
    names = [os.path.basename(entry["file_name"])] if entry.get("file_name") else []
    for suffix, label in LABEL_SUFFIXES.items():
        if base.endswith(suffix):
            names.append(base.removesuffix(suffix) + label)
    return [*names, f"{stem(base)}.png", f"{image['id']}.png"]


def _viper_files(image: Mapping, entry: Mapping) -> list[str]:
    names = [os.path.basename(entry["file_name"])] if entry.get("file_name") else []
    return [f"{stem(image['file_name'])}.png", f"{image['id']}.png", *names]


def _read_nested(content: Any, path: str) -> list[Annotation]:
    found = []
    for video in _list(content, "annotations", path):
        if "video_id" not in video or "annotations" not in video:
            raise ValueError(
                f"{path}: an entry of 'annotations' has the keys {sorted(video)}, expected "
                "'video_id' and 'annotations'"
            )
        video_id = str(video["video_id"])
        for position, entry in enumerate(video["annotations"]):
            given = [entry[key] for key in ("file_name", "image_id") if entry.get(key)]
            aliases = tuple(dict.fromkeys(map(stem, given)))
            name = f"{video_id}/{aliases[0] if aliases else position}"
            files = (os.path.join(video_id, f"{aliases[0]}.png"),) if aliases else ()
            segments = _segments(entry, name, path)
            found.append(Annotation(video_id, name, aliases, files, segments))
    return found


def _classes(content: Mapping, path: str) -> tuple[ClassSet, frozenset[int]]:
    by_id = {int(entry["id"]): entry for entry in _list(content, "categories", path)}
    names = tuple(str(by_id[i].get("name", i)) if i in by_id else "" for i in range(max(by_id) + 1))
    things = tuple(i for i in sorted(by_id) if by_id[i].get("isthing"))
    return ClassSet(names, things), frozenset(by_id)


def _list(content: Any, key: str, path: str) -> list:
    if not isinstance(content, Mapping) or not isinstance(content.get(key), list):
        raise ValueError(f"{path}: expected an object with a list {key!r}")
    if not content[key]:
        raise ValueError(f"{path}: the list {key!r} is empty")
    return content[key]


def _segments(entry: Mapping, name: str, path: str) -> np.ndarray:
    try:
        return pack_segments(entry["segments_info"])
    except KeyError as error:
        raise ValueError(f"{path}: {name} has no {error}") from None
