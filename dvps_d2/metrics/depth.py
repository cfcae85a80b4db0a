"""Depth errors: the levels that DVPQ needs, and the usual per-image measures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

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
    exceed it. Pixels without truth depth are on level 0; a predicted 0 has error 1, and one that
    is not a number exceeds everything.

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
    levels = np.empty(truth.shape, np.uint8)
    for rows in _row_blocks(truth.shape[0]):
        error = relative_error(pred[rows], truth[rows], wrap=wrap)
        block = levels[rows]
        block.fill(len(thresholds))
        for threshold in thresholds:
            block -= error <= threshold
        block *= truth[rows] > 0
    return levels


def relative_error(pred: np.ndarray, truth: np.ndarray, *, wrap: bool = False) -> np.ndarray:
    """(H, W) float64 ``|pred - truth| / truth``; meaningless where there is no truth."""
    if wrap:
        units = [d if d.dtype == np.uint16 else np.rint(d * PNG_UNITS) for d in (pred, truth)]
        pred, truth = (d.astype(np.uint16) for d in units)
        difference = pred - truth
    elif pred.dtype.kind == "u" and pred.dtype == truth.dtype:
        # Unsigned numbers wrap around below zero: the smaller one is subtracted.
        difference = np.maximum(pred, truth)
        difference -= np.minimum(pred, truth)
    else:
        difference = np.abs(np.subtract(pred, truth, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.true_divide(difference, truth, dtype=np.float64)


def metres(depth: np.ndarray) -> np.ndarray:
    """Depth in metres: PNG units of 1/256 m when the map is uint16, else as it is."""
    return depth / PNG_UNITS if depth.dtype == np.uint16 else depth


def resize_depth(depth: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(H, W) depth -> (h, w) float64 by bilinear interpolation; corner pixels stay corner pixels.

    Args:
        depth: (H, W), any unit.
        size: (h, w).
    """
    (rows, row_share), (columns, column_share) = (
        _positions(old, new) for old, new in zip(depth.shape, size, strict=True)
    )
    below = np.minimum(rows + 1, depth.shape[0] - 1)
    right = np.minimum(columns + 1, depth.shape[1] - 1)
    upper = depth[rows] * (1.0 - row_share[:, None]) + depth[below] * row_share[:, None]
    return upper[:, columns] * (1.0 - column_share) + upper[:, right] * column_share


