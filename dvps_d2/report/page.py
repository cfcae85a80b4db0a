"""The page: HTML around what was measured, with styles and scripts inlined."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np

from dvps_d2 import __version__
from dvps_d2.metrics import ClassSet
from dvps_d2.report.payload import NEAREST, STEP, depth_colors
from dvps_d2.report.scores import ScoredVideo, main_score
from dvps_d2.report.tables import (
    class_bars,
    percent,
    score_charts,
    score_tables,
    tiles,
    training_charts,
)
from dvps_d2.visualize import DepthScale, Palette

SCRIPTS = ("decode.js", "layers.js", "player.js", "timeline.js", "main.js")


@dataclass(frozen=True, eq=False)
class Page:
    """All that a page shows.

    Attributes:
        title, dataset: for the heading.
        notes: sentences for the top.
        classes: of the dataset.
        palette: colours.
        result: the scores of all videos together; None without labels.
        scored: all videos, from the worst to the best.
        payloads: what is embedded, by video id.
        curves: of the training.
    """

    title: str
    dataset: str
    notes: Sequence[str]
    classes: ClassSet
    palette: Palette
    result: dict | None
    scored: Sequence[ScoredVideo]
    payloads: Mapping[str, dict]
    curves: dict


def render(page: Page) -> str:
    """The page as one HTML document that loads nothing from anywhere."""
    parts = {
        "title": escape(page.title),
        "subtitle": _subtitle(page),
        "notes": "".join(f"<p>{escape(note)}</p>" for note in page.notes),
        "tiles": _tiles(page),
        "videos": _video_rows(page),
        "score": _score_name(page),
        "scores": _section("scores-title", "Scores", _scores(page)),
        "classes": _section("classes-title", "Classes", _classes(page)),
        "training": _section("training-title", "Training", _training(page)),
        "data": _json(_data(page)),
        "payloads": "\n".join(
            f'<script type="application/json" id="video-{number}">{_json(payload)}</script>'
            for number, payload in enumerate(page.payloads.values())
        ),
        "style": template("style.css"),
        "script": "\n".join(template(name) for name in SCRIPTS),
        "version": escape(__version__),
        "player_state": "" if page.payloads else "hidden",
        "videos_state": "" if page.scored else "hidden",
    }
    text = template("page.html")
    before, *pieces = text.split("{{")
    done = [before]
    for piece in pieces:  # one pass, so that what is filled in is never looked at again
        name, rest = piece.split("}}", 1)
        done += [parts[name.strip()], rest]
    return "".join(done)


def template(name: str) -> str:
    """A file of the template."""
    return (files("dvps_d2.report") / "template" / name).read_text(encoding="utf-8")


def _json(content: object) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _data(page: Page) -> dict:
    """What the scripts need besides the videos."""
    scale = DepthScale()
    things = set(page.classes.thing_ids)
    colors = np.asarray(page.palette.class_colors).tolist()
    return {
        "classes": [
            {"name": name, "thing": i in things, "color": color}
            for i, (name, color) in enumerate(zip(page.classes.names, colors, strict=True))
        ],
        "depth": {
            "nearest": NEAREST,
            "step": STEP,
            "colors": base64.b64encode(depth_colors(scale).tobytes()).decode(),
            "ticks": scale.ticks(),
            "range": [scale.near, scale.far],
        },
        "videos": [
            {"id": video_id, "frames": len(payload["frames"])}
            for video_id, payload in page.payloads.items()
        ],
    }


def _subtitle(page: Page) -> str:
    videos = len(page.scored) or (page.result or {}).get("videos", 0)
    known = page.result is not None and page.result["protocol"] == page.dataset
    parts = [] if known else [f"<span>{escape(page.dataset)}</span>"]
    if page.result:
        mode = "as published" if page.result["as_published"] else "as documented"
        parts.append(
            f"<span>{escape(page.result['title'])} "
            f"<code>{escape(page.result['protocol'])}</code>, {mode}</span>"
        )
        frames = page.result["frames"]
        parts.append(f"<span>{videos} videos, {frames} labelled frames</span>")
    else:
        parts.append(f"<span>{videos} videos without labels: nothing is scored</span>")
    return "".join(parts)


def _tiles(page: Page) -> str:
    if page.result is None:
        return ""
    switches = sum(len(s.tracks.switches) for s in page.scored) if page.scored else None
    return tiles(page.result, switches)


def _score_name(page: Page) -> str:
    return "frames" if page.result is None else escape(main_score(page.result)[0])


def _video_rows(page: Page) -> str:
    places = {video_id: number for number, video_id in enumerate(page.payloads)}
    rows = []
    for one in page.scored:
        name = escape(one.video.video_id)
        number = places.get(one.video.video_id)
        label = f'<span class="muted" title="scored, but not embedded">{name}</span>'
        if number is not None:
            label = f'<button type="button" data-video="{number}">{name}</button>'
        width = 0.0 if one.value is None else 100 * one.value
        value = percent(one.value) if one.result else str(len(one.video.frames))
        bar = f'<span class="bar s0" style="--part:{width:.1f}%"></span>' if one.result else ""
        switches = str(len(one.tracks.switches)) if one.result else "–"
        rows.append(
            f'<tr><th scope="row">{label}</th><td>{bar}<span>{value}</span></td>'
            f"<td>{switches}</td></tr>"
        )
    return "".join(rows)


def _scores(page: Page) -> str:
    if page.result is None:
        return ""
    charts = "".join(score_charts(page.result))
    return f'<div class="split"><div>{score_tables(page.result)}</div><div>{charts}</div></div>'


def _classes(page: Page) -> str:
    if page.result is None:
        return ""
    colors = np.asarray(page.palette.class_colors).tolist()
    return f'<div class="split even">{class_bars(page.result, page.classes, colors)}</div>'


def _training(page: Page) -> str:
    charts = training_charts(page.curves)
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _section(name: str, title: str, content: str) -> str:
    if not content:
        return ""
    return (
        f'<section class="card" aria-labelledby="{name}"><h2 id="{name}">{title}</h2>'
        f"{content}</section>"
    )
