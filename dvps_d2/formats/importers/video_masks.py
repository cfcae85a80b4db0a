"""Videos with masks -> own data: a film or a folder of frames, and PNGs of what is where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dvps_d2.formats.errors import FormatError, describe_folder
from dvps_d2.formats.files import atomic_path, read_json
from dvps_d2.formats.importers.grouping import safe_name
from dvps_d2.formats.importers.target import (
    JPEG_QUALITY,
    ImportTarget,
    segment_entry,
    video_entry,
)
from dvps_d2.formats.png import read_png, rgb_to_id, write_png

GREY_IN_RGB = 1 + 256 + 65536  # the id of R = G = B = 1
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FrameSource = Callable[[Path], Iterable[np.ndarray]]


@dataclass(frozen=True)
class MaskCoding:
    """What the numbers in the masks of a video mean. Exactly one of three codings.

    Attributes:
        objects: object number -> category id; masks hold object numbers (one PNG per frame, as
            annotation tools write them; every object of a thing class keeps its number).
        divisor: masks hold category id x ``divisor`` + instance; instance 0 of a thing class is a
            region of things that were not told apart.
        classes: folder of PNGs with category ids beside the masks, which then hold instances; a
            thing's instance counts within its class.
        void: numbers that mean "no label", in masks and in classes.

    Raises:
        ValueError: none or several codings.
    """

    objects: Mapping[int, int] | None = None
    divisor: int | None = None
    classes: str | None = None
    void: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        given = [self.objects is not None, self.divisor is not None, self.classes is not None]
        if sum(given) != 1:
            raise ValueError(
                f"say what masks mean in exactly one way: objects (--objects JSON), divisor "
                f"(--divisor N) or classes (--classes DIR); {sum(given)} were given"
            )
        if self.divisor is not None and self.divisor < 2:
            raise ValueError(f"divisor must be at least 2, got {self.divisor}")

    def decode(
        self, mask: np.ndarray, classes: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
        """Pairs of category and instance in a frame.

        Args:
            mask: (H, W) numbers.
            classes: (H, W) category ids, with the coding ``classes``.

        Returns:
            ``rows`` (H, W), the pair of every pixel; ``areas`` (N,); the N pairs, where (0, -1)
            is void. A category that is not known here is (-number, 0).
        """
        mask = mask.astype(np.int64)
        if classes is not None:
            key = classes.astype(np.int64) << 32 | mask
        else:
            key = mask
        found, rows, areas = np.unique(key, return_inverse=True, return_counts=True)
        return rows.reshape(mask.shape), areas, [self._pair(k) for k in found.tolist()]

    def _pair(self, key: int) -> tuple[int, int]:
        void = (0, -1)
        if self.classes is not None:
            category, instance = key >> 32, key & 0xFFFFFFFF
            return void if category in self.void else (category, instance)
        if key in self.void:
            return void
        if self.divisor is not None:
            return divmod(key, self.divisor)
        return (self.objects[key], key) if key in self.objects else (-key, 0)


def read_objects(path: Path) -> dict[int, int]:
    """Object number -> category id from a JSON ``{"7": 1, "9": 2}``.

    Raises:
        FormatError: it holds something else.
    """
    content = read_json(path)
    try:
        return {int(number): int(category) for number, category in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise FormatError(
            f'{path} must be {{"object number": category id, ...}}, such as {{"7": 1}}: {error}'
        ) from error


def import_video_masks(
    videos: Sequence[Path],
    masks: Path,
    out: Path,
    *,
    categories: Sequence[Mapping[str, Any]],
    coding: MaskCoding,
    read_video: FrameSource,
    name: str = "train",
    first: int = 0,
    depth: Path | None = None,
    depth_scale: float = 256.0,
    only_labelled: bool = False,
    lossless: bool = False,
    how: str = "copy",
    workers: int = 0,
) -> Path:
    """Import videos, each a file or a folder of images.

    Masks (and classes and depth) of a video are PNGs in ``masks/<name of the video>``, or in
    ``masks`` itself when there is one video. A PNG belongs to the image of the same name; in a
    video file, to the frame of the number that its name ends with.

    Args:
        videos: files or folders.
        masks: folder of masks.
        out: folder of the result.
        categories: see `read_categories`.
        coding: what masks mean.
        read_video: yields the frames of a file, (H, W, 3) uint8 RGB; a module-level function
            when there are workers.
        name: of the set, "train".
        first: number of the first frame of a video file, in the names of its masks.
        depth: folder of depth PNGs.
        depth_scale: units per metre in them.
        only_labelled: leave frames without mask out.
        lossless: write frames of video files as PNG instead of JPEG.
        how: "copy", "hardlink" or "symlink" for images.
        workers: processes.

    Returns:
        ``out/name.json``.

    Raises:
        FormatError: files are missing or contradict each other; the message names them.
    """
    target = ImportTarget(out, name, categories, how, depth_scale)
    jobs: dict[str, dict[str, Any]] = {}
    for path in videos:
        video = safe_name(path.name if path.is_dir() else path.stem)
        if video in jobs:
            raise FormatError(f"{path} and {jobs[video]['path']} are both called {video!r}")
        jobs[video] = {
            "path": str(path),
            "masks": _numbered(_folder(masks, path, len(videos))),
            "classes": _numbered(_folder(Path(coding.classes), path, len(videos)))
            if coding.classes is not None
            else {},
            "depth": _numbered(_folder(depth, path, len(videos))) if depth is not None else {},
            "coding": json.dumps(asdict(coding), sort_keys=True),
            "first": first,
            "only_labelled": only_labelled,
            "lossless": lossless,
        }
    work = partial(import_video, coding=coding, read_video=read_video)
    return target.finish(jobs, work, workers=workers)


def _folder(folder: Path, video: Path, count: int) -> Path:
    """Where the PNGs of a video are."""
    name = video.name if video.is_dir() else video.stem
    own = folder / name
    if own.is_dir():
        return own
    if count > 1 or not folder.is_dir():
        raise FormatError(
            f"PNGs of {video} are expected in {own}"
            + (f" or {folder}" if count == 1 else "")
            + f"; {describe_folder(folder)}"
        )
    return folder


def _numbered(folder: Path) -> dict[str, str]:
    """Stem -> path of the PNGs of a folder."""
    found = {path.stem: str(path) for path in sorted(folder.glob("*.png")) if _is_visible(path)}
    if not found:
        raise FormatError(f"no .png in {folder}; {describe_folder(folder)}")
    return found


def _is_visible(path: Path) -> bool:
    """Hidden files are notes of a file manager, such as macOS's ``._0.png``."""
    return not path.name.startswith(".")


