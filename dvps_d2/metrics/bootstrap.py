"""Confidence intervals: how much would a score change with other videos of the same kind?

Videos are drawn with replacement and their tables added again, so that nothing is recounted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from dvps_d2.metrics.depth import MEASURES
from dvps_d2.metrics.protocols import ClassSet, Protocol
from dvps_d2.metrics.result import GROUPS, counted_classes
from dvps_d2.metrics.stq import StqCounts
from dvps_d2.metrics.tubes import TubeCounts
from dvps_d2.metrics.video import Counts

LEVEL = 0.95


def bootstrap(
    videos: Sequence[Counts],
    protocol: Protocol,
    classes: ClassSet,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """95 % intervals of the main numbers by percentile bootstrap over videos.

    Args:
        videos: counts of every video.
        protocol: the one they were counted with.
        classes: the dataset's classes.
        samples: how often videos are drawn.
        seed: of the draw.

    Returns:
        ``{"level", "samples", "seed", "vpq": {"<window>" | "mean": {"all": [low, high], ...}},
        "dvpq": {"<lambda>": {...}, "mean": {...}}, "stq": {"stq": [low, high], ...}, ...}`` with
        None for what is undefined in some draw; only a "reason" with fewer than two videos.

    Source: Efron, Bootstrap Methods, 1979.
    """
    head = {"level": LEVEL, "samples": samples, "seed": seed}
    if len(videos) < 2:
        return {**head, "reason": f"needs at least 2 videos, got {len(videos)}"}
    draws = np.random.default_rng(seed).integers(len(videos), size=(samples, len(videos)))
    # (B, V), how often each video is in each draw; adding tables is then one matrix product.
    weights = np.apply_along_axis(np.bincount, 1, draws, minlength=len(videos)).astype(np.float64)
    result: dict = dict(head)
    if videos[0].tubes is not None:
        result |= _tubes(weights, [v.tubes for v in videos], protocol, classes)
    if videos[0].stq is not None:
        result |= _stq(weights, videos, protocol)
    if "depth" in protocol.metrics:
        result["depth"] = _depth(weights, videos)
    return result


def _tubes(
    weights: np.ndarray, videos: list[TubeCounts], protocol: Protocol, classes: ClassSet
) -> dict:
    total = TubeCounts(
        *(_resum(weights, [getattr(v, f.name) for v in videos]) for f in fields(TubeCounts))
    )
    values = _group_means(total, protocol, classes)  # (B, G, windows, settings)
    parts = {}
    for column, setting in enumerate(protocol.settings):
        rows = {
            str(length): _by_group(values[:, :, row, column])
            for row, length in enumerate(protocol.windows)
        }
        parts[setting] = rows | {"mean": _by_group(_mean(values[:, :, :, column], axis=2))}
    result = {}
    if "vpq" in protocol.metrics:
        result["vpq"] = parts[0]
    if "dvpq" in protocol.metrics:
        lambdas = [s for s in protocol.settings if s in protocol.lambdas]
        averaged = [s for s in lambdas if s > 0] or lambdas
        columns = [protocol.settings.index(s) for s in averaged]
        over_windows = _mean(values[:, :, :, columns], axis=2)
        result["dvpq"] = {f"{s:g}": parts[s] for s in lambdas}
        result["dvpq"]["mean"] = _by_group(_mean(over_windows, axis=2))
    return result


def _group_means(total: TubeCounts, protocol: Protocol, classes: ClassSet) -> np.ndarray:
    """(B, 3 groups, windows, settings) mean PQ, NaN where undefined; ``total`` is (B, .., K)."""
    quality = total.qualities(protocol.epsilon)[0]
    counted = counted_classes(total, protocol, len(classes))
    if protocol.nan_without_tp:
        quality = np.where(counted & (total.tp == 0), np.nan, quality)
    things = np.isin(np.arange(len(classes)), classes.thing_ids)
    anything = np.asarray(total.occurs).any(axis=-1, keepdims=True)
    means = []
    for members in (np.ones_like(things), things, ~things):
        chosen = counted & members & anything
        number = chosen.sum(axis=-1)
        sums = np.where(chosen, quality, 0).sum(axis=-1)
        means.append(np.divide(sums, number, out=np.full(sums.shape, np.nan), where=number > 0))
    return np.stack(means, axis=1)


def _stq(weights: np.ndarray, videos: Sequence[Counts], protocol: Protocol) -> dict:
    parts = {f.name: [getattr(v.stq, f.name) for v in videos] for f in fields(StqCounts)}
    sums = {name: _resum(weights, values) for name, values in parts.items()}
    rows = [StqCounts(*(sums[f.name][i] for f in fields(StqCounts))) for i in range(len(weights))]
    scores = np.array([row.scores(void_column=protocol.void_column) for row in rows])
    result = {}
    if "stq" in protocol.metrics:
        result["stq"] = {n: _interval(scores[:, i]) for i, n in enumerate(("stq", "aq", "sq"))}
    if "dstq" in protocol.metrics:
        inliers = _resum(weights, [v.depth.inliers for v in videos])
        valid = _resum(weights, [v.depth.valid for v in videos])[:, None]
        shares = np.divide(inliers, valid, out=np.full(inliers.shape, np.nan), where=valid > 0)
        quality = np.prod(shares, axis=1) ** (1 / shares.shape[1])
        dstq = np.cbrt(scores[:, 0] ** 2 * quality)
        result["dstq"] = {"dstq": _interval(dstq), "dq_mean": _interval(quality)}
    return result


def _depth(weights: np.ndarray, videos: Sequence[Counts]) -> dict:
    sums = _resum(weights, [v.depth.sums for v in videos])
    images = _resum(weights, [v.depth.images for v in videos])[:, None]
    means = np.divide(sums, images, out=np.full(sums.shape, np.nan), where=images > 0)
    return {name: _interval(means[:, i]) for i, name in enumerate(MEASURES)}


def _resum(weights: np.ndarray, values: list) -> np.ndarray:
    """(B, ...) sums over videos, every video as often as it was drawn."""
    stacked = np.stack([np.asarray(value, np.float64) for value in values])
    return np.tensordot(weights, stacked, axes=1)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean that leaves NaN out, and is NaN when nothing remains."""
    known = ~np.isnan(values)
    number = known.sum(axis=axis)
    sums = np.where(known, values, 0).sum(axis=axis)
    return np.divide(sums, number, out=np.full(sums.shape, np.nan), where=number > 0)


def _by_group(values: np.ndarray) -> dict:
    """(B, 3) -> interval per group."""
    return {group: _interval(values[:, i]) for i, group in enumerate(GROUPS)}


def _interval(values: np.ndarray) -> list[float] | None:
    if not np.isfinite(values).all():
        return None
    tail = (1 - LEVEL) / 2
    return [float(v) for v in np.quantile(values, (tail, 1 - tail))]
