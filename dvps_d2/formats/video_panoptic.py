"""Own data: one JSON and PNGs, any folders.

```
{"categories":  [{"id": 1, "name": "cat", "isthing": 1, "color": [220, 20, 60]}, ...],
 "videos":      [{"video_id": "garden", "width": 640, "height": 360,
                  "images": [{"id": "0001", "file_name": "frames/garden/0001.jpg",
                              "depth_file_name": "depth/garden/0001.png"}, ...]}, ...],
 "annotations": [{"video_id": "garden",
                  "annotations": [{"image_id": "0001", "file_name": "labels/garden/0001.png",
                                   "segments_info": [{"id": 7, "category_id": 1, "iscrowd": 0,
                                                      "area": 900}, ...]}, ...]}, ...]}
```

Paths are relative to the root. Labels are 8-bit RGB PNGs, id = R + 256 G + 65536 B, 0 = void; an
id of a thing is the same object in all frames of its video. A frame without annotation is
unlabelled. ``depth_file_name`` is optional: 16-bit PNG, metres x 256, 0 = none. Frames are in
order of time; ``frame_id`` (int) numbers them where the places in the list are not their times.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.formats.classes import table_from_categories
from dvps_d2.formats.errors import FormatError, TreeError
from dvps_d2.formats.files import read_json
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.lookup import decode_rgb_label
from dvps_d2.formats.png import read_depth_png
from dvps_d2.formats.records import (
    FrameRecord,
    SemanticOfPanoptic,
    VideoRecord,
    check_split,
    drop_excluded,
    frame_record,
    require_depth,
    require_label,
)


class VideoPanopticReader(SemanticOfPanoptic):
    """Reader of one JSON of own data; it is its own and only split, "all".

    Args:
        name: name of the reader.
        path: the JSON.
    """

    splits = ("all",)

    def __init__(self, name: str, path: str | Path) -> None:
        self.name = name
        self.path = Path(path)
        if not self.path.is_file():
            raise TreeError(f"annotations {self.path} do not exist")
        content = read_json(self.path)
        missing = {"categories", "videos", "annotations"} - set(content)
        if missing:
            raise FormatError(
                f"{self.path} lacks {', '.join(sorted(missing))}; `dvps check {self.path}` tells "
                f"line by line what is wrong"
            )
        self.categories = table_from_categories(name, content["categories"])

    def recognises(self, root: str | Path) -> bool:
        """Own data is never recognised by its folder: any layout is fine."""
        return False

    def load_records(
        self, root: str | Path, split: str = "all", *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All videos of the JSON, paths below ``root``; see `DatasetReader.load_records`."""
        check_split(split, self.splits, self.name)
        content = read_json(self.path)
        try:
            labels = {
                (video["video_id"], entry["image_id"]): entry
                for video in content["annotations"]
                for entry in video["annotations"]
            }
            records = [_record(Path(root), video, labels) for video in content["videos"]]
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"{self.path} is not complete (missing {error}); `dvps check {self.path}` tells "
                f"line by line what is wrong"
            ) from error
        return drop_excluded(records, exclude)

    def labelled_classes(self) -> list[str]:
        """Names of the classes that occur in the labels, crowds included, in order of class id."""
        used = {
            segment.get("category_id")
            for video in read_json(self.path)["annotations"]
            for entry in video["annotations"]
            for segment in entry.get("segments_info", ())
        }
        table = self.categories
        return [n for n, i in zip(table.names, table.dataset_ids, strict=True) if i in used]

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode an RGB label by its segments."""
        path = require_label(frame)
        return decode_rgb_label(path, frame["segments_info"] or [], self.categories)

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """(H, W) float32 metres, 0 where there is no depth."""
        return read_depth_png(require_depth(frame))


def _record(root: Path, video: dict[str, Any], labels: dict) -> VideoRecord:
    frames = []
    for place, image in enumerate(video["images"]):
        entry = labels.get((video["video_id"], image["id"]))
        depth = image.get("depth_file_name")
        frames.append(
            frame_record(
                root / image["file_name"],
                int(image.get("frame_id", place)),
                label=None if entry is None else root / entry["file_name"],
                segments_info=None if entry is None else entry["segments_info"],
                depth=None if depth is None else root / depth,
            )
        )
    return VideoRecord(
        video_id=str(video["video_id"]),
        height=int(video["height"]),
        width=int(video["width"]),
        frames=frames,
    )
