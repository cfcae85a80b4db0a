"""SemKITTI-DVPS as released: flat folders, sparse labels and depth from a LiDAR.

``video_sequence/{train,val}/SSSSSS_FFFFFF_{leftImg8bit,gtFine_class,gtFine_instance}.png`` and
``SSSSSS_FFFFFF_depth_<focal length>.png``. Class 255 is void; depth is 16 bit, 1/256 m, 0 = none.
Most pixels have neither label nor depth.

Source: Qiao et al., "ViP-DeepLab", CVPR 2021, section 4.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np

from dvps_d2.formats.classes import VOID, class_table
from dvps_d2.formats.errors import FormatError, TreeError, absent, describe_folder, tree_error
from dvps_d2.formats.labels import PanopticLabel
from dvps_d2.formats.png import read_depth_png, read_png
from dvps_d2.formats.records import (
    FrameRecord,
    SemanticOfPanoptic,
    VideoRecord,
    check_split,
    complete_videos,
    drop_excluded,
    frame_record,
    make_record,
    require_depth,
    require_label,
)

EXPECTED = (
    "video_sequence/{train,val}/SSSSSS_FFFFFF_"
    "{leftImg8bit,gtFine_class,gtFine_instance,depth_<focal length>}.png"
)
PATTERN = re.compile(
    r"(\d{6})_(\d{6})_(leftImg8bit|gtFine_class|gtFine_instance|depth)(?:_([\d.]+))?\.png"
)
INSTANCE_BITS = 16  # track id = class << 16 | instance


def focal_length(depth_file_name: str | os.PathLike[str]) -> float:
    """Focal length in pixels, which the name of a depth file ends with."""
    match = PATTERN.fullmatch(Path(depth_file_name).name)
    if match is None or match.group(4) is None:
        raise FormatError(f"{depth_file_name}: expected SSSSSS_FFFFFF_depth_<focal length>.png")
    return float(match.group(4))


def find_split_folder(root: str | Path, split: str) -> Path:
    """The folder of one split, whether ``root`` is the dataset, its parent or video_sequence."""
    root = Path(root)
    for folder in (root / "video_sequence", root / "semkitti-dvps" / "video_sequence", root):
        if (folder / split).is_dir():
            return folder / split
    raise tree_error("SemKITTI-DVPS", root, EXPECTED)


class SemKITTIDVPS(SemanticOfPanoptic):
    """Reader of the released tree."""

    name = "semkitti_dvps"
    splits = ("train", "val", "test")
    categories = class_table("semkitti")

    def recognises(self, root: str | Path) -> bool:
        """Whether ``root`` looks like this dataset."""
        for split in self.splits:
            folder = Path(root) / "video_sequence" / split
            if folder.is_dir() and any("_gtFine_class" in name for name in os.listdir(folder)):
                return True
        return False

    def load_records(
        self, root: str | Path, split: str, *, exclude: Collection[str] = ()
    ) -> list[VideoRecord]:
        """All sequences of a split, each one long video; see `DatasetReader.load_records`."""
        check_split(split, self.splits, "SemKITTI-DVPS")
        folder = find_split_folder(root, split)
        videos: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        for name in sorted(os.listdir(folder)):
            match = PATTERN.fullmatch(name)
            if match is not None:
                video_id, number, kind, _ = match.groups()
                files = videos[video_id][int(number)]
                if kind in files:
                    told = f"two {kind} files for sequence {video_id}, frame {int(number)}: "
                    absent(TreeError(f"{told}{files[kind]} and {name}"))
                files[kind] = str(folder / name)
        if not videos:
            raise TreeError(
                f"no SemKITTI-DVPS frame in {folder}\n  expected: {EXPECTED}\n"
                f"  found:    {describe_folder(folder)}"
            )
        records = complete_videos(self._record(*video, split) for video in videos.items())
        return drop_excluded(records, exclude)

    def _record(
        self, video_id: str, frames: dict[int, dict[str, str]], split: str
    ) -> VideoRecord | None:
        entries = []
        for number, files in sorted(frames.items()):
            required = ["leftImg8bit"]
            if split != "test":
                required += ["gtFine_class", "gtFine_instance"]
            lacking = [kind for kind in required if kind not in files]
            if lacking:
                told = (
                    f"sequence {video_id}, frame {number} has no *_{lacking[0]}.png beside "
                    f"{', '.join(files.values())}; images come from the KITTI odometry set "
                    f"(datasets/prepare_semkitti_dvps.py)"
                )
                absent(TreeError(told))
                continue
            entries.append(
                frame_record(
                    files["leftImg8bit"],
                    number,
                    label=files.get("gtFine_class"),
                    depth=files.get("depth"),
                )
            )
        return make_record(video_id, entries)

    def read_panoptic(self, frame: FrameRecord) -> PanopticLabel:
        """Decode the class PNG and the instance PNG beside it.

        A thing without instance number is a crowd; instance numbers in stuff or void are
        ignored.
        """
        path = require_label(frame)
        class_ids = read_png(path, channels=1, bits=8)
        other = path.replace("_gtFine_class.png", "_gtFine_instance.png")
        instances = read_png(other, channels=1, size=class_ids.shape)
        unknown = (class_ids >= len(self.categories)) & (class_ids != VOID)
        if unknown.any():
            raise FormatError(
                f"{path} holds class {class_ids[unknown][0]} in {int(unknown.sum())} pixels; "
                f"expected 0..18 or 255"
            )
        single = self.categories.is_thing[class_ids] & (instances > 0)
        track_ids = class_ids.astype(np.int32) << INSTANCE_BITS | instances
        return PanopticLabel(class_ids, np.where(single, track_ids, 0).astype(np.int32))

    def read_depth(self, frame: FrameRecord) -> np.ndarray:
        """(H, W) float32 metres, 0 where no LiDAR point fell."""
        return read_depth_png(require_depth(frame))
