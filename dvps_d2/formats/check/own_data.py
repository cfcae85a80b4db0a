"""Checks of a JSON of own data, line by line, and of the files it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvps_d2.formats.check.dataset import check_dataset
from dvps_d2.formats.check.findings import Finding, Report
from dvps_d2.formats.check.located import LocatedDict, read_located_json
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.video_panoptic import VideoPanopticReader

# What an entry of each list must have: key -> type.
CATEGORY: Mapping[str, type] = {"id": int, "name": str, "isthing": int, "color": list}
VIDEO: Mapping[str, type] = {"video_id": str, "width": int, "height": int, "images": list}
IMAGE: Mapping[str, type] = {"id": str, "file_name": str}
VIDEO_ANNOTATION: Mapping[str, type] = {"video_id": str, "annotations": list}
ANNOTATION: Mapping[str, type] = {"image_id": str, "file_name": str, "segments_info": list}
SEGMENT: Mapping[str, type] = {"id": int, "category_id": int}
_WORDS = {int: "a whole number", str: "a text", list: "a list", dict: "an object"}


def check_json(
    path: str | Path, root: str | Path | None = None, *, workers: int = 0, every: int = 1
) -> Report:
    """Check a JSON of own data; if it is complete, then also all files it names.

    Args:
        path: the JSON, laid out as `dvps_d2.formats.video_panoptic` says.
        root: folder that its paths start from; the JSON's own by default.
        workers: processes for the files.
        every: open the files of every n-th frame.
    """
    report = Report()
    path = Path(path)
    root = path.parent if root is None else Path(root)
    try:
        content = read_located_json(path)
    except (FormatError, FileNotFoundError, UnicodeDecodeError) as error:
        text = str(error).removeprefix(f"{path}, ")  # the finding names the file already
        report.add([Finding("error", "json", str(path), text)])
        return report
    report.add(_Schema(path, root).findings(content))
    if not report.has_errors:
        files = check_dataset(
            VideoPanopticReader("own data", path), root, workers=workers, every=every
        )
        report.add(files.findings)
        report.counts = files.counts
    return report


class _Schema:
    """The rules of one file; every method yields findings with the line they are about."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.root = root

    def _error(self, entry: Any, place: str, message: str) -> Finding:
        line = getattr(entry, "line", 1)
        return Finding("error", "json", f"{self.path}, line {line}", f"{place}: {message}")

    def findings(self, content: Any) -> Iterator[Finding]:
        if not isinstance(content, dict):
            yield self._error(content, "file", "expected an object at the top")
            return
        top: Mapping[str, type] = {"categories": list, "videos": list, "annotations": list}
        wrong = list(self._keys(content, "file", top))
        yield from wrong
        if wrong:
            return
        yield from self._categories(content["categories"])
        yield from self._videos(content["videos"])
        things = {
            entry["id"]: bool(entry.get("isthing"))
            for entry in content["categories"]
            if isinstance(entry, dict) and isinstance(entry.get("id"), int)
        }
        images = {
            video.get("video_id"): {
                image.get("id") for image in video.get("images", ()) if isinstance(image, dict)
            }
            for video in content["videos"]
            if isinstance(video, dict)
        }
        yield from self._annotations(content["annotations"], things, images)

    def _keys(self, entry: Any, place: str, keys: Mapping[str, type]) -> Iterator[Finding]:
        if not isinstance(entry, dict):
            yield self._error(entry, place, f"expected an object, got {entry!r:.60}")
            return
        for key, kind in keys.items():
            if key not in entry:
                yield self._error(entry, place, f"{key!r} is missing")
            elif not isinstance(entry[key], kind) or isinstance(entry[key], bool):
                told = f"{key!r} must be {_WORDS[kind]}, got {entry[key]!r:.60}"
                yield self._error(entry, place, told)

    def _entries(
        self, entries: list, place: str, keys: Mapping[str, type], identity: str
    ) -> Iterator[tuple[str, LocatedDict | None, list[Finding]]]:
        """Each entry with its place and what is wrong with its keys; None if it is unusable."""
        seen: dict[Any, int] = {}
        for number, entry in enumerate(entries):
            here = f"{place}[{number}]"
            wrong = list(self._keys(entry, here, keys))
            if not wrong:
                name = entry[identity]
                if name in seen:
                    told = f"{identity} {name!r} is also that of {place}[{seen[name]}]"
                    wrong.append(self._error(entry, here, told))
                seen.setdefault(name, number)
                yield here, entry, wrong
            else:
                yield here, None, wrong

    def _categories(self, categories: list) -> Iterator[Finding]:
        for here, entry, wrong in self._entries(categories, "categories", CATEGORY, "id"):
            yield from wrong
            if entry is None:
                continue
            if entry["isthing"] not in (0, 1):
                yield self._error(entry, here, f"isthing must be 0 or 1, got {entry['isthing']}")
            color = entry["color"]
            if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
                told = f"color must be [r, g, b] in 0..255, got {color}"
                yield self._error(entry, here, told)
        if not categories:
            yield self._error(categories, "categories", "there is no class")

    def _videos(self, videos: list) -> Iterator[Finding]:
        for here, video, wrong in self._entries(videos, "videos", VIDEO, "video_id"):
            yield from wrong
            if video is None:
                continue
            if not video["images"]:
                yield self._error(video, here, "images is empty")
            last = None
            images = self._entries(video["images"], f"{here}.images", IMAGE, "id")
            for place, image, wrong_keys in images:
                yield from wrong_keys
                if image is None:
                    continue
                yield from self._files(image, place, ("file_name", "depth_file_name"))
                number = image.get("frame_id", -1 if last is None else last + 1)
                if last is not None and number <= last:
                    told = f"frame_id {number} follows {last}: frames must be in order of time"
                    yield self._error(image, place, told)
                last = number

    def _files(self, entry: dict, place: str, keys: tuple[str, ...]) -> Iterator[Finding]:
        for key in keys:
            name = entry.get(key)
            if name is not None and not (self.root / str(name)).is_file():
                told = f"{key} {name!r} does not exist below {self.root}"
                yield self._error(entry, place, told)

    def _annotations(
        self, annotations: list, things: dict[int, bool], images: dict[Any, set]
    ) -> Iterator[Finding]:
        videos = self._entries(annotations, "annotations", VIDEO_ANNOTATION, "video_id")
        for here, video, wrong in videos:
            yield from wrong
            if video is None:
                continue
            known = images.get(video["video_id"])
            if known is None:
                told = f"video_id {video['video_id']!r} is not in videos"
                yield self._error(video, here, told)
                continue
            frames = self._entries(
                video["annotations"], f"{here}.annotations", ANNOTATION, "image_id"
            )
            for place, entry, wrong_keys in frames:
                yield from wrong_keys
                if entry is None:
                    continue
                if entry["image_id"] not in known:
                    told = f"image_id {entry['image_id']!r} is no image of {video['video_id']!r}"
                    yield self._error(entry, place, told)
                yield from self._files(entry, place, ("file_name",))
                yield from self._segments(entry["segments_info"], place, things)

    def _segments(self, segments: list, place: str, things: dict[int, bool]) -> Iterator[Finding]:
        stuff_seen: set[int] = set()
        for here, segment, wrong in self._entries(
            segments, f"{place}.segments_info", SEGMENT, "id"
        ):
            yield from wrong
            if segment is None:
                continue
            category = segment["category_id"]
            if not 0 < segment["id"] < 1 << 24:
                told = f"id must be in 1..16777215 (0 is void), got {segment['id']}"
                yield self._error(segment, here, told)
            if category not in things:
                yield self._error(segment, here, f"category_id {category} is not in categories")
            elif not things[category] and category in stuff_seen:
                told = f"stuff category {category} has two segments in one frame"
                yield self._error(segment, here, told)
            stuff_seen.add(category)
