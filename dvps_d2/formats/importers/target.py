"""Where imported data goes: names of files, video after video, the JSON at the end."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.files import atomic_path, image_size, write_json
from dvps_d2.formats.png import id_to_rgb, read_png, write_depth_png, write_png
from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces

logger = logging.getLogger(__name__)

JPEG_QUALITY = 95
_LARGEST_ID = (1 << 24) - 1
_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class ImportTarget:
    """One data set being imported.

    Attributes:
        root: folder of the result; paths in the JSON start there.
        name: of the set, "train" or "val"; several sets share a root.
        categories: see `read_categories`.
        how: how existing images get there: "copy", "hardlink" or "symlink".
        depth_scale: units per metre in depth PNGs that are read; 1000 = millimetres.
    """

    root: Path
    name: str
    categories: Sequence[Mapping[str, Any]]
    how: str = "copy"
    depth_scale: float = 256.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(
                f"name must be of letters, digits, '_', '-' and '.', such as train; got "
                f"{self.name!r}"
            )
        if self.depth_scale <= 0:
            raise ValueError(f"depth_scale must be above 0, got {self.depth_scale}")

    @property
    def json_file(self) -> Path:
        """The result."""
        return self.root / f"{self.name}.json"

    @property
    def things(self) -> dict[int, bool]:
        """Category id -> whether it is a thing."""
        return {entry["id"]: bool(entry["isthing"]) for entry in self.categories}

    def file(self, kind: str, video: str, name: str) -> str:
        """Path below the root of a file of a frame; ``kind`` is frames, labels or depth."""
        return f"{self.name}/{kind}/{video}/{name}"

    def place_image(self, source: Path, video: str, frame: str) -> tuple[str, tuple[int, int]]:
        """Put an image there; returns its path below the root and its (height, width).

        An image that its EXIF tag turns (cameras, telephones) is written upright, since labels are
        drawn on upright images.
        """
        name = self.file("frames", video, frame + source.suffix.lower())
        place = self.root / name
        place.unlink(missing_ok=True)
        image_size(source)  # says so when it is no image
        with Image.open(source) as image:
            if image.getexif().get(_ORIENTATION, 1) != 1:
                with atomic_path(place) as partial:
                    ImageOps.exif_transpose(image).save(partial, quality=JPEG_QUALITY)
        place_file(source, place, self.how)
        return name, image_size(place)

    def write_label(self, ids: np.ndarray, video: str, frame: str) -> str:
        """Write (H, W) ids, 0 = void; returns the path below the root."""
        name = self.file("labels", video, f"{frame}.png")
        if ids.size and ids.max() > _LARGEST_ID:
            raise FormatError(f"video {video!r} has more than {_LARGEST_ID} objects")
        write_png(self.root / name, id_to_rgb(ids))
        return name

    def write_depth(self, source: Path, video: str, frame: str, size: tuple[int, int]) -> str:
        """Bring a depth PNG into metres x 256; returns the path below the root.

        Args:
            source: 8-bit or 16-bit grey PNG, metres x ``depth_scale``, 0 = no depth.
            video: id.
            frame: name.
            size: (height, width) of the image.
        """
        units = read_png(source, channels=1, size=size)
        name = self.file("depth", video, f"{frame}.png")
        write_depth_png(self.root / name, units / self.depth_scale)
        return name

    def finish(
        self,
        jobs: Mapping[str, Any],
        work: Callable[..., dict[str, Any]],
        *,
        workers: int = 0,
        description: str = "videos",
    ) -> Path:
        """Import every video that is not there yet, then write the JSON.

        Args:
            jobs: video id -> what ``work`` needs, JSON-like; a changed job is done again.
            work: called as ``work(self, video, job)``; returns ``{"video", "annotation"}``
                entries for the JSON. A module-level function, when there are workers.
            workers: processes.
            description: for the progress bar.

        Returns:
            The JSON.
        """
        settings = [self.how, self.depth_scale, list(self.categories)]
        pieces = [
            Piece(f"{self.name}/{video}", (self, video, job), _digest([settings, job]))
            for video, job in jobs.items()
        ]
        results = run_pieces(pieces, work, self.root, workers=workers, description=description)
        content = {
            "categories": list(self.categories),
            "videos": [result["video"] for result in results],
            "annotations": [r["annotation"] for r in results if r["annotation"]["annotations"]],
        }
        write_json(self.json_file, content)
        return self.json_file


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def video_entry(video: str, size: tuple[int, int], images: list[dict[str, Any]]) -> dict[str, Any]:
    """One entry of ``videos``; ``size`` is (height, width)."""
    return {"video_id": video, "width": size[1], "height": size[0], "images": images}


def segment_entry(segment_id: int, category_id: int, area: int, *, crowd: bool) -> dict[str, Any]:
    """One entry of ``segments_info``."""
    return {
        "id": int(segment_id),
        "category_id": int(category_id),
        "iscrowd": int(crowd),
        "area": int(area),
    }
