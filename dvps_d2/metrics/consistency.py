"""TC, temporal consistency: does a prediction move with the picture? No ground truth is needed.

Source: Liu et al., Efficient Semantic Video Segmentation with Per-frame Inference, ECCV 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORE = 255


@dataclass(frozen=True, eq=False)
class ConsistencyCounts:
    """Overlap by class of a prediction with the warped next one; adds over pairs and clips.

    Attributes:
        common: (K,) int64, pixels of the class in both.
        union: (K,) int64, pixels of the class in either.
    """

    common: np.ndarray
    union: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> ConsistencyCounts:
        """Nothing counted yet."""
        return cls(np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64))

    def __add__(self, other: ConsistencyCounts) -> ConsistencyCounts:
        return ConsistencyCounts(self.common + other.common, self.union + other.union)

    def score(self, *, absent_as_zero: bool = True) -> float:
        """Mean IoU in 0..1.

        Args:
            absent_as_zero: a class that never occurs counts 0, as in the published numbers;
                otherwise it is left out. NaN when nothing is left.
        """
        iou = np.divide(
            self.common, self.union, out=np.zeros(len(self.union)), where=self.union > 0
        )
        occurs = self.union > 0
        if absent_as_zero:
            return float(iou.mean())
        return float(iou[occurs].mean()) if occurs.any() else float("nan")


def count_consistency(
    current: np.ndarray,
    following: np.ndarray,
    flow: np.ndarray,
    num_classes: int,
    *,
    warp: str = "nearest",
) -> ConsistencyCounts:
    """Compare a prediction with the next one, brought back along the flow.

    Args:
        current: (H, W) integer, classes predicted at t.
        following: (H, W) integer, classes predicted at t + 1.
        flow: (H, W, 2) pixels as (dx, dy), from t to t + 1, of any origin.
        num_classes: K. Pixels whose warped value is 255 are left out.
        warp: "nearest", or "bilinear" as in the published numbers, which interpolates class
            numbers and so invents classes along borders.

    Raises:
        ValueError: sizes differ, or ``warp`` is neither.
    """
    if current.shape != following.shape or flow.shape != (*current.shape, 2):
        raise ValueError(
            f"current {current.shape}, following {following.shape} and flow {flow.shape} must be "
            "(H, W), (H, W) and (H, W, 2)"
        )
    if warp not in WARPS:
        raise ValueError(f"warp must be one of {sorted(WARPS)}, got {warp!r}")
    warped = WARPS[warp](following, flow)
    kept = warped != IGNORE
    first, second = current[kept].astype(np.int64), warped[kept].astype(np.int64)
    areas = [_count(values, num_classes) for values in (first, second)]
    common = _count(first[first == second], num_classes)
    return ConsistencyCounts(common, areas[0] + areas[1] - common)


def _warp_nearest(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    x, y = _targets(flow)
    # Half-way positions go up, so that the result does not depend on even or odd columns.
    return values[np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)]


def _warp_bilinear(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    x, y = _targets(flow)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right = np.minimum(left + 1, values.shape[1] - 1)
    bottom = np.minimum(top + 1, values.shape[0] - 1)
    fx, fy = x - left, y - top
    upper = values[top, left] * (1 - fx) + values[top, right] * fx
    lower = values[bottom, left] * (1 - fx) + values[bottom, right] * fx
    return (upper * (1 - fy) + lower * fy).astype(np.uint8)  # truncation is part of the definition


def _targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where every pixel goes, (H, W) each, clamped to the image."""
    height, width = flow.shape[:2]
    x = np.arange(width) + flow[..., 0].astype(np.float64)
    y = np.arange(height)[:, None] + flow[..., 1].astype(np.float64)
    return np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)


def _count(values: np.ndarray, num_classes: int) -> np.ndarray:
    inside = values[(values >= 0) & (values < num_classes)]
    return np.bincount(inside, minlength=num_classes)


WARPS = {"nearest": _warp_nearest, "bilinear": _warp_bilinear}
