"""COCO panoptic files: images, panoptic PNGs and their JSON -> own data.

COCO's annotation file lists single images. They become videos of one frame each, or are grouped
into videos by folder or file name. Its PNGs hold ids as R + 256 G + 65536 B, as ours do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.errors import FormatError, describe_folder
from dvps_d2.formats.files import read_json
from dvps_d2.formats.importers.categories import complete_categories
from dvps_d2.formats.importers.grouping import Grouping, PlacedFrame
from dvps_d2.formats.importers.target import ImportTarget, segment_entry, video_entry
from dvps_d2.formats.png import read_png, rgb_to_id

logger = logging.getLogger(__name__)

IDS = ("tracks", "frames")


def import_coco_panoptic(
    json_file: Path,
    images: Path,
    masks: Path,
    out: Path,
    *,
    name: str = "train",
    grouping: Grouping | None = None,
    ids: str | None = None,
    depth: Path | None = None,
    depth_scale: float = 256.0,
    how: str = "copy",
    workers: int = 0,
    subset: int | None = None,
) -> Path:
    """Import one annotation file.

    Args:
        json_file: with ``images``, ``annotations`` and ``categories``.
        images: folder of the images.
        masks: folder of the panoptic PNGs.
        out: folder of the result.
        name: of the set, "train".
        grouping: how images become videos; every image a video without it.
        ids: what an id of a thing means when images are grouped: "tracks" (the same object in all
            frames) or "frames" (another object in every frame: no tracks are known).
        depth: folder of depth PNGs named as the images; frames without one have no depth.
        depth_scale: units per metre in them.
        how: "copy", "hardlink" or "symlink" for images.
        workers: processes.
        subset: only the first this many videos.

    Returns:
        ``out/name.json``.

    Raises:
        FormatError: a file is missing or contradicts another; the message names it.
        ValueError: ``ids`` is needed and not given, or unknown.
    """
    grouping = grouping or Grouping()
    if grouping.makes_videos and ids is None:
        raise ValueError(
            "images are grouped into videos: say whether an id means the same object in all "
            "frames of a video (--ids tracks) or only in its own frame (--ids frames)"
        )
    if ids is not None and ids not in IDS:
        raise ValueError(f"ids must be {' or '.join(IDS)}, got {ids!r}")
    content = _read(json_file)
    categories = complete_categories(content["categories"], json_file)
    target = ImportTarget(out, name, categories, how, depth_scale)
    entries = _entries(content, json_file)
    videos = grouping.group(entries)
    jobs = {}
    for video in list(videos)[:subset]:
        jobs[video] = [
            _job(frame, entries[frame.file_name], images, masks, depth) for frame in videos[video]
        ]
        if ids == "tracks":
            _check_tracks(video, jobs[video], target.things, json_file)
    if depth is not None and not any(frame["depth"] for job in jobs.values() for frame in job):
        raise FormatError(
            f"no image has a depth map in {depth}; expected PNGs with the names of the images, "
            f"such as {next(iter(jobs.values()))[0]['expected_depth']}; {describe_folder(depth)}"
        )
    renumber = ids == "frames"
    return target.finish(
        {video: {"frames": job, "renumber": renumber} for video, job in jobs.items()},
        import_video,
        workers=workers,
        description="COCO panoptic",
    )


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}; expected a COCO panoptic annotation file"
        )
    return content


def _entries(content: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Image file name -> its image entry with its annotation, None where it has none."""
    try:
        annotations = {entry["image_id"]: entry for entry in content["annotations"]}
        entries = {
            image["file_name"]: {"image": image, "annotation": annotations.pop(image["id"], None)}
            for image in content["images"]
        }
        for entry in entries.values():
            if entry["annotation"] is not None:
                [(s["id"], s["category_id"]) for s in entry["annotation"]["segments_info"]]
                entry["annotation"]["file_name"]
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{path} is no COCO panoptic annotation file: an entry lacks {error}; boxes and "
            f"polygons (instances_*.json) are another format"
        ) from error
    if len(entries) != len(content["images"]):
        raise FormatError(f"{path} lists an image file twice")
    if annotations:
        raise FormatError(
            f"{path} annotates image_id {next(iter(annotations))!r}, which is not in images"
        )
    if not entries:
        raise FormatError(f"{path} has no images")
    return entries


