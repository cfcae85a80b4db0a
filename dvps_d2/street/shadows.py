"""Shadows on the ground: what stands between it and the sun, drawn from above."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from dvps_d2.street.ground import SHADE_SCALE, GroundMap
from dvps_d2.street.scene import Scene

_RANGE = 90.0  # metres ahead of the camera in which things throw shadows
_REACH_BACK = 20.0  # metres behind it
_CONTACT = 0.85  # darkness under a vehicle, whatever the sun does
_FRACTION_BITS = 4  # of polygon corners
_DIRECTIONS = np.stack([f(np.arange(12) * (np.pi / 6)) for f in (np.cos, np.sin)])  # (2, 12)


@dataclass(frozen=True, eq=False)
class _Canvas:
    """A raster of the ground from row ``first`` (metres) on, into which polygons are filled."""

    raster: np.ndarray
    half_width: float
    first: float

    @classmethod
    def blank(cls, rows: int, ground: GroundMap, first: float) -> _Canvas:
        raster = np.zeros((rows, ground.shadow.shape[1]), np.uint8)
        return cls(raster, ground.half_width, first)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) int32 fixed-point pixels of ground points (x, z)."""
        scaled = (points - [-self.half_width, self.first]) * SHADE_SCALE - 0.5
        return np.rint(np.clip(scaled, -500, 20_000) * (1 << _FRACTION_BITS)).astype(np.int32)

    def fill(self, polygon: np.ndarray) -> None:
        """Fill a convex polygon of fixed-point pixels."""
        cv2.fillConvexPoly(self.raster, polygon, 255, cv2.LINE_8, _FRACTION_BITS)

    def blurred(self, size: int, strength: float) -> np.ndarray:
        """float32, 0 to ``strength``."""
        blurred = cv2.GaussianBlur(self.raster, (size, size), 0)
        return blurred.astype(np.float32) * np.float32(strength / 255)


@dataclass(frozen=True, eq=False)
class ShadowCaster:
    """Throws the shadows of a scene.

    Attributes:
        scene: what throws them.
        sun: (3,) towards the sun, y down.
        strength: of cast shadows, 0 (overcast) to 1.
    """

    scene: Scene
    sun: np.ndarray
    strength: float

    def static(self, ground: GroundMap, poses: np.ndarray) -> np.ndarray:
        """Shadow of everything that is no thing, for the whole street.

        Args:
            ground: whose raster is used.
            poses: (P, 4, 4) world from part.

        Returns:
            (rows, columns) float32 like ``ground.shadow``.
        """
        hulls, balls = self._things
        canvas = _Canvas.blank(len(ground.shadow), ground, ground.first)
        self._fill_hulls(canvas, poses, np.flatnonzero(~hulls & self.scene.hull_shadow))
        self._fill_balls(canvas, poses, np.flatnonzero(~balls & self.scene.ball_shadow))
        return canvas.blurred(5, self.strength)

    def moving(self, ground: GroundMap, poses: np.ndarray, camera_z: float) -> np.ndarray:
        """``ground.shadow`` with the shadows of things near the camera added."""
        scene = self.scene
        top = max(0, int((camera_z - 5 - ground.first) * SHADE_SCALE))
        rows = min(int(_RANGE * SHADE_SCALE), len(ground.shadow) - top)
        first = ground.first + top / SHADE_SCALE
        hulls, balls = self._things

        def near(parts: np.ndarray) -> np.ndarray:
            z = poses[parts, 2, 3]
            return (z < camera_z + _RANGE) & (z > camera_z - _REACH_BACK)

        hulls = hulls & scene.hull_shadow & near(scene.hull_part)
        balls = balls & scene.ball_shadow & near(scene.ball_part)
        cast = _Canvas.blank(rows, ground, first)
        self._fill_hulls(cast, poses, np.flatnonzero(hulls))
        self._fill_balls(cast, poses, np.flatnonzero(balls))
        contact = _Canvas.blank(rows, ground, first)
        self._fill_hulls(contact, poses, np.flatnonzero(hulls), overhead=True)
        shadow = ground.shadow.copy()
        part = shadow[top : top + rows]
        np.maximum(part, cast.blurred(3, self.strength), out=part)
        np.maximum(part, contact.blurred(5, _CONTACT), out=part)
        return shadow

    @cached_property
    def _things(self) -> tuple[np.ndarray, np.ndarray]:
        """Which hulls and which ellipsoids belong to things."""
        scene = self.scene
        hulls = scene.plane_surface[scene.hull_planes[:, 0]]
        return scene.surface_track[hulls] > 0, scene.surface_track[scene.ball_surface] > 0

    def _flatten(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) ground points (x, z) that world points (..., 3) shade."""
        slide = np.array([self.sun[0], self.sun[2]]) / self.sun[1]
        return points[..., [0, 2]] - points[..., 1:2] * slide

    def _fill_hulls(
        self, canvas: _Canvas, poses: np.ndarray, chosen: np.ndarray, *, overhead: bool = False
    ) -> None:
        """Shadows of hulls by number; ``overhead`` as if the sun stood above them."""
        scene = self.scene
        pose = poses[np.repeat(scene.hull_part, scene.hull_vertices[:, 1])]
        world = np.einsum("vij,vj->vi", pose[:, :3, :3], scene.vertices) + pose[:, :3, 3]
        pixels = canvas.pixels(world[:, [0, 2]] if overhead else self._flatten(world))
        for start, count in scene.hull_vertices[chosen].tolist():
            canvas.fill(cv2.convexHull(pixels[start : start + count]))

    def _fill_balls(self, canvas: _Canvas, poses: np.ndarray, chosen: np.ndarray) -> None:
        """Shadows of ellipsoids by number, as polygons of twelve corners."""
        scene = self.scene
        pose = poses[scene.ball_part[chosen]]
        centre = np.einsum("eij,ej->ei", pose[:, :3, :3], scene.ball_centre[chosen])
        centre += pose[:, :3, 3]
        spread = pose[:, :3, :3] @ np.linalg.inv(scene.ball_axes[chosen])
        # The ellipsoid is c + S u with |u| <= 1; A flattens it to A c + A S u, whose outermost
        # point in direction d has u along (A S)^T d.
        flat = np.swapaxes(self._flatten(np.swapaxes(spread, 1, 2)), 1, 2)  # (E, 2, 3)
        pull = np.swapaxes(flat, 1, 2) @ _DIRECTIONS  # (E, 3, 12)
        pull /= np.linalg.norm(pull, axis=1, keepdims=True) + 1e-9
        outline = self._flatten(centre)[:, None] + np.swapaxes(flat @ pull, 1, 2)
        for polygon in canvas.pixels(outline):
            canvas.fill(polygon)
