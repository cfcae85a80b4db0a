"""A dataset folder that grows video by video and can be continued after an interruption."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from dvps_d2.formats.files import atomic_path, read_json, write_bytes, write_json
from dvps_d2.formats.png import encode_depth, write_png
from dvps_d2.street.config import StreetConfig, split_seed
from dvps_d2.street.video import StreetVideo

_NOTES = ".street"  # hidden, so that the visible tree is the released one
_COMPRESSION, _JPEG_QUALITY = 1, 95


class Layout(Protocol):
    """How one dataset stores videos."""

    @property
    def name(self) -> str:
        """Of the layout, as on the command line."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the dataset has."""
        ...

    def video_config(self, config: StreetConfig, split: str) -> StreetConfig:
        """The frames to render, where a layout stores frames between the labelled ones."""
        ...

    def write_video(
        self, tree: VideoTree, split: str, index: int, video: StreetVideo
    ) -> dict[str, Any]:
        """Write the files of one video; what ``finish`` needs to know about it (JSON values)."""
        ...

    def finish(self, root: Path, split: str, videos: list[dict[str, Any]]) -> None:
        """Write the files of a whole split, given what ``write_video`` returned, in order."""
        ...


class VideoTree:
    """Writes the files of one video, each atomically, and remembers their names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []

    def path(self, name: str) -> Path:
        """Register a file by its path relative to the root."""
        self.files.append(name)
        return self.root / name

    def png(self, name: str, image: np.ndarray) -> None:
        """8-bit or 16-bit, grey or RGB."""
        write_png(self.path(name), image, compression=_COMPRESSION)

    def jpg(self, name: str, image: np.ndarray) -> None:
        """RGB with slight loss."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        write_bytes(self.path(name), data.tobytes())

    def depth(self, name: str, metres: np.ndarray) -> None:
        """16-bit PNG, metres x 256, 0 for none."""
        self.png(name, encode_depth(metres))


class StreetTree:
    """A data set under construction.

    A note in a hidden folder is written after the last file of a video: with it the video is
    complete and skipped, without it the video is written again.
    """

    def __init__(self, root: str | os.PathLike[str], layout: Layout) -> None:
        self.root = Path(root)
        self.layout = layout

    def claim(self, config: StreetConfig, seed: int) -> None:
        """Note what is written here.

        Raises:
            ValueError: the folder already holds another street.
        """
        settings = asdict(config)
        settings.pop("frames")  # may differ between splits
        content = {"layout": self.layout.name, "seed": seed, "config": settings}
        path = self.root / _NOTES / "street.json"
        if not path.exists():
            write_json(path, content)
        elif (found := read_json(path)) != content:
            raise ValueError(
                f"{self.root} holds another street: {_difference(found, content)}; choose another "
                f"--root, or delete this one"
            )

    def is_complete(self, split: str, index: int, frames: int, *, with_flow: bool = False) -> bool:
        """Whether every file of a video of this length is there."""
        note = self._note(split, index)
        if not note.exists():
            return False
        content = read_json(note)
        if with_flow and not content["flow"]:
            return False
        return content["frames"] == frames and all(
            (self.root / name).exists() for name in content["files"]
        )

    def write_video(
        self, config: StreetConfig, split: str, index: int, seed: int, with_flow: bool = False
    ) -> None:
        """Render and write one video.

        Args:
            config: of the labelled frames; the layout may render more.
            with_flow: also write ``flow/<split>/<index>.npz`` with flow (T, H, W, 2) float16
                pixels, valid (T, H, W) bool, poses (T, 4, 4) world from camera, intrinsics (3, 3),
                seconds (T,), for every rendered frame.
        """
        video = StreetVideo(self.layout.video_config(config, split), split_seed(split, index, seed))
        tree = VideoTree(self.root)
        record = self.layout.write_video(tree, split, index, video)
        if with_flow:
            _write_flow(tree.path(f"flow/{split}/{index:06d}.npz"), video)
        content = {"frames": config.frames, "flow": with_flow, "files": tree.files}
        content["record"] = record
        write_json(self._note(split, index), content)

    def finish(self, split: str, count: int) -> None:
        """Write what concerns the first ``count`` videos of a split as a whole."""
        notes = [read_json(self._note(split, index)) for index in range(count)]
        self.layout.finish(self.root, split, [note["record"] for note in notes])

    def _note(self, split: str, index: int) -> Path:
        return self.root / _NOTES / split / f"{index:06d}.json"


def _write_flow(path: Path, video: StreetVideo) -> None:
    frames = [video.render(t, with_flow=True) for t in range(len(video))]
    flow = [frame.flow_to_next for frame in frames if frame.flow_to_next is not None]
    valid = [frame.flow_valid for frame in frames if frame.flow_valid is not None]
    with atomic_path(path) as partial:
        np.savez_compressed(
            partial,
            flow=np.stack(flow).astype(np.float16),
            valid=np.stack(valid),
            poses=np.stack([frame.pose for frame in frames]),
            intrinsics=frames[0].intrinsics.matrix,
            seconds=np.array([frame.seconds for frame in frames]),
        )


def _difference(found: dict, wanted: dict) -> str:
    """The first setting that differs, in words."""
    flat = [{**content, **content["config"]} for content in (found, wanted)]
    for key in flat[1]:
        if key != "config" and flat[0].get(key) != flat[1][key]:
            return f"its {key} is {flat[0].get(key)!r}, asked was {flat[1][key]!r}"
    return "its settings differ"
