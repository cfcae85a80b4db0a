"""A dataset folder that grows video by video and can be continued after an interruption."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from dvps_d2.formats.files import atomic_path, read_json, write_bytes, write_json
from dvps_d2.formats.png import encode_depth, write_png
from dvps_d2.street.config import StreetConfig, split_seed
from dvps_d2.street.video import StreetVideo

_NOTES = ".street"  # hidden, so that the visible tree is the released one
_PARTIAL, _READY, _NOTE = "partial", "ready", "video.json"
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

    def names(self, split: str, index: int, frames: int) -> tuple[str, dict[int, int]]:
        """What the reader calls a video of this many rendered frames, and those it stores.

        Returns:
            Video id, and rendered frame -> ``frame_id`` in order of time.
        """
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
    """Takes the files of one video, away from where they will be, and remembers their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[str] = []

    def path(self, name: str) -> Path:
        """Register a file by its path relative to the data set's root."""
        self.files.append(name)
        return self.folder / name

    def png(self, name: str, image: np.ndarray) -> None:
        """8-bit or 16-bit, grey or RGB."""
        write_png(self.path(name), image, compression=_COMPRESSION)

    def palette_png(self, name: str, indices: np.ndarray, colours: np.ndarray) -> None:
        """8-bit indexed, with colours (256, 3) that are for people only."""
        image = Image.fromarray(indices)
        image.putpalette(colours.tobytes())  # makes it indexed
        stream = io.BytesIO()
        image.save(stream, "PNG", compress_level=_COMPRESSION)
        write_bytes(self.path(name), stream.getvalue())

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

    A video is written in a hidden folder, which gets another name when the last file and a note
    about them are there; then its files are moved to their places, and the note last. So a video
    that was interrupted while it was rendered leaves nothing outside the hidden folder and is
    written again; one that was interrupted while it was moved is moved to its end.
    """

    def __init__(self, root: str | os.PathLike[str], layout: Layout) -> None:
        self.root = Path(root)
        self.layout = layout

    def claim(self, config: StreetConfig, seed: int) -> None:
        """Note what is written here, and finish what an interruption left.

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
        for folder in sorted((self.root / _NOTES / _READY).glob("*")):
            self._publish(folder)
        shutil.rmtree(self.root / _NOTES / _PARTIAL, ignore_errors=True)

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
            with_flow: also write the true flow, see ``write_flow``.
        """
        video = StreetVideo(self.layout.video_config(config, split), split_seed(split, index, seed))
        name = f"{split}-{index:06d}"
        folder = self.root / _NOTES / _PARTIAL / name
        shutil.rmtree(folder, ignore_errors=True)
        tree = VideoTree(folder)
        record = self.layout.write_video(tree, split, index, video)
        if with_flow:
            write_flow(tree, split, video, *self.layout.names(split, index, len(video)))
        content = {"frames": config.frames, "flow": with_flow, "files": tree.files}
        content |= {"record": record, "split": split, "index": index}
        write_json(folder / _NOTE, content)
        ready = self.root / _NOTES / _READY / name
        ready.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, ready)
        self._publish(ready)

    def _publish(self, ready: Path) -> None:
        """Move a finished video to its place; going on where this was interrupted is all right."""
        content = read_json(ready / _NOTE)
        note = self._note(content["split"], content["index"])
        if note.exists():  # a video of other length, or without flow
            for name in set(read_json(note)["files"]) - set(content["files"]):
                (self.root / name).unlink(missing_ok=True)
            note.unlink()
        for name in content["files"]:
            source, target = ready / name, self.root / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)
        note.parent.mkdir(parents=True, exist_ok=True)
        os.replace(ready / _NOTE, note)
        shutil.rmtree(ready)

    def finish(self, split: str, count: int) -> None:
        """Write what concerns the first ``count`` videos of a split as a whole."""
        notes = [read_json(self._note(split, index)) for index in range(count)]
        self.layout.finish(self.root, split, [note["record"] for note in notes])

    def _note(self, split: str, index: int) -> Path:
        return self.root / _NOTES / split / f"{index:06d}.json"


def write_flow(
    tree: VideoTree, split: str, video: StreetVideo, video_id: str, frame_ids: dict[int, int]
) -> None:
    """Write the true flow between neighbouring stored frames, forward and backward.

    ``flow/<split>/<video id>/<key frame>_<reference frame>.npy`` holds (H, W, 2) float16 pixels
    (dx, dy) from the key frame to the reference frame: what MODEL.VPSNET.FLOW.NAME "files" reads.
    ``truth.npz`` beside them holds pairs (P, 2) of frame ids, visible (P, H, W) bool (the point is
    inside the reference frame and not hidden there), poses (T, 4, 4) world from camera, intrinsics
    (3, 3) and seconds (T,).
    """
    folder = f"flow/{split}/{video_id}"
    neighbours = list(pairwise(frame_ids))
    neighbours = sorted([*neighbours, *((b, a) for a, b in neighbours)])
    visible = []
    for key, reference in neighbours:
        flow, seen = video.flow(key, reference)
        name = f"{folder}/{frame_ids[key]}_{frame_ids[reference]}.npy"
        with atomic_path(tree.path(name)) as partial:
            np.save(partial, flow.astype(np.float16))
        visible.append(seen)
    size = (video.config.height, video.config.width)
    with atomic_path(tree.path(f"{folder}/truth.npz")) as partial:
        np.savez_compressed(
            partial,
            pairs=np.array([[frame_ids[t] for t in pair] for pair in neighbours]).reshape(-1, 2),
            visible=np.array(visible, bool).reshape(-1, *size),
            poses=np.stack([video.pose(t) for t in frame_ids]),
            intrinsics=video.world.intrinsics.matrix,
            seconds=np.array([t * video.config.interval for t in frame_ids]),
        )


def _difference(found: dict, wanted: dict) -> str:
    """The first setting that differs, in words."""
    flat = [{**content, **content["config"]} for content in (found, wanted)]
    for key in flat[1]:
        if key != "config" and flat[0].get(key) != flat[1][key]:
            return f"its {key} is {flat[0].get(key)!r}, asked was {flat[1][key]!r}"
    return "its settings differ"
