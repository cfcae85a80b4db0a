"""Visibility: which surface every ray meets first, and how near it is.

The buffer holds *nearness* s = 1 / depth, because it makes planes cheap. A plane n . P + w = 0 in
camera coordinates is met by the ray (x, y, 1) at s = -(n . (x, y, 1)) / w, which is an affine
function of the image position: one broadcast addition per plane, no division. For a convex hull
seen from outside, planes with w > 0 face the camera and the ray enters at the smallest of their s;
planes with w < 0 face away and the ray leaves at the largest of theirs; it hits where entry is
nearer than exit. An ellipsoid |M (P - c)| = 1 gives a quadratic in s whose discriminant is a
quadratic polynomial of the image position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street.camera import RayGrid
from dvps_d2.street.scene import Scene

NEAR = 0.2
FAR = 220.0


@dataclass(frozen=True, eq=False)
class Visibility:
    """What the rays of a grid meet.

    Attributes:
        nearness: (H', W') float32, 1 / metres along the optical axis; 0 where there is only sky.
        surface: (H', W') intp, row in the scene's surface arrays; 0 is the sky.
    """

    nearness: np.ndarray
    surface: np.ndarray


def rasterise(scene: Scene, camera_from_part: np.ndarray, grid: RayGrid) -> Visibility:
    """Find the first surface along every ray of the grid.

    Args:
        scene: the street.
        camera_from_part: (P, 4, 4) float64, poses of all parts in camera coordinates.
        grid: where rays are cast.
    """
    nearness = np.zeros(grid.shape, np.float32)
    surface = np.zeros(grid.shape, np.intp)
    hulls = _HullBatch(scene, camera_from_part, grid)
    balls = _BallBatch(scene, camera_from_part, grid)
    # From near to far, so that what is hidden fails its first test.
    jobs: list[tuple[float, _HullBatch | _BallBatch, int]]
    jobs = [(depth, hulls, i) for i, depth in enumerate(hulls.depth.tolist())]
    jobs += [(depth, balls, i) for i, depth in enumerate(balls.depth.tolist())]
    jobs.sort(key=lambda job: job[0])
    for _, batch, i in jobs:
        top, bottom, left, right = batch.window[i]
        batch.draw(
            i,
            nearness[top:bottom, left:right],
            surface[top:bottom, left:right],
            grid.y[top:bottom],
            grid.x[left:right],
        )
    return Visibility(nearness, surface)


def _windows(grid: RayGrid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 4) intp: top, bottom, left, right of the nodes in the ray ranges x and y, both (N, 2)."""
    focal, step = grid.intrinsics.focal, grid.step
    height, width = grid.shape
    rows = (y * focal + grid.intrinsics.centre_v - grid.first) / step
    columns = (x * focal + grid.intrinsics.centre_u - grid.first) / step
    bounds = np.stack(
        [
            np.ceil(rows[:, 0]),
            np.floor(rows[:, 1]) + 1,
            np.ceil(columns[:, 0]),
            np.floor(columns[:, 1]) + 1,
        ],
        axis=1,
    )
    return np.clip(bounds, 0, [height, height, width, width]).astype(np.intp)


