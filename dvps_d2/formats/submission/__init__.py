"""Predictions in the files that evaluation servers and published scripts take.

```
with WRITERS["vipseg"](folder, records, table) as writer:
    writer.add(video_id, frame_id, ids, classes, depth)
writer.archive("submission.zip")
```
"""

from __future__ import annotations

from dvps_d2.formats.submission.coded import CityscapesDVPSWriter, SemKITTIDVPSWriter
from dvps_d2.formats.submission.listed import CityscapesVPSWriter, VIPERWriter, VIPSegWriter
from dvps_d2.formats.submission.writer import SubmissionWriter

WRITERS: dict[str, type[SubmissionWriter]] = {
    "cityscapes_vps": CityscapesVPSWriter,
    "cityscapes_dvps": CityscapesDVPSWriter,
    "viper": VIPERWriter,
    "vipseg": VIPSegWriter,
    "semkitti_dvps": SemKITTIDVPSWriter,
}

__all__ = [
    "WRITERS",
    "CityscapesDVPSWriter",
    "CityscapesVPSWriter",
    "SemKITTIDVPSWriter",
    "SubmissionWriter",
    "VIPERWriter",
    "VIPSegWriter",
]
