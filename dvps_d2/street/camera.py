"""A pinhole camera and the path it drives.

Axes, for the world and for the camera alike: x right, y down, z forward (down the street), metres.
The road is the plane y = 0, so a point at height h has y = -h. Pixel (row i, column j) has its
centre at image position (u, v) = (j, i).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """Pinhole parameters in pixels; square pixels, no skew."""

    focal: float
    centre_u: float
    centre_v: float

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, maps camera coordinates to homogeneous (u, v)."""
        return np.array(
            [[self.focal, 0, self.centre_u], [0, self.focal, self.centre_v], [0, 0, 1.0]]
        )


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Where the camera is at any time: straight ahead with a little sway, yaw and pitch.

    Attributes:
        start: (x, height, z) at time 0, metres.
        speed: metres per second along z.
        yaw, pitch: mean angles in radians (positive: to the right, upwards).
        sway: amplitudes of (x in metres, yaw, pitch in radians).
        rate: angular frequency of the sway, radians per second.
        phase: of the three sways.
    """

    start: tuple[float, float, float]
    speed: float
    yaw: float
    pitch: float
    sway: tuple[float, float, float]
    rate: float
    phase: tuple[float, float, float]

    def position(self, seconds: float) -> np.ndarray:
        """(3,) float64, the camera centre in the world."""
        x, height, z = self.start
        x = x + self.sway[0] * np.sin(self.rate * seconds + self.phase[0])
        return np.array([x, -height, z + self.speed * seconds])

    def pose(self, seconds: float) -> np.ndarray:
        """(4, 4) float64, world from camera."""
        yaw = self.yaw + self.sway[1] * np.sin(self.rate * seconds + self.phase[1])
        pitch = self.pitch + self.sway[2] * np.sin(1.7 * self.rate * seconds + self.phase[2])
        pose = np.eye(4)
        pose[:3, :3] = turn_y(yaw) @ turn_x(pitch)
        pose[:3, 3] = self.position(seconds)
        return pose


def turn_y(angle: float | np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation about the vertical; positive turns z (forward) towards x (right)."""
    return _turn(angle, 2, 0)


def turn_x(angle: float | np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation about the lateral axis; positive turns y (down) towards z (forward)."""
    return _turn(angle, 1, 2)


def _turn(angle: float | np.ndarray, first: int, second: int) -> np.ndarray:
    angle = np.asarray(angle, dtype=np.float64)
    turn = np.zeros((*angle.shape, 3, 3))
    turn[..., range(3), range(3)] = 1
    turn[..., first, first] = turn[..., second, second] = np.cos(angle)
    turn[..., second, first] = np.sin(angle)
    turn[..., first, second] = -np.sin(angle)
    return turn


def rigid_inverse(pose: np.ndarray) -> np.ndarray:
    """(..., 4, 4) inverse of rotation-and-translation matrices."""
    inverse = np.zeros_like(pose)
    turn = np.swapaxes(pose[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = turn
    inverse[..., :3, 3] = -(turn @ pose[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1
    return inverse


@dataclass(frozen=True, eq=False)
class RayGrid:
    """Image positions at which rays are cast: a lattice of columns ``u`` and rows ``v``.

    Attributes:
        x: (W',) float32, ray x at depth 1 for every column.
        y: (H',) float32, ray y at depth 1 for every row.
        first: image position of column and row 0 in pixels.
        step: lattice spacing in pixels.
    """

    x: np.ndarray
    y: np.ndarray
    first: float
    step: float
    intrinsics: Intrinsics

    @classmethod
    def pixels(cls, height: int, width: int, intrinsics: Intrinsics) -> RayGrid:
        """One ray per pixel centre."""
        return cls._build(np.arange(height), np.arange(width), intrinsics)

    @classmethod
    def half_pixels(cls, height: int, width: int, intrinsics: Intrinsics) -> RayGrid:
        """Rays every half pixel; odd rows and columns are the pixel centres."""
        rows, columns = (np.arange(2 * n + 1) / 2 - 0.5 for n in (height, width))
        return cls._build(rows, columns, intrinsics)

    @classmethod
    def _build(cls, v: np.ndarray, u: np.ndarray, intrinsics: Intrinsics) -> RayGrid:
        x = (u - intrinsics.centre_u) / intrinsics.focal
        y = (v - intrinsics.centre_v) / intrinsics.focal
        step = float(u[1] - u[0])
        return cls(x.astype(np.float32), y.astype(np.float32), float(u[0]), step, intrinsics)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.y), len(self.x)
