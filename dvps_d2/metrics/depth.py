"""Depth errors: the levels that DVPQ needs, and the usual per-image measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MEASURES = (
    "abs_rel",
    "sq_rel",
    "rmse",
    "rmse_log",
    "delta1",
    "delta2",
    "delta3",
    "silog",
    "sq_error_rel",
)
DELTA = 1.25

_BLOCK_ROWS = 64  # rows handled at once, so that temporaries stay in the cache


def error_levels(pred: np.ndarray, truth: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Count, for every pixel, the thresholds that its relative depth error exceeds.

    The error is ``|pred - truth| / truth`` in float64 and must be strictly above a threshold to
    exceed it. Pixels without truth depth are on level 0; a predicted 0 has error 1.

    Args:
        pred: (H, W), metres or any unit that ``truth`` shares; integers are fine.
        truth: (H, W), 0 = no measurement.
        thresholds: rising, positive.

    Returns:
        (H, W) uint8 in 0..len(thresholds).

    Source: Qiao et al., ViP-DeepLab, 2021, DVPQ.
    """
    _check_sizes(pred, truth)
    levels = np.zeros(truth.shape, np.uint8)
    for top in range(0, truth.shape[0], _BLOCK_ROWS):
        rows = slice(top, top + _BLOCK_ROWS)
        known = truth[rows].astype(np.float64)
        # Signed float: unsigned PNG values would wrap around below zero.
        error = np.abs(pred[rows].astype(np.float64) - known)
        np.divide(error, known, out=error, where=known > 0)
        error[~(known > 0)] = 0
        error[np.isnan(error)] = np.inf  # a depth that is not a number is wrong at every level
        for threshold in thresholds:
            levels[rows] += error > threshold
    return levels


def clamp_truth(truth: np.ndarray, max_depth: float | None) -> np.ndarray:
    """Truth depth with values above ``max_depth`` (same unit) replaced by it; None = as it is."""
    return truth if max_depth is None else np.minimum(truth, max_depth)


def depth_measures(pred: np.ndarray, truth: np.ndarray) -> dict[str, float] | None:
    """The usual depth measures of one image, over pixels with truth.

    Args:
        pred: (H, W) metres; must be positive where ``truth`` is, else the logarithms are infinite.
        truth: (H, W) metres, 0 = no measurement.

    Returns:
        One value per name in ``MEASURES``: abs_rel, sq_rel (metres), rmse (metres), rmse_log,
        delta1..3 = share of pixels with max(p/g, g/p) < 1.25^i (strict), silog (x100),
        sq_error_rel = mean ((p - g) / g)^2; None when the image has no truth.

    Source: Eigen et al., 2014; silog and sq_error_rel as in the KITTI depth benchmark.
    """
    _check_sizes(pred, truth)
    valid = truth > 0
    g, p = truth[valid].astype(np.float64), pred[valid].astype(np.float64)
    if g.size == 0:
        return None
    difference = p - g
    with np.errstate(divide="ignore", invalid="ignore"):
        log_error = np.log(p) - np.log(g)
        ratio = np.maximum(g / p, p / g)
        # Equal errors give a variance of zero that rounding can push below it.
        variance = max(np.mean(log_error**2) - np.mean(log_error) ** 2, 0.0)
    ratio[p <= 0] = np.inf
    return {
        "abs_rel": float(np.mean(np.abs(difference) / g)),
        "sq_rel": float(np.mean(difference**2 / g)),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "rmse_log": float(np.sqrt(np.mean(log_error**2))),
        **{f"delta{i}": float(np.mean(ratio < DELTA**i)) for i in (1, 2, 3)},
        "silog": float(100 * np.sqrt(variance)),
        "sq_error_rel": float(np.mean((difference / g) ** 2)),
    }


@dataclass(frozen=True, eq=False)
class DepthCounts:
    """Sums of depth measures; adds over frames, videos and processes.

    Attributes:
        sums: (len(MEASURES),) float64, per-image values added up.
        images: images with any truth depth.
        skipped: images without truth depth.
        inliers: (number of ratios,) int64, pixels within each DSTQ ratio.
        valid: pixels with truth depth.
    """

    sums: np.ndarray
    images: int
    skipped: int
    inliers: np.ndarray
    valid: int

    @classmethod
    def zeros(cls, num_ratios: int = 0) -> DepthCounts:
        """Nothing counted yet."""
        return cls(np.zeros(len(MEASURES)), 0, 0, np.zeros(num_ratios, np.int64), 0)

    def __add__(self, other: DepthCounts) -> DepthCounts:
        return DepthCounts(
            self.sums + other.sums,
            self.images + other.images,
            self.skipped + other.skipped,
            self.inliers + other.inliers,
            self.valid + other.valid,
        )


def count_depth(
    pred: np.ndarray,
    truth: np.ndarray,
    *,
    ratios: Sequence[float] = (),
    measures: bool = True,
) -> DepthCounts:
    """Count one image.

    Args:
        pred: (H, W) metres.
        truth: (H, W) metres, 0 = no measurement.
        ratios: DSTQ thresholds; a pixel is inside when predicted depth is positive and
            max(p/g, g/p) <= ratio (not strict).
        measures: also take ``depth_measures``.
    """
    values = depth_measures(pred, truth) if measures else None
    sums = np.zeros(len(MEASURES)) if values is None else np.array([values[m] for m in MEASURES])
    inliers, valid = _count_inliers(pred, truth, ratios) if ratios else (np.zeros(0, np.int64), 0)
    return DepthCounts(sums, int(values is not None), int(values is None), inliers, valid)


def _count_inliers(pred, truth, ratios) -> tuple[np.ndarray, int]:
    _check_sizes(pred, truth)
    valid = truth > 0
    g, p = truth[valid].astype(np.float64), pred[valid].astype(np.float64)
    ratio = np.full(g.shape, np.inf)
    positive = p > 0
    ratio[positive] = np.maximum(g[positive] / p[positive], p[positive] / g[positive])
    return np.array([np.count_nonzero(ratio <= r) for r in ratios], np.int64), int(g.size)


def _check_sizes(pred: np.ndarray, truth: np.ndarray) -> None:
    if pred.shape != truth.shape:
        raise ValueError(f"predicted depth is {pred.shape} but truth depth is {truth.shape}")
