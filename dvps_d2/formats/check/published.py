"""How large the datasets are, as published: videos and labelled frames per split."""

from __future__ import annotations

# reader name -> split -> (videos, labelled frames); None where it is not fixed.
PUBLISHED: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "cityscapes_vps": {"train": (400, 2400), "val": (50, 300), "test": (50, None)},
    "cityscapes_dvps": {"train": (400, 2400), "val": (50, 300)},
    "vipseg": {"train": (2806, 66767), "val": (343, 8255), "test": (387, None)},
    "semkitti_dvps": {"train": (10, 19130), "val": (1, 4071)},
}
READERS_OF_RELEASES = (*PUBLISHED, "viper")
# Frames of a video are numbered without gaps; VIPSeg's are not.
CONSECUTIVE = ("cityscapes_vps", "cityscapes_dvps", "viper", "semkitti_dvps")
# Labelled frames of every video.
LABELLED_PER_VIDEO = {"cityscapes_vps": 6, "cityscapes_dvps": 6}
