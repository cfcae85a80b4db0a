"""Depth errors: the levels that DVPQ needs, and the usual per-image measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

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

PNG_UNITS = 256  # units per metre in the depth PNGs of the DVPS datasets
_BLOCK_ROWS = 64  # rows handled at once, so that temporaries stay in the cache


def error_levels(
    pred: np.ndarray, truth: np.ndarray, thresholds: Sequence[float], *, wrap: bool = False
) -> np.ndarray:
    """Count, for every pixel, the thresholds that its relative depth error exceeds.

    The error is ``|pred - truth| / truth`` in float64 and must be strictly above a threshold to
    exceed it. Pixels without truth depth are on level 0; a predicted 0 has error 1.

    Args:
        pred: (H, W), metres or any unit that ``truth`` shares; integers are fine.
        truth: (H, W), 0 = no measurement.
        thresholds: rising, positive.
        wrap: take differences modulo 2^16 in units of 1/256 m (see ``Protocol.wrap_depth``).

    Returns:
        (H, W) uint8 in 0..len(thresholds).

    Source: Qiao et al., ViP-DeepLab, 2021, DVPQ.
    """
    check_sizes(pred, truth)
    levels = np.zeros(truth.shape, np.uint8)
    for rows in _row_blocks(truth.shape[0]):
        error = relative_error(pred[rows], truth[rows], wrap=wrap)
        for threshold in thresholds:
            levels[rows] += error > threshold
    return levels


def relative_error(pred: np.ndarray, truth: np.ndarray, *, wrap: bool = False) -> np.ndarray:
    """(H, W) float64 ``|pred - truth| / truth``; 0 where there is no truth."""
    if wrap:
        pred, truth = (np.rint(d * PNG_UNITS).astype(np.uint16) for d in (pred, truth))
        difference = (pred - truth).astype(np.float64)
    else:  # signed: unsigned PNG values would wrap around below zero
        difference = np.subtract(pred, truth, dtype=np.float64)
        np.abs(difference, out=difference)
    known = truth > 0
    np.divide(difference, truth, out=difference, where=known)
    difference[~known] = 0
    difference[np.isnan(difference)] = np.inf  # not a number: wrong at every level
    return difference


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
    check_sizes(pred, truth)
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
        rel_sum: relative error added up over those pixels.
        pooled: relative error averaged over all pixels of a video, added up over closed videos.
        videos: closed videos with any truth depth.
    """

    sums: np.ndarray
    images: int
    skipped: int
    inliers: np.ndarray
    valid: int
    rel_sum: float = 0.0
    pooled: float = 0.0
    videos: int = 0

    @classmethod
    def zeros(cls, num_ratios: int = 0) -> DepthCounts:
        """Nothing counted yet."""
        return cls(np.zeros(len(MEASURES)), 0, 0, np.zeros(num_ratios, np.int64), 0)

    def __add__(self, other: DepthCounts) -> DepthCounts:
        return DepthCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def close_video(self) -> DepthCounts:
        """The counts of one whole video, with its pooled relative error filled in."""
        if not self.valid:
            return self
        return replace(self, pooled=self.rel_sum / self.valid, videos=1)


def count_depth(
    pred: np.ndarray,
    truth: np.ndarray,
    *,
    ratios: Sequence[float] = (),
    measures: bool = True,
    wrap: bool = False,
) -> DepthCounts:
    """Count one image.

    Args:
        pred: (H, W) metres.
        truth: (H, W) metres, 0 = no measurement.
        ratios: DSTQ thresholds; a pixel is inside when predicted depth is positive and
            max(p/g, g/p) <= ratio (not strict).
        measures: also take ``depth_measures``.
        wrap: relative errors for ``pooled`` wrap around (see ``Protocol.wrap_depth``).
    """
    inliers, valid = _count_inliers(pred, truth, ratios)
    if not measures:
        return DepthCounts(np.zeros(len(MEASURES)), 0, 0, inliers, valid)
    values = depth_measures(pred, truth)
    if values is None:
        return DepthCounts(np.zeros(len(MEASURES)), 0, 1, inliers, valid)
    rel_sum = values["abs_rel"] * valid
    if wrap:
        rel_sum = float(relative_error(pred, truth, wrap=True).sum())
    return DepthCounts(np.array([values[m] for m in MEASURES]), 1, 0, inliers, valid, rel_sum)


def _count_inliers(pred, truth, ratios) -> tuple[np.ndarray, int]:
    check_sizes(pred, truth)
    valid = truth > 0
    g, p = truth[valid].astype(np.float64), pred[valid].astype(np.float64)
    ratio = np.full(g.shape, np.inf)
    positive = p > 0
    ratio[positive] = np.maximum(g[positive] / p[positive], p[positive] / g[positive])
    return np.array([np.count_nonzero(ratio <= r) for r in ratios], np.int64), int(g.size)


def _row_blocks(height: int) -> Iterator[slice]:
    for top in range(0, height, _BLOCK_ROWS):
        yield slice(top, top + _BLOCK_ROWS)


def check_sizes(pred: np.ndarray, truth: np.ndarray) -> None:
    """Refuse depth maps of different sizes."""
    if pred.shape != truth.shape:
        raise ValueError(f"predicted depth is {pred.shape} but truth depth is {truth.shape}")
