"""From videos to a page on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from dvps_d2.formats.files import write_bytes
from dvps_d2.metrics import ClassSet, Protocol
from dvps_d2.report.frames import ReportVideo
from dvps_d2.report.page import Page, render
from dvps_d2.report.payload import Limits, encode_video
from dvps_d2.report.scores import ScoredVideo, score_all, total_result, worst_first
from dvps_d2.visualize import Palette

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportSettings:
    """What a report shows.

    Attributes:
        title: heading.
        dataset: name of the dataset, for people.
        videos: how many of the worst videos to embed; None = all.
        chosen: ids of videos to embed instead.
        limits: how much may be embedded.
        notes: sentences for the top of the page.
        curves: ``read_curves`` of the run, if there is one.
    """

    title: str
    dataset: str
    videos: int | None = 4
    chosen: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    notes: tuple[str, ...] = ()
    curves: dict = field(default_factory=dict)


def write_report(
    path: str | Path,
    videos: Sequence[ReportVideo],
    protocol: Protocol,
    classes: ClassSet,
    colors: Sequence[Sequence[int]],
    settings: ReportSettings,
    *,
    result: dict | None = None,
    quiet: bool = False,
) -> dict:
    """Score the videos, embed some of them, and write the page; it appears whole or not at all.

    Args:
        path: the HTML file.
        videos: all of them; each is read once to be scored and, if embedded, once more.
        protocol: how to score.
        classes: of the dataset.
        colors: (r, g, b) per class.
        settings: what to show.
        result: scores to show when there are no videos; else those of the videos are shown.
        quiet: no progress bars.

    Returns:
        ``{"videos", "embedded", "left_out", "bytes", "result"}``; ids of videos from the worst on.

    Raises:
        ValueError: a chosen video does not exist, or a frame cannot be read or scored.
    """
    palette = Palette(colors, classes.thing_ids)
    known = {video.video_id for video in videos}
    unknown = [video_id for video_id in settings.chosen if video_id not in known]
    if unknown:
        listed = ", ".join(sorted(known)[:5])
        raise ValueError(f"there is no video {unknown[0]!r} among the {len(known)}: {listed}, ...")
    scoring = score_all(videos, protocol, classes)
    bar = tqdm(scoring, "scoring", len(videos), unit="video", disable=quiet or not videos)
    scored = worst_first(list(bar))
    if scored:
        result = total_result(scored, protocol, classes)
    wanted = choose(scored, settings)
    payloads, left_out = embed(wanted, palette, settings.limits, quiet=quiet)
    for line in left_out:
        logger.warning("%s", line)
    page = Page(
        title=settings.title,
        dataset=settings.dataset,
        notes=(*settings.notes, *left_out),
        classes=classes,
        palette=palette,
        result=result,
        scored=scored,
        payloads=payloads,
        curves=settings.curves,
    )
    data = render(page).encode()
    write_bytes(path, data)
    return {
        "videos": [s.video.video_id for s in scored],
        "embedded": list(payloads),
        "left_out": left_out,
        "bytes": len(data),
        "result": result,
    }


def choose(scored: Sequence[ScoredVideo], settings: ReportSettings) -> list[ScoredVideo]:
    """The videos to embed: those asked for by id, else the worst ones."""
    if settings.chosen:
        return [s for s in scored if s.video.video_id in settings.chosen]
    return list(scored[: settings.videos])


def embed(
    scored: Iterable[ScoredVideo], palette: Palette, limits: Limits, *, quiet: bool = False
) -> tuple[dict[str, dict], list[str]]:
    """Encode videos until the page is full.

    Returns:
        Video id -> payload, and sentences about what was left out.
    """
    scored = list(scored)
    total = sum(len(s.video.frames) for s in scored)
    payloads: dict[str, dict] = {}
    without, room = [], limits.max_bytes
    cut = ""
    with tqdm(total=total, desc="embedding", unit="frame", disable=quiet or not total) as bar:
        for one in scored:
            payload, size = encode_video(one, palette, limits, room=room, tell=bar.update)
            shown, length = len(payload["frames"]), len(one.video.frames)
            if shown == length or (shown and not payloads):
                payloads[one.video.video_id] = payload
                room = max(0, room - size)
                if shown < length:
                    cut = f"Video {one.video.video_id} is cut after {shown} of {length} frames"
            else:  # rather a whole video less than a piece of one
                without.append(one.video.video_id)
    megabytes = f"{limits.max_bytes / 1e6:g} MB"
    notes = [f"{cut}, because the page may hold {megabytes} of videos."] if cut else []
    if without:
        notes.append(
            f"{len(without)} of {len(scored)} videos did not fit into {megabytes} and are scored, "
            f"but not shown: {', '.join(without[:8])}{' and more' if len(without) > 8 else ''}. "
            f"Allow more with --max-mb, or show them smaller with --max-side."
        )
    return payloads, notes
