"""The result of ``dvps score`` as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path

from dvps_d2.cli.scoring.runner import VideoScore
from dvps_d2.formats.files import write_bytes
from dvps_d2.metrics import ClassSet, Protocol, bootstrap, summarize


def build_output(
    scores: Sequence[VideoScore],
    protocol: Protocol,
    classes: ClassSet,
    *,
    ci: bool = False,
    per_video: bool = False,
) -> dict:
    """Add the videos up.

    Args:
        scores: at least one video. The order does not matter to the last digit: videos are added
            by id.
        protocol: they were counted with it.
        classes: the dataset's classes.
        ci: add bootstrap intervals under "ci".
        per_video: add the result of every video under "per_video".

    Returns:
        ``metrics.summarize`` of all videos, where "stq" and "dstq" also list every video.
    """
    scores = sorted(scores, key=lambda score: score.video_id)
    total = reduce(add, (score.counts for score in scores))
    result = summarize(total, protocol, classes)
    result["windows"] = list(protocol.windows)
    each = [(score.video_id, summarize(score.counts, protocol, classes)) for score in scores]
    for name in ("stq", "dstq"):
        if name in result:
            keys = [k for k in ("dstq", "dq_mean", "stq", "aq", "sq") if k in result[name]]
            result[name]["per_video"] = [
                {"video_id": video_id, **{k: part[name][k] for k in keys}}
                for video_id, part in each
            ]
    if per_video:
        head = ("protocol", "title", "as_published", "videos")
        result["per_video"] = [
            {"video_id": video_id, **{k: v for k, v in part.items() if k not in head}}
            for video_id, part in each
        ]
    if ci:
        result["ci"] = bootstrap([score.counts for score in scores], protocol, classes)
    return result


def write_output(path: Path, result: dict) -> None:
    """Write the JSON: numbers at full precision, undefined ones as null."""
    write_bytes(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
