"""From a list of image files to videos: none, by folder, or by a pattern of the names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from dvps_d2.formats.errors import FormatError

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class PlacedFrame:
    """Where a file belongs: its video, its name in the video, its number if the name has one."""

    file_name: str
    video: str
    frame: str
    number: int | None


@dataclass(frozen=True)
class Grouping:
    r"""How file names become videos.

    Attributes:
        rule: "none" (every image is a video of one frame), "folder" (every folder is a video, its
            files in the order of the numbers in their names), or a regular expression with the
            groups ``video`` and ``frame``, such as ``(?P<video>\w+)_(?P<frame>\d+)``, that must
            match the whole path below the images without its ending.

    Raises:
        ValueError: the expression is no expression or lacks a group.
    """

    rule: str = "none"

    def __post_init__(self) -> None:
        if self.rule in ("none", "folder"):
            return
        try:
            groups = re.compile(self.rule).groupindex
        except re.error as error:
            raise ValueError(
                f"group {self.rule!r} is neither none nor folder nor a regular expression: {error}"
            ) from error
        missing = {"video", "frame"} - set(groups)
        if missing:
            raise ValueError(
                f"the expression {self.rule!r} needs the groups (?P<video>...) and "
                f"(?P<frame>...); it lacks {' and '.join(sorted(missing))}"
            )

    @property
    def makes_videos(self) -> bool:
        """Whether a video can have several frames."""
        return self.rule != "none"

    def group(self, file_names: Iterable[str]) -> dict[str, list[PlacedFrame]]:
        """Video id -> its frames in order of time; videos in order of their ids.

        Raises:
            FormatError: a name does not match the expression, or two files are one frame.
        """
        videos: dict[str, list[PlacedFrame]] = defaultdict(list)
        for name in file_names:
            placed = self._place(name)
            videos[placed.video].append(placed)
        for frames in videos.values():
            frames.sort(key=_order)
            for before, after in pairwise(frames):
                if _order(before)[0] == _order(after)[0]:
                    raise FormatError(
                        f"{before.file_name} and {after.file_name} are both frame "
                        f"{after.frame!r} of video {after.video!r}; another group rule is needed"
                    )
        return {video: videos[video] for video in sorted(videos)}

    def _place(self, name: str) -> PlacedFrame:
        path = PurePosixPath(name)
        stem = str(path.with_suffix(""))
        if self.rule == "none":
            return PlacedFrame(name, safe_name(stem), path.stem, None)
        if self.rule == "folder":
            folder = str(path.parent)
            return PlacedFrame(
                name, safe_name("video" if folder == "." else folder), path.stem, None
            )
        match = re.fullmatch(self.rule, stem)
        if match is None:
            raise FormatError(
                f"{name!r} (without its ending) does not match {self.rule!r} as a whole; change "
                f"--group"
            )
        frame = safe_name(match["frame"])
        number = int(frame) if frame.isdigit() else None
        return PlacedFrame(name, safe_name(match["video"]), frame, number)


def _order(frame: PlacedFrame) -> tuple[tuple, str]:
    """Numbers in names count as numbers: 2 before 10."""
    if frame.number is not None:
        return (frame.number,), frame.frame
    parts = _DIGITS.split(frame.frame)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts), frame.frame


def safe_name(name: str) -> str:
    """A text as the name of one folder: letters, digits, "-", "_" and inner dots stay."""
    return re.sub(r"[^\w.-]", "_", name).strip(".") or "_"