def import_video(
    target: ImportTarget,
    video: str,
    job: Mapping[str, Any],
    *,
    coding: MaskCoding,
    read_video: FrameSource,
) -> dict[str, Any]:
    """Write the files of one video; returns its ``video`` and ``annotation`` entries."""
    path = Path(job["path"])
    frames = _image_frames if path.is_dir() else partial(_film_frames, read_video=read_video)
    numbering = _Numbering(coding, target.things)
    images, annotations = [], []
    size = None
    for frame in frames(target, video, path, job):
        if size is not None and frame.size != size:
            raise FormatError(
                f"{frame.source} is {frame.size[1]}x{frame.size[0]}, but the frames before are "
                f"{size[1]}x{size[0]}; frames of a video must have one size"
            )
        size = frame.size
        image: dict[str, Any] = {"id": frame.name, "file_name": frame.file_name}
        if frame.number is not None:
            image["frame_id"] = frame.number
        if frame.stem in job["depth"]:
            source = Path(job["depth"][frame.stem])
            image["depth_file_name"] = target.write_depth(source, video, frame.name, size)
        images.append(image)
        if frame.stem not in job["masks"]:
            continue
        ids, segments = numbering.label(
            job["masks"][frame.stem], job["classes"].get(frame.stem), size
        )
        annotations.append(
            {
                "image_id": frame.name,
                "file_name": target.write_label(ids, video, frame.name),
                "segments_info": segments,
            }
        )
    return {
        "video": video_entry(video, size, images),
        "annotation": {"video_id": video, "annotations": annotations},
    }


@dataclass(frozen=True)
class _Frame:
    """A frame that has been written: stem of its mask, path below the root, (height, width)."""

    name: str
    stem: str | None
    number: int | None
    file_name: str
    size: tuple[int, int]
    source: str


def _image_frames(
    target: ImportTarget, video: str, folder: Path, job: Mapping[str, Any]
) -> Iterator[_Frame]:
    files = sorted(filter(_is_visible, folder.iterdir()))
    images = [path for path in files if path.suffix.lower() in IMAGES]
    if not images:
        raise FormatError(
            f"{folder} holds no image ({', '.join(IMAGES)}); {describe_folder(folder)}"
        )
    stems = {path.stem for path in images}
    if len(stems) < len(images):
        twice = next(a for a, b in zip(images[1:], images[:-1], strict=True) if a.stem == b.stem)
        raise FormatError(f"{twice} and another image of {folder} differ in their ending only")
    for stem, mask in job["masks"].items():
        if stem not in stems:
            raise FormatError(f"{mask} belongs to no image: {folder} has no {stem}.*")
    for path in images:
        if job["only_labelled"] and path.stem not in job["masks"]:
            continue
        name, size = target.place_image(path, video, path.stem)
        yield _Frame(path.stem, path.stem, None, name, size, str(path))


