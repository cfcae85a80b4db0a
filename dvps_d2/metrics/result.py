"""From counts to numbers: per class, per window, per lambda, and the averages of a protocol."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dvps_d2.metrics.depth import MEASURES
from dvps_d2.metrics.protocols import ClassSet, Protocol
from dvps_d2.metrics.tubes import TubeCounts
from dvps_d2.metrics.video import Counts

GROUPS = ("all", "things", "stuff")


def summarize(counts: Counts, protocol: Protocol, classes: ClassSet) -> dict:
    """Turn counts into the result of a protocol.

    Args:
        counts: of all videos together.
        protocol: the one they were counted with.
        classes: the dataset's classes.

    Returns:
        A dict that JSON can hold, qualities in 0..1::

            protocol, title, as_published, videos, frames
            vpq:   {"<window>": cell, ..., "mean": {"all", "things", "stuff"}}
            dvpq:  {"<lambda>": {"<window>": cell, ..., "mean"}, ..., "mean"}
            stq:   {"stq", "aq", "sq", "per_class"}
            dstq:  {"dstq", "dq_mean", "dq": {"<ratio>"}, "stq", "aq", "sq"}
            depth: {"abs_rel", ..., "abs_rel_by_window": {"<window>"} where the published script
                has one for each}

        with ``cell = {"all" | "things" | "stuff": {"pq", "sq", "rq", "classes"}, "per_class":
        {"<class id>": {"pq", "sq", "rq", "iou", "tp", "fp", "fn"}}}``. A number that nothing
        defines is None, with the reason under "reason".
    """
    result = {
        "protocol": protocol.name,
        "title": protocol.title,
        "as_published": protocol.as_published,
        "videos": counts.videos,
        "frames": counts.frames,
    }
    parts: dict[str, Callable[[], dict]] = {
        "vpq": lambda: _vpq(counts.tubes, protocol, classes, 0.0),
        "dvpq": lambda: _dvpq(counts.tubes, protocol, classes),
        "stq": lambda: _stq(counts, protocol, classes),
        "dstq": lambda: _dstq(counts, protocol),
        "depth": lambda: _depth(counts, protocol),
    }
    for name, part in parts.items():
        if name in protocol.metrics:
            result[name] = part()
    return result


def _dvpq(tubes: TubeCounts, protocol: Protocol, classes: ClassSet) -> dict:
    lambdas = [value for value in protocol.settings if value in protocol.lambdas]
    parts = {f"{value:g}": _vpq(tubes, protocol, classes, value) for value in lambdas}
    # lambda 0 is VPQ: it stands beside the others and enters their mean only when it is alone.
    averaged = [f"{value:g}" for value in lambdas if value > 0] or list(parts)
    return {**parts, "mean": _mean_of([parts[name]["mean"] for name in averaged], averaged)}


def _vpq(tubes: TubeCounts, protocol: Protocol, classes: ClassSet, value: float) -> dict:
    column = protocol.settings.index(value)
    cells = {
        str(length): tube_cell(tubes[row, column], protocol, classes)
        for row, length in enumerate(protocol.windows)
    }
    flat = [{group: cell[group]["pq"] for group in GROUPS} for cell in cells.values()]
    return {**cells, "mean": _mean_of(flat, list(cells))}


def tube_cell(counts: TubeCounts, protocol: Protocol, classes: ClassSet) -> dict:
    """The result of one window length at one lambda; ``counts`` is (K,)."""
    pq, sq, rq = counts.qualities(protocol.epsilon)
    counted = counted_classes(counts, protocol, len(classes))
    members = _members(classes)
    cell: dict = {
        group: _average(pq, sq, rq, counts, counted & members[group], protocol) for group in GROUPS
    }
    without = counted & (counts.tp == 0)
    cell["without_tp"] = [classes.names[i] for i in np.flatnonzero(without)]
    cell["per_class"] = {
        str(i): {
            "pq": float(pq[i]),
            "sq": float(sq[i]),
            "rq": float(rq[i]),
            "iou": float(counts.iou[i]),
            "tp": int(counts.tp[i]),
            "fp": int(counts.fp[i]),
            "fn": int(counts.fn[i]),
        }
        for i in np.flatnonzero(counts.occurs)
    }
    return cell


def counted_classes(counts: TubeCounts, protocol: Protocol, num_classes: int) -> np.ndarray:
    """(..., K) bool, the classes that enter the averages."""
    if protocol.eval_classes is not None:
        chosen = np.isin(np.arange(num_classes), protocol.eval_classes)
        return np.broadcast_to(chosen, counts.tp.shape)
    counted = counts.occurs if protocol.mean_over == "occurring" else np.ones_like(counts.occurs)
    return counted & ~np.isin(np.arange(num_classes), protocol.left_out)


def _average(
    pq: np.ndarray,
    sq: np.ndarray,
    rq: np.ndarray,
    counts: TubeCounts,
    members: np.ndarray,
    protocol: Protocol,
) -> dict:
    number = int(members.sum())
    if number == 0 or not counts.occurs.any():
        reason = "no tube in truth or prediction"
        return {"pq": None, "sq": None, "rq": None, "classes": 0, "reason": reason}
    hopeless = np.flatnonzero(members & (counts.tp == 0))
    if protocol.nan_without_tp and len(hopeless):
        ids = ", ".join(str(i) for i in hopeless)
        reason = f"the published script divides 0 by 0: no true positive in class {ids}"
        return {"pq": None, "sq": None, "rq": None, "classes": number, "reason": reason}
    means = {name: float(v[members].mean()) for name, v in (("pq", pq), ("sq", sq), ("rq", rq))}
    return {**means, "classes": number}


def _mean_of(rows: list[dict], names: list[str]) -> dict:
    """Plain mean of the values of every group; undefined ones are left out and said so."""
    means: dict = {}
    notes = []
    for group in GROUPS:
        missing = [n for n, row in zip(names, rows, strict=True) if row[group] is None]
        values = [row[group] for row in rows if row[group] is not None]
        means[group] = float(np.mean(values)) if values else None
        if missing:
            notes.append(f"{group}: undefined at {', '.join(missing)}")
    return {**means, "reason": "; ".join(notes)} if notes else means


def _stq(counts: Counts, protocol: Protocol, classes: ClassSet) -> dict:
    scores = _stq_scores(counts, protocol)
    ious = counts.stq.class_ious()
    known = np.flatnonzero(~np.isnan(ious))
    scores["tubes"] = counts.stq.tubes
    scores["per_class"] = {str(i): {"iou": float(ious[i])} for i in known}
    scores["without_tp"] = [classes.names[i] for i in known if ious[i] == 0]
    return scores


def _stq_scores(counts: Counts, protocol: Protocol) -> dict:
    stq, aq, sq = counts.stq.scores(void_column=protocol.void_column)
    scores: dict = {"stq": finite(stq), "aq": finite(aq), "sq": finite(sq)}
    if scores["aq"] is None:
        scores["reason"] = "no object with a track in the truth"
    if scores["sq"] is None:
        scores["reason"] = "no labelled pixel"
    return scores


def _dstq(counts: Counts, protocol: Protocol) -> dict:
    scores = _stq_scores(counts, protocol)
    depth = counts.depth
    ratios = depth.inliers / depth.valid if depth.valid else np.full(len(depth.inliers), np.nan)
    quality = float(np.prod(ratios) ** (1 / len(ratios))) if len(ratios) else math.nan
    stq = math.nan if scores["stq"] is None else scores["stq"]
    result = {
        "dstq": finite(float(np.cbrt(stq**2 * quality))),
        "dq_mean": finite(quality),
        "dq": {
            f"{t:g}": finite(float(r)) for t, r in zip(protocol.inlier_ratios, ratios, strict=True)
        },
        **scores,
    }
    if not depth.valid:
        result["reason"] = "no pixel with truth depth"
    return result


def _depth(counts: Counts, protocol: Protocol) -> dict:
    depth = counts.depth
    values = depth.sums / depth.images if depth.images else np.full(len(MEASURES), np.nan)
    result: dict = {name: finite(float(v)) for name, v in zip(MEASURES, values, strict=True)}
    if protocol.pooled_abs_rel and depth.videos:
        result["abs_rel"] = finite(depth.pooled / depth.videos)
    if protocol.windowed_abs_rel:
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = [finite(float(v)) for v in depth.window_rel / depth.windows]
        lengths = map(str, protocol.windows)
        result["abs_rel_by_window"] = dict(zip(lengths, errors, strict=True))
        result["abs_rel"] = errors[0]
    result["images"] = depth.images
    if not depth.images:
        result["reason"] = "no image with truth depth"
    elif any(result[name] is None for name in MEASURES):
        result["reason"] = "predicted depth is 0 or negative where there is truth depth"
    if depth.skipped:
        result["skipped"] = depth.skipped
    return result


def _members(classes: ClassSet) -> dict[str, np.ndarray]:
    things = np.zeros(len(classes), bool)
    things[list(classes.thing_ids)] = True
    return {"all": np.ones(len(classes), bool), "things": things, "stuff": ~things}


def finite(value: float) -> float | None:
    """The value, or None where it is not a number that JSON can hold."""
    return value if math.isfinite(value) else None
