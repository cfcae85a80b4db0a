"""Videos as text inside a page: small, exact, and decoded by the browser alone.

Pictures are JPEGs. Maps of segments and depths are numbers that ``template/decode.js`` reads
back: deflated and in base64, because canvases of some browsers do not return the colours of a
PNG as they were.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dvps_d2.metrics.depth import metres
from dvps_d2.report.frames import ReportFrame, fitting_size, sample, segment_rows
from dvps_d2.report.scores import ScoredVideo
from dvps_d2.report.tracks import KINDS, VideoTracks, error_table
from dvps_d2.visualize import DepthScale, Palette, draw_depth

JPEG_QUALITY = 82
# Depth d is stored as 1 + round(ln(d / NEAREST) / STEP): steps of half a percent; 0 = none.
NEAREST, STEP, CODES = 0.05, 0.005, 1900


@dataclass(frozen=True)
class Limits:
    """How much a page may hold.

    Attributes:
        max_side: pixels of the longer side of what is embedded; scores never look at it.
        max_bytes: of all embedded videos together.
    """

    max_side: int = 960
    max_bytes: int = 60_000_000

    def __post_init__(self) -> None:
        if self.max_side < 16:
            raise ValueError(f"max_side must be at least 16 pixels, got {self.max_side}")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes must be above 0, got {self.max_bytes}")


def encode_video(
    scored: ScoredVideo,
    palette: Palette,
    limits: Limits,
    *,
    room: int,
    tell: Callable[[], object] = lambda: None,
) -> tuple[dict, int]:
    """One video for the page.

    Args:
        scored: the video and its tracks.
        palette: colours.
        limits: the size of its frames.
        room: bytes that are left; further frames are left out.
        tell: called after each frame.

    Returns:
        What ``template/player.js`` takes, and its size in bytes. Its "frames" are fewer than the
        video's when the room ends; there are none when not one fits.
    """
    tracks = scored.tracks
    errors = error_table(tracks, palette.thing_ids)
    head = _head(scored, palette, errors)
    size = _length(head)
    for position, load in enumerate(scored.video.frames):
        frame = encode_frame(load(), tracks, errors, palette.thing_ids, limits.max_side)
        found = tracks.matches[position]
        frame["match"] = {str(row): [other, round(iou, 3)] for row, (other, iou) in found.items()}
        size += _length(frame) + 1
        if size > room:
            break
        head["frames"].append(frame)
        tell()
    return head, size


def _length(content: dict) -> int:
    """Characters of a part of the page."""
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _head(scored: ScoredVideo, palette: Palette, errors: np.ndarray) -> dict:
    """Everything about a video but its frames."""
    tracks = scored.tracks
    pred, truth = (
        [[key[0], key[1], *_color(palette, key)] for key in keys]
        for keys in (tracks.pred, tracks.truth)
    )
    objects = [row for row, (_, track) in enumerate(tracks.truth) if track]
    return {
        "id": scored.video.video_id,
        "length": len(scored.video.frames),
        "pred": pred,
        "truth": truth,
        "errors": pack(errors),
        "tracks": [
            {"row": row, "runs": tracks.runs(row)} for row, key in enumerate(tracks.pred) if key[1]
        ],
        "objects": [
            {"row": row, "holder": tracks.holders.get(row, 0), "finders": tracks.finders(row)}
            for row in objects
        ],
        "switches": [[s.frame, s.object, s.before, s.after] for s in tracks.switches],
        "frames": [],
    }


def _color(palette: Palette, key: tuple[int, int]) -> tuple[int, int, int]:
    return palette.color(*key) if key[0] >= 0 else (0, 0, 0)


def encode_frame(
    frame: ReportFrame,
    tracks: VideoTracks,
    errors: np.ndarray,
    things: frozenset[int],
    max_side: int,
) -> dict:
    """One frame: name, size, picture, maps, and the shares of each kind of error."""
    size = fitting_size(frame.pred.ids.shape, max_side)
    rows = [{key: row for row, key in enumerate(keys)} for keys in (tracks.pred, tracks.truth)]
    pred = segment_rows(frame.pred, rows[0], things, size)
    encoded: dict = {
        "name": frame.name,
        "size": [size[1], size[0]],
        "image": encode_picture(frame.image, size),
        "pred": pack(pred),
        "truth": None,
        "depth": pack_depth(frame.pred_depth, size),
        "true_depth": pack_depth(frame.truth_depth, size),
        "scores": {str(rows[0][k]): round(v, 3) for k, v in frame.scores.items() if k in rows[0]},
        "shares": None,
    }
    if frame.truth is not None:
        truth = segment_rows(frame.truth, rows[1], things, size)
        encoded["truth"] = pack(truth)
        encoded["shares"] = error_shares(errors[truth, pred])
    return encoded


def error_shares(codes: np.ndarray) -> list[float]:
    """Share of every kind of error (see ``tracks``) in a map of them, 0..1."""
    counts = np.bincount(codes.ravel(), minlength=KINDS)
    return [round(float(n) / codes.size, 4) for n in counts]


def encode_picture(path: str | Path | None, size: tuple[int, int]) -> str | None:
    """A picture as the data URL of a JPEG of (h, w).

    Raises:
        ValueError: there is no picture at ``path``.
    """
    if path is None:
        return None
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a readable image")
    image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def pack(values: np.ndarray) -> str:
    """Numbers of 8 or 16 bits, little-endian, deflated, in base64."""
    data = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()
    return base64.b64encode(zlib.compress(data, 9)).decode()


def depth_codes(depth: np.ndarray) -> np.ndarray:
    """(H, W) metres, or uint16 units of 1/256 m -> (H, W) uint16 codes of half a percent."""
    depth = metres(depth)
    known = np.isfinite(depth) & (depth > 0)
    codes = np.rint(np.log(np.where(known, depth, NEAREST) / NEAREST) / STEP) + 1
    return np.where(known, np.clip(codes, 1, CODES - 1), 0).astype(np.uint16)


def pack_depth(depth: np.ndarray | None, size: tuple[int, int]) -> str | None:
    """Depth codes, each row as differences from left to right, low bytes before high bytes."""
    if depth is None:
        return None
    codes = depth_codes(sample(depth, size))
    steps = np.diff(codes, axis=1, prepend=np.uint16(0))
    return pack(np.stack([steps & 255, steps >> 8]).astype(np.uint8))


def depth_colors(scale: DepthScale) -> np.ndarray:
    """(CODES, 3) uint8 RGB of every depth code, as ``visualize.draw_depth`` draws it."""
    depths = NEAREST * np.exp((np.arange(CODES) - 1) * STEP)
    colors = draw_depth(depths[None].astype(np.float32), scale)[0]
    colors[0] = (46, 46, 51)
    return colors