def _film_frames(
    target: ImportTarget, video: str, path: Path, job: Mapping[str, Any], read_video: FrameSource
) -> Iterator[_Frame]:
    stem_of: dict[int, str] = {}
    for stem, mask in job["masks"].items():
        match = re.search(r"(\d+)$", stem)
        if match is None:
            raise FormatError(
                f"{mask}: its name must end with the number of a frame, such as 00012.png"
            )
        number = int(match[1]) - job["first"]
        if number in stem_of:
            raise FormatError(f"{mask} and {job['masks'][stem_of[number]]} are of one frame")
        stem_of[number] = stem
    count = 0
    for count, frame in enumerate(read_video(path), start=1):
        number = count - 1
        stem = stem_of.get(number)
        if job["only_labelled"] and stem is None:
            continue
        name = f"{number:06d}"
        file_name = target.file("frames", video, name + (".png" if job["lossless"] else ".jpg"))
        _write_frame(target.root / file_name, frame)
        yield _Frame(name, stem, number, file_name, frame.shape[:2], f"frame {number} of {path}")
    beyond = sorted(number for number in stem_of if not 0 <= number < count)
    if beyond:
        number = beyond[0] + job["first"]
        raise FormatError(
            f"{job['masks'][stem_of[beyond[0]]]} is of frame {number}, but {path} has {count} "
            f"frames, numbered {job['first']}..{job['first'] + count - 1}; if the masks count "
            f"from {1 - job['first']}, use --first {1 - job['first']}"
        )


def _write_frame(path: Path, frame: np.ndarray) -> None:
    if path.suffix == ".png":
        write_png(path, frame)
        return
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)
    with atomic_path(path) as partial_path:
        partial_path.write_bytes(data.tobytes())


class _Numbering:
    """Gives every object of a video one id, in the order in which objects appear."""

    def __init__(self, coding: MaskCoding, things: Mapping[int, bool]) -> None:
        self.coding = coding
        self.things = things
        self._ids: dict[tuple[int, int], int] = {}

    def label(
        self, path: str, classes_path: str | None, size: tuple[int, int]
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Ids (H, W) of a frame and its segments."""
        classes = None
        if self.coding.classes is not None:
            if classes_path is None:
                name = Path(path).name
                raise FormatError(
                    f"{path} has no {name} among the classes of {self.coding.classes}"
                )
            classes = _numbers(classes_path, size)
        rows, areas, pairs = self.coding.decode(_numbers(path, size), classes)
        new = np.zeros(len(pairs), np.int32)
        found: dict[int, dict[str, Any]] = {}
        for row, (pair, area) in enumerate(zip(pairs, areas.tolist(), strict=True)):
            category, instance = pair
            if instance == -1:
                continue
            if category not in self.things:
                raise FormatError(self._unknown(classes_path or path, pair, area))
            is_thing = self.things[category]
            key = (category, instance if is_thing else 0)
            new[row] = segment_id = self._ids.setdefault(key, len(self._ids) + 1)
            if segment_id in found:
                found[segment_id]["area"] += area
            else:
                crowd = is_thing and instance == 0
                found[segment_id] = segment_entry(segment_id, category, area, crowd=crowd)
        return new[rows], list(found.values())

    def _unknown(self, path: str, pair: tuple[int, int], area: int) -> str:
        if self.coding.objects is not None and pair[0] < 0:
            number = -pair[0]
            if number % GREY_IN_RGB == 0:
                return (
                    f"{path}: object {number} in {area} pixels is not in the list of objects; it "
                    f"is R = G = B = {number // GREY_IN_RGB}: a grey PNG that was saved in colour? "
                    f"Save it with one channel"
                )
            return (
                f"{path}: object {number} in {area} pixels is not in the list of objects; add "
                f"it with its category, or name it as --void"
            )
        return (
            f"{path}: category {pair[0]} (in {area} pixels) is not in categories, which has "
            f"{', '.join(map(str, self.things))}; add it, or name it as --void"
        )


def _numbers(path: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) numbers of a grey, palette or RGB-coded PNG."""
    image = read_png(path, size=size)
    if image.ndim == 2:
        return image
    if image.shape[2] != 3 or image.dtype != np.uint8:
        raise FormatError(
            f"{path}: expected a grey or palette PNG, or 8-bit RGB with id = R + 256 G + 65536 B"
        )
    return rgb_to_id(image)