def _positions(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Source pixel to the left of every target pixel, and how far beyond it the target lies."""
    places = np.linspace(0, old - 1, new)
    left = np.floor(places).astype(int)
    return left, places - left


def clamp_truth(truth: np.ndarray, max_depth: float | None) -> np.ndarray:
    """Truth depth with values above ``max_depth`` (metres) replaced by it; None = as it is."""
    return truth if max_depth is None else np.minimum(metres(truth), max_depth)


def depth_measures(pred: np.ndarray, truth: np.ndarray) -> dict[str, float] | None:
    """The usual depth measures of one image, over pixels with truth.

    Args:
        pred: (H, W) metres, or uint16 PNG units of 1/256 m; must be positive where ``truth`` is,
            else the logarithms are infinite.
        truth: (H, W) the same, 0 = no measurement.

    Returns:
        One value per name in ``MEASURES``: abs_rel, sq_rel (metres), rmse (metres), rmse_log,
        delta1..3 = share of pixels with max(p/g, g/p) < 1.25^i (strict), silog (x100),
        sq_error_rel = mean ((p - g) / g)^2; None when the image has no truth.

    Source: Eigen et al., 2014; silog and sq_error_rel as in the KITTI depth benchmark.
    """
    check_sizes(pred, truth)
    if pred.dtype != truth.dtype:
        pred, truth = metres(pred), metres(truth)
    sums, number = np.zeros(9), 0
    for rows in _row_blocks(truth.shape[0]):
        valid = truth[rows] > 0
        known = int(np.count_nonzero(valid))
        if known:
            sums += _sum_errors(pred[rows], truth[rows], valid, valid.size - known)
        number += known
    if number == 0:
        return None
    rel, sq_rel, sq, log, log_sq, *deltas, rel_sq = (float(s) for s in sums / number)
    # Equal errors give a variance of zero that rounding can push below it.
    variance = max(log_sq - log**2, 0.0)
    return {
        "abs_rel": rel,
        "sq_rel": sq_rel,
        "rmse": sq**0.5,
        "rmse_log": log_sq**0.5,
        **{f"delta{i}": share for i, share in enumerate(deltas, 1)},
        "silog": 100 * variance**0.5,
        "sq_error_rel": rel_sq,
    }


def _sum_errors(pred: np.ndarray, truth: np.ndarray, valid: np.ndarray, invalid: int) -> np.ndarray:
    """Sums over the valid pixels of everything that ``depth_measures`` averages.

    Leaving invalid pixels out would copy everything; they get equal depths instead, which adds
    nothing but ``invalid`` pixels inside every delta.
    """
    if invalid:
        pred, truth = _fill(pred, valid), _fill(truth, valid)
    unit = PNG_UNITS if truth.dtype == np.uint16 else 1
    far, near, ratio = _ratio(pred, truth)
    difference = far - near
    relative = difference / truth.ravel()
    with np.errstate(invalid="ignore"):
        log = np.log(ratio)
        log_sum = log.sum() - 2 * (log @ (pred < truth).ravel().astype(np.float64))
    difference /= unit
    inside = [np.count_nonzero(ratio < DELTA**i) - invalid for i in (1, 2, 3)]
    return np.array(
        [
            relative.sum(),
            difference @ relative,
            difference @ difference,
            log_sum,
            log @ log,
            *inside,
            relative @ relative,
        ]
    )


def _fill(depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Depth with 1 where it is not valid."""
    if depth.dtype == np.uint16:  # arithmetic is several times faster than a choice
        return depth * valid + ~valid
    return np.where(valid, depth, depth.dtype.type(1))


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
        window_rel: (number of window lengths,) float64, relative error averaged over all pixels
            of a window, added up over windows; one 0 where the protocol does not ask for it.
        windows: (number of window lengths,) int64, windows of each length.
    """

    sums: np.ndarray
    images: int
    skipped: int
    inliers: np.ndarray
    valid: int
    rel_sum: float = 0.0
    pooled: float = 0.0
    videos: int = 0
    window_rel: np.ndarray = field(default_factory=lambda: np.zeros(1))
    windows: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

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


class WindowErrors:
    """Relative depth errors averaged in every window of one video, while its frames come in.

    Args:
        lengths: of windows, in frames.
    """

    def __init__(self, lengths: Sequence[int]):
        self._lengths = lengths
        self._recent: deque[tuple[float, int]] = deque(maxlen=max(lengths))
        self._sums = np.zeros(len(lengths))
        self._windows = np.zeros(len(lengths), np.int64)

    def add(self, frame: DepthCounts) -> None:
        """Take the next frame and close every window that ends with it."""
        self._recent.appendleft((frame.rel_sum, frame.valid))  # newest first
        for row, length in enumerate(self._lengths):
            if length <= len(self._recent):
                errors, pixels = zip(*list(self._recent)[:length], strict=True)
                # Where no pixel has depth the script's mean is not a number either.
                self._sums[row] += sum(errors) / sum(pixels) if any(pixels) else np.nan
                self._windows[row] += 1

    def skip(self) -> None:
        """A frame is left out: no window may reach over it."""
        self._recent.clear()

    def put_into(self, counts: DepthCounts) -> DepthCounts:
        """The counts of the video with the windows filled in."""
        return replace(counts, window_rel=self._sums, windows=self._windows)


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
        pred: (H, W) metres, or uint16 PNG units of 1/256 m.
        truth: (H, W) the same, 0 = no measurement.
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
        rel_sum = float(relative_error(pred, truth, wrap=True)[truth > 0].sum())
    return DepthCounts(np.array([values[m] for m in MEASURES]), 1, 0, inliers, valid, rel_sum)


def _count_inliers(
    pred: np.ndarray, truth: np.ndarray, ratios: Sequence[float]
) -> tuple[np.ndarray, int]:
    """Pixels within each ratio, and pixels with truth."""
    check_sizes(pred, truth)
    inliers, known = np.zeros(len(ratios), np.int64), int(np.count_nonzero(truth > 0))
    if not len(ratios) or not known:
        return inliers, known
    if pred.dtype != truth.dtype:
        pred, truth = metres(pred), metres(truth)
    for rows in _row_blocks(truth.shape[0]):
        valid = truth[rows] > 0
        ratio = _ratio(_fill(pred[rows], valid), _fill(truth[rows], valid))[2]
        outside = valid.size - np.count_nonzero(valid)
        inliers += [np.count_nonzero(ratio <= value) - outside for value in ratios]
    return inliers, known


def _ratio(pred: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Larger depth, smaller depth and their quotient, flat float64; infinite without prediction."""
    far = np.maximum(pred, truth).ravel().astype(np.float64)
    near = np.minimum(pred, truth).ravel().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = far / near
    ratio[near <= 0] = np.inf
    return far, near, ratio


def _row_blocks(height: int) -> Iterator[slice]:
    for top in range(0, height, _BLOCK_ROWS):
        yield slice(top, top + _BLOCK_ROWS)


def check_sizes(pred: np.ndarray, truth: np.ndarray) -> None:
    """Refuse depth maps of different sizes."""
    if pred.shape != truth.shape:
        raise ValueError(f"predicted depth is {pred.shape} but truth depth is {truth.shape}")