def _job(
    frame: PlacedFrame, entry: Mapping[str, Any], images: Path, masks: Path, depth: Path | None
) -> dict[str, Any]:
    annotation = entry["annotation"]
    expected_depth = None
    if depth is not None:
        expected_depth = str((depth / frame.file_name).with_suffix(".png"))
    return {
        "image": str(images / frame.file_name),
        "frame": frame.frame,
        "number": frame.number,
        "mask": None if annotation is None else str(masks / annotation["file_name"]),
        "segments": [] if annotation is None else annotation["segments_info"],
        "expected_depth": expected_depth,
        "depth": expected_depth if expected_depth and Path(expected_depth).is_file() else None,
    }


def _check_tracks(
    video: str, frames: Sequence[Mapping[str, Any]], things: Mapping[int, bool], path: Path
) -> None:
    """An object has one class: refuse ids that change it."""
    seen: dict[int, tuple[int, str]] = {}
    for frame in frames:
        for segment in frame["segments"]:
            category = segment["category_id"]
            if not things.get(category) or segment.get("iscrowd"):
                continue
            before, where = seen.setdefault(segment["id"], (category, frame["image"]))
            if before != category:
                raise FormatError(
                    f"{path}: in video {video!r} id {segment['id']} has category {before} in "
                    f"{where} and {category} in {frame['image']}; if ids do not mean the same "
                    f"object in all frames, use --ids frames"
                )


def import_video(target: ImportTarget, video: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Write the files of one video; returns its ``video`` and ``annotation`` entries."""
    images, annotations = [], []
    first = None
    next_id = 1
    for frame in job["frames"]:
        source = Path(frame["image"])
        file_name, size = target.place_image(source, video, frame["frame"])
        first = first or (size, source)
        if size != first[0]:
            raise FormatError(
                f"{source} is {size[1]}x{size[0]}, but {first[1]} of the same video {video!r} is "
                f"{first[0][1]}x{first[0][0]}; frames of a video must have one size"
            )
        image = {"id": frame["frame"], "file_name": file_name}
        if frame["number"] is not None:
            image["frame_id"] = frame["number"]
        if frame["depth"]:
            image["depth_file_name"] = target.write_depth(
                Path(frame["depth"]), video, frame["frame"], size
            )
        images.append(image)
        if frame["mask"] is None:
            continue
        start = next_id if job["renumber"] else None
        ids, segments = _label(frame, size, target.things, start)
        next_id += len(segments)
        name = target.write_label(ids, video, frame["frame"])
        annotations.append(
            {"image_id": frame["frame"], "file_name": name, "segments_info": segments}
        )
    return {
        "video": video_entry(video, first[0], images),
        "annotation": {"video_id": video, "annotations": annotations},
    }


def _label(
    frame: Mapping[str, Any], size: tuple[int, int], things: Mapping[int, bool], start: int | None
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """One label: segments of a stuff class joined, segments without pixels left out.

    Args:
        frame: a frame of a job.
        size: (height, width) that the PNG must have.
        things: category id -> whether it is a thing.
        start: number of the first segment; None keeps the ids.
    """
    path = frame["mask"]
    ids = rgb_to_id(read_png(path, channels=3, bits=8, size=size))
    category_of = {segment["id"]: segment["category_id"] for segment in frame["segments"]}
    crowds = {segment["id"] for segment in frame["segments"] if segment.get("iscrowd")}
    present, rows, areas = np.unique(ids, return_inverse=True, return_counts=True)
    new_ids = np.zeros(len(present), np.int32)
    stuff: dict[int, dict[str, Any]] = {}
    segments: list[dict[str, Any]] = []
    for row, (old, area) in enumerate(zip(present.tolist(), areas.tolist(), strict=True)):
        if old == 0:
            continue
        if old not in category_of:
            raise FormatError(
                f"{path}: id {old} in {area} pixels is not in the JSON's segments_info "
                f"({len(category_of)} segments); is this the PNG of {frame['image']}?"
            )
        category = category_of[old]
        if category not in things:
            raise FormatError(
                f"{path}: segment {old} has category_id {category}, which is not in categories"
            )
        if not things[category] and category in stuff:
            stuff[category]["area"] += area
            new_ids[row] = stuff[category]["id"]
            continue
        new = old if start is None else start + len(segments)
        entry = segment_entry(new, category, area, crowd=things[category] and old in crowds)
        segments.append(entry)
        if not things[category]:
            stuff[category] = entry
        new_ids[row] = new
    gone = len(category_of) - np.count_nonzero(present)
    if gone > 0:
        logger.info("%s: %d listed segments have no pixel and are left out", path, gone)
    return new_ids[rows.reshape(ids.shape)], segments