def _row_ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Concatenate arange(first, first + count) for all rows."""
    ends = np.cumsum(count)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - count), count)


class _HullBatch:
    """All hulls that may be seen, with their planes as affine functions of the image position."""

    def __init__(self, scene: Scene, poses: np.ndarray, grid: RayGrid) -> None:
        keep, low, high, depth = self._bounds(scene, poses)
        window = _windows(
            grid, np.stack([low[:, 0], high[:, 0]], 1), np.stack([low[:, 1], high[:, 1]], 1)
        )
        seen = (window[:, 0] < window[:, 1]) & (window[:, 2] < window[:, 3])
        keep, self.depth, window = keep[seen], depth[seen], window[seen]
        self.window = window.tolist()

        count = scene.hull_planes[keep, 1]
        rows = _row_ranges(scene.hull_planes[keep, 0], count)
        hull_of_row = np.repeat(np.arange(len(keep)), count)
        pose = poses[scene.hull_part[keep]][hull_of_row]
        normal = np.einsum("kij,kj->ki", pose[:, :3, :3], scene.planes[rows, :3])
        offset = scene.planes[rows, 3] - np.einsum("ki,ki->k", normal, pose[:, :3, 3])
        offset = np.where(np.abs(offset) < 1e-6, -1e-6, offset)
        # Planes that face the camera first within each hull.
        order = np.lexsort((offset <= 0, hull_of_row))
        affine = (-normal / offset[:, None])[order].astype(np.float32)
        self._x, self._y, self._one = affine.T[..., None]
        self._surface = scene.plane_surface[rows][order].tolist()
        fronts = np.bincount(hull_of_row, weights=offset > 0, minlength=len(keep)).astype(int)
        ends = np.cumsum(count)
        self._span = list(zip((ends - count).tolist(), fronts.tolist(), ends.tolist(), strict=True))

    @staticmethod
    def _bounds(scene: Scene, poses: np.ndarray) -> tuple[np.ndarray, ...]:
        """Hulls in range, the ray ranges that they cover, and their nearest depths."""
        count = scene.hull_vertices[:, 1]
        pose = poses[np.repeat(scene.hull_part, count)]
        points = np.einsum("vij,vj->vi", pose[:, :3, :3], scene.vertices) + pose[:, :3, 3]
        starts = scene.hull_vertices[:, 0]
        nearest = np.minimum.reduceat(points[:, 2], starts)
        farthest = np.maximum.reduceat(points[:, 2], starts)
        # A vertex behind the camera bounds nothing: take both ends of the edge to it at z = NEAR.
        ahead = np.maximum(points[:, 2], NEAR)
        behind = np.repeat(nearest < NEAR, count)
        true = points[:, :2] / ahead[:, None]
        clipped = np.where(behind[:, None], points[:, :2] / NEAR, true)
        low = np.minimum.reduceat(np.minimum(true, clipped), starts)
        high = np.maximum.reduceat(np.maximum(true, clipped), starts)
        reach = np.minimum(scene.hull_reach, FAR)
        reach = np.where(np.isinf(scene.hull_reach), FAR, reach)
        keep = np.flatnonzero((farthest > NEAR) & (nearest < reach))
        return keep, low[keep], high[keep], np.maximum(nearest[keep], 0)

    def draw(
        self, i: int, nearness: np.ndarray, surface: np.ndarray, y: np.ndarray, x: np.ndarray
    ) -> None:
        """Draw one hull into its window of the buffers (in place); y, x: rays of the window."""
        start, fronts, end = self._span[i]
        if fronts == 0:
            return  # the camera is inside
        rows = self._y[start:end] * y
        rows += self._one[start:end]
        planes = rows[:, :, None] + (self._x[start:end] * x)[:, None, :]
        entry = planes[0] if fronts == 1 else np.minimum.reduce(planes[:fronts])
        limit = nearness
        if fronts < end - start:
            limit = np.maximum(np.maximum.reduce(planes[fronts:]), nearness)
        hit = entry > limit
        if not hit.any():
            return
        np.copyto(nearness, entry, where=hit)
        np.copyto(surface, self._surface[start], where=hit)
        for k in range(1, fronts):
            np.copyto(surface, self._surface[start + k], where=hit & (planes[k] == entry))


class _BallBatch:
    """All ellipsoids that may be seen, with their quadratics."""

    def __init__(self, scene: Scene, poses: np.ndarray, grid: RayGrid) -> None:
        pose = poses[scene.ball_part]
        centre = np.einsum("eij,ej->ei", pose[:, :3, :3], scene.ball_centre) + pose[:, :3, 3]
        reach = np.minimum(scene.ball_reach, FAR)
        keep = np.flatnonzero((centre[:, 2] > NEAR) & (centre[:, 2] < reach))
        centre = centre[keep]
        axes = scene.ball_axes[keep] @ np.swapaxes(pose[keep, :3, :3], 1, 2)
        metric = np.swapaxes(axes, 1, 2) @ axes
        pull = np.einsum("eij,ej->ei", metric, centre)  # b = pull . ray
        power = np.einsum("ei,ei->e", pull, centre) - 1  # > 0 outside
        conic = pull[:, :, None] * pull[:, None, :] - power[:, None, None] * metric
        x, y, proper = self._extent(conic)
        window = _windows(grid, x, y)
        seen = proper & (power > 0) & (window[:, 0] < window[:, 1]) & (window[:, 2] < window[:, 3])
        self.window = window[seen].tolist()
        self.depth = centre[seen, 2]
        self._surface = scene.ball_surface[keep][seen].tolist()
        self._prepare(centre[seen], pull[seen], power[seen], conic[seen])

    @staticmethod
    def _extent(conic: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ray ranges x, y of the outlines, (E, 2), from dual conics; which are ellipses."""
        # Adjugate entries that tangent lines x = const and y = const need.
        a, b, c = conic[:, 0, 0], conic[:, 0, 1], conic[:, 0, 2]
        d, e, f = conic[:, 1, 1], conic[:, 1, 2], conic[:, 2, 2]
        zz = a * d - b * b
        xz, yz = b * e - c * d, b * c - a * e
        xx, yy = d * f - e * e, a * f - c * c
        proper = zz > 0  # an ellipse, that is: wholly in front of the camera
        zz = np.where(proper, zz, 1)
        ranges = []
        for mixed, square in ((xz, xx), (yz, yy)):
            root = np.sqrt(np.maximum(mixed**2 - zz * square, 0))
            ranges.append(np.stack([(mixed - root) / zz, (mixed + root) / zz], axis=1))
        return ranges[0], ranges[1], proper

    def _prepare(
        self, centre: np.ndarray, pull: np.ndarray, power: np.ndarray, conic: np.ndarray
    ) -> None:
        """Polynomials around each centre, where float32 does not cancel; divided by ``power``."""
        x0, y0 = centre[:, 0] / centre[:, 2], centre[:, 1] / centre[:, 2]
        ray = np.stack([x0, y0, np.ones_like(x0)], axis=1)
        gradient = 2 * np.einsum("eij,ej->ei", conic, ray)
        value = np.einsum("ei,ei->e", gradient, ray) / 2
        scale = 1 / power**2
        columns = [
            x0,
            y0,
            conic[:, 0, 0] * scale,
            conic[:, 1, 1] * scale,
            2 * conic[:, 0, 1] * scale,
            gradient[:, 0] * scale,
            gradient[:, 1] * scale,
            value * scale,
            pull[:, 0] / power,
            pull[:, 1] / power,
            np.einsum("ei,ei->e", pull, ray) / power,
        ]
        self._rows = np.stack(columns, axis=1).tolist()

    def draw(
        self, i: int, nearness: np.ndarray, surface: np.ndarray, y: np.ndarray, x: np.ndarray
    ) -> None:
        """Draw one ellipsoid into its window of the buffers (in place)."""
        x0, y0, xx, yy, xy, gx, gy, value, bx, by, b = self._rows[i]
        dx, dy = x - np.float32(x0), (y - np.float32(y0))[:, None]
        root = (dx * xy) * dy
        root += dx * (xx * dx + gx) + value
        root += dy * (yy * dy + gy)
        inside = root > 0
        np.sqrt(root, out=root, where=inside)
        root += dx * bx + b
        root += dy * by
        inside &= root > nearness
        np.copyto(nearness, root, where=inside)
        np.copyto(surface, self._surface[i], where=inside)
