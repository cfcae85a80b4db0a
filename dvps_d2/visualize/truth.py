"""Ground truth of a dataset as a system beside a model's: found by the names of the frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats import READERS, VideoPanopticReader
from dvps_d2.formats.errors import describe_folder
from dvps_d2.formats.records import DatasetReader, FrameRecord
from dvps_d2.visualize.film import FrameResult
from dvps_d2.visualize.palette import Palette
from dvps_d2.visualize.panels import Look
from dvps_d2.visualize.resizing import nearest
from dvps_d2.visualize.segments import SegmentMap
from dvps_d2.visualize.sources import SourceFrame

LABEL_DIVISOR = 1000


class Truth:
    """What a dataset says about frames; nothing about frames that it does not label.

    Args:
        folder: of a dataset, some folder above the images in it, or the JSON of own data.

    Raises:
        ValueError: no reader takes it for its dataset.
    """

    def __init__(self, folder: Path) -> None:
        self.reader, records = _find(folder)
        self._frames: dict[Path, FrameRecord] = {}
        self._by_name: dict[str, list[FrameRecord]] = {}
        for record in records:
            for frame in record["frames"]:
                path = Path(frame["file_name"])
                self._frames[path.resolve()] = frame
                self._by_name.setdefault(path.stem, []).append(frame)
        table = self.reader.categories
        self.look = Look("ground truth", Palette(table.colors, table.thing_ids), table.names)
        self.has_depth = any(frame["depth_file_name"] for frame in self._frames.values())

    def step(self, frames: Sequence[SourceFrame], state: Any) -> tuple[Iterable[FrameResult], Any]:
        """See `System.step`.

        Raises:
            ValueError: the dataset has no frame of this name, or several.
        """
        return [self._read(frame) for frame in frames], True

    def finish(self, state: Any) -> Iterable[FrameResult]:
        """Nothing waits."""
        return ()

    def _find(self, source: SourceFrame) -> FrameRecord:
        """By the path of the image; by its name for copies of it elsewhere."""
        if source.path is not None and source.path.resolve() in self._frames:
            return self._frames[source.path.resolve()]
        found = self._by_name.get(source.name, [])
        if len(found) == 1:
            return found[0]
        raise ValueError(
            f"{self.reader.name} has {len(found) or 'no'} frames named {source.name!r}; ground "
            f"truth is found by the names of image files: give the images of one of its videos "
            f"as input"
        )

    def _read(self, source: SourceFrame) -> FrameResult:
        frame = self._find(source)
        size = source.image.shape[:2]
        if frame["labelled"]:
            label = self.reader.read_panoptic(frame)
            full = SegmentMap.from_labels(label.class_ids, label.track_ids)
        else:
            full = SegmentMap(np.zeros(size, np.uint16), np.array([255]), np.array([0]))
        # Some datasets number tracks as class x 1000 + n: n alone reads better.
        coded = full.track_ids // LABEL_DIVISOR == full.class_ids
        tracks = np.where(coded, full.track_ids % LABEL_DIVISOR, full.track_ids)
        segments = SegmentMap(nearest(full.index, size), full.class_ids, tracks)
        depth = None
        if frame["depth_file_name"]:
            depth = nearest(self.reader.read_depth(frame), size)
        return FrameResult(segments, depth)


def _find(folder: Path) -> tuple[DatasetReader, list[Any]]:
    """The reader of a dataset, and the videos of all its splits that are there."""
    if folder.suffix == ".json":
        own = VideoPanopticReader("own data", folder)
        return own, list(own.load_records(folder.parent, "all"))
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist")
    for root in (folder.resolve(), *folder.resolve().parents):
        for reader in READERS.values():
            if reader.recognises(root):
                return reader, _all_records(reader, root)
    raise ValueError(
        f"neither {folder} nor a folder above it is the folder of a training run (with "
        f"config.yaml) or one of the datasets {', '.join(sorted(READERS))}; "
        f"found: {describe_folder(folder)}"
    )


def _all_records(reader: DatasetReader, root: Path) -> list[Any]:
    records: list[Any] = []
    for split in reader.splits:
        try:
            records += reader.load_records(root, split)
        except (ValueError, OSError):  # a split that was not downloaded
            continue
    return records
