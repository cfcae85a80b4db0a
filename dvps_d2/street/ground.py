"""Rasters seen from above: road markings, stains, and shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.street.noise import drawn_noise
from dvps_d2.street.scene import Scene

# Pixels per metre; fewer along very long streets, because OpenCV looks up at most 32 767 rows.
_MARKS_ACROSS, _MARKS_ALONG = 16, 8
_SHADE = 4
_MAX_ROWS = 15_000
_LEVELS = 7
_APRON = 4
_SHADOW_RANGE = 90.0  # metres ahead in which moving shadows are drawn


@dataclass(frozen=True, eq=False)
class GroundMap:
    """Everything that lies flat on the ground.

    Attributes:
        half_width: metres left and right of x = 0 that the rasters cover.
        first: world z of their row 0, metres.
        marks: (rows, columns) float32, 0..1, levels of detail below one another, each with half
            the rows of the one above: the road is seen at such an angle that only the direction
            along the street needs them.
        level_top, level_rows: (levels,) float32.
        dirt, shadow: (rows', columns') float32, 0..1.
        marks_along, marks_half: pixels per metre along the street, and half width in metres.
        detail: level of detail = this + 2 log2(depth).
        road_surface: surface that carries the marks.
    """

    half_width: float
    first: float
    marks: np.ndarray
    level_top: np.ndarray
    level_rows: np.ndarray
    marks_along: float
    marks_half: float
    detail: float
    dirt: np.ndarray
    shadow: np.ndarray
    road_surface: int

    def sample(self, raster: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Bilinear lookup in ``dirt``, ``shadow`` or a raster of the same shape."""
        column = (x + self.half_width) * _SHADE - 0.5
        row = (z - self.first) * _SHADE - 0.5
        return cv2.remap(raster, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def sample_marks(self, x: np.ndarray, z: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Share of white paint at ground points seen from ``depth`` metres."""
        level = np.rint(self.detail + 2 * np.log2(np.maximum(depth, 0.1)))
        level = np.clip(level, 0, _LEVELS - 1).astype(np.intp)
        row = (z - self.first) * self.marks_along * np.exp2(-level).astype(np.float32) - 0.5
        row = np.clip(row, -1, self.level_rows.take(level)) + self.level_top.take(level)
        column = (x + self.marks_half) * _MARKS_ACROSS - 0.5
        return cv2.remap(
            self.marks,
            column,
            row.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )


class GroundPainter:
    """Draws a :class:`GroundMap`."""

    def __init__(self, first: float, last: float, road_half: float, half_width: float) -> None:
        length = last - first
        self.first, self.half_width, self.road_half = first, half_width, road_half
        self.along = min(_MARKS_ALONG, _MAX_ROWS / length)
        shape = (int(length * self.along), int(2 * road_half * _MARKS_ACROSS))
        self.marks = np.zeros(shape, np.float32)
        self.shape = (int(length * _SHADE), int(2 * half_width * _SHADE))

    def line(self, x: tuple[float, float], z: tuple[float, float], strength: float = 1.0) -> None:
        """A rectangle of white paint, antialiased by exact coverage."""
        rows = _coverage(self.marks.shape[0], (np.array(z) - self.first) * self.along)
        columns = _coverage(self.marks.shape[1], (np.array(x) + self.road_half) * _MARKS_ACROSS)
        (top, down), (left, right) = rows[0], columns[0]
        patch = self.marks[top:down, left:right]
        np.maximum(patch, strength * np.outer(rows[1], columns[1]), out=patch)

    def finish(self, rng, camera_height: float, focal: float, road_surface: int) -> GroundMap:
        """Wear the paint, stack the levels, spread the dirt; shadows stay empty."""
        wear = _tiled(drawn_noise(rng, 256, 24, 4), self.marks.shape)
        level = self.marks * np.clip(1.25 - 0.9 * wear, 0.3, 1).astype(np.float32)
        tops, counts, stack = [], [], []
        row = 0
        for _ in range(_LEVELS):
            stack.append(np.pad(level, ((_APRON, _APRON), (0, 0)), mode="edge"))
            tops.append(row + _APRON)
            counts.append(len(level))
            row += len(level) + 2 * _APRON
            size = (level.shape[1], max(1, len(level) // 2))
            # Rows halve; columns blur, as the lateral footprint grows more slowly.
            level = cv2.blur(cv2.resize(level, size, interpolation=cv2.INTER_AREA), (3, 1))
        dirt = _tiled(drawn_noise(rng, 256, 8, 4), self.shape)
        return GroundMap(
            half_width=self.half_width,
            first=self.first,
            marks=np.concatenate(stack),
            level_top=np.array(tops, np.float32),
            level_rows=np.array(counts, np.float32),
            marks_along=self.along,
            marks_half=self.road_half,
            detail=float(np.log2(self.along / (camera_height * focal)) - 0.5),
            dirt=dirt,
            shadow=np.zeros(self.shape, np.float32),
            road_surface=road_surface,
        )


def _coverage(size: int, bounds: np.ndarray):
    """((first, last), weights): how much of each pixel an interval covers."""
    low, high = np.clip(bounds, 0, size)
    first, last = int(np.floor(low)), int(np.ceil(high))
    edges = np.arange(first, last)
    return (first, last), np.minimum(edges + 1, high) - np.maximum(edges, low)


def _tiled(tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    repeats = [-(-n // m) for n, m in zip(shape, tile.shape, strict=True)]
    return np.tile(tile, repeats)[: shape[0], : shape[1]].astype(np.float32)


@dataclass(frozen=True, eq=False)
class ShadowCaster:
    """Which primitives throw shadows, and how strong the sun's are.

    Attributes:
        sun: (3,) towards the sun.
        strength: of cast shadows, 0 (overcast) to 1.
    """

    scene: Scene
    sun: np.ndarray
    strength: float

    def static(self, ground: GroundMap, poses: np.ndarray) -> np.ndarray:
        """Shadow of everything that is no thing, for the whole street."""
        moving = self._is_thing()
        raster = np.zeros(ground.shadow.shape, np.uint8)
        self._fill(raster, ground, ground.first, poses, ~moving[0], ~moving[1], np.inf, 0)
        return cv2.GaussianBlur(raster, (5, 5), 0).astype(np.float32) * (self.strength / 255)

    def moving(self, ground: GroundMap, poses: np.ndarray, camera_z: float) -> np.ndarray:
        """``ground.shadow`` with the shadows of things near the camera added."""
        first = ground.first + max(0, int((camera_z - 5 - ground.first) * _SHADE)) / _SHADE
        rows = int(_SHADOW_RANGE * _SHADE)
        top = round((first - ground.first) * _SHADE)
        raster = np.zeros((min(rows, len(ground.shadow) - top), ground.shadow.shape[1]), np.uint8)
        hulls, balls = self._is_thing()
        self._fill(raster, ground, first, poses, hulls, balls, camera_z + _SHADOW_RANGE, camera_z)
        cast = cv2.GaussianBlur(raster, (3, 3), 0).astype(np.float32) * (self.strength / 255)
        raster[:] = 0
        self._fill_contact(raster, ground, first, poses, hulls)
        contact = cv2.GaussianBlur(raster, (5, 5), 0).astype(np.float32) * (0.85 / 255)
        shadow = ground.shadow.copy()
        part = shadow[top : top + len(raster)]
        np.maximum(part, np.maximum(cast, contact), out=part)
        return shadow

    def _is_thing(self) -> tuple[np.ndarray, np.ndarray]:
        scene = self.scene
        surface = scene.plane_surface[scene.hull_planes[:, 0]]
        hulls = scene.surface_track[surface] > 0
        balls = scene.surface_track[scene.ball_surface] > 0
        return hulls, balls

    def _flatten(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) ground points (x, z) shaded by world points (..., 3)."""
        slide = np.array([self.sun[0], self.sun[2]]) / self.sun[1]
        return points[..., [0, 2]] - points[..., 1:2] * slide

    def _fill(self, raster, ground, first, poses, hulls, balls, z_max, z_min) -> None:
        scene = self.scene
        z = poses[scene.hull_part, 2, 3]
        chosen = np.flatnonzero(hulls & scene.hull_shadow & (z < z_max) & (z > z_min - 20))
        pose = poses[np.repeat(scene.hull_part, scene.hull_vertices[:, 1])]
        world = np.einsum("vij,vj->vi", pose[:, :3, :3], scene.vertices) + pose[:, :3, 3]
        pixels = _to_pixels(self._flatten(world), ground.half_width, first)
        for start, count in scene.hull_vertices[chosen].tolist():
            outline = cv2.convexHull(pixels[start : start + count])
            cv2.fillConvexPoly(raster, outline, 255, cv2.LINE_8, _FIXED_POINT)
        self._fill_balls(raster, ground, first, poses, balls, z_max, z_min)

    def _fill_balls(self, raster, ground, first, poses, balls, z_max, z_min) -> None:
        scene = self.scene
        z = poses[scene.ball_part, 2, 3]
        chosen = np.flatnonzero(balls & scene.ball_shadow & (z < z_max) & (z > z_min - 20))
        if not len(chosen):
            return
        pose = poses[scene.ball_part[chosen]]
        centre = np.einsum("eij,ej->ei", pose[:, :3, :3], scene.ball_centre[chosen])
        centre += pose[:, :3, 3]
        spread = pose[:, :3, :3] @ np.linalg.inv(scene.ball_axes[chosen])
        flat = np.swapaxes(self._flatten(np.swapaxes(spread, 1, 2)), 1, 2)  # (E, 2, 3)
        angles = np.arange(12) * (np.pi / 6)
        directions = np.stack([np.cos(angles), np.sin(angles)])
        pull = np.swapaxes(flat, 1, 2) @ directions  # (E, 3, 12)
        pull /= np.linalg.norm(pull, axis=1, keepdims=True) + 1e-9
        outline = self._flatten(centre)[:, None] + np.swapaxes(flat @ pull, 1, 2)
        for polygon in _to_pixels(outline, ground.half_width, first):
            cv2.fillConvexPoly(raster, polygon, 255, cv2.LINE_8, _FIXED_POINT)

    def _fill_contact(self, raster, ground, first, poses, hulls) -> None:
        """Vehicles darken what is under them, whatever the sun does."""
        scene = self.scene
        for start, count in scene.hull_vertices[hulls & scene.hull_shadow].tolist():
            hull = np.searchsorted(scene.hull_vertices[:, 0], start)
            pose = poses[scene.hull_part[hull]]
            world = scene.vertices[start : start + count] @ pose[:3, :3].T + pose[:3, 3]
            pixels = _to_pixels(world[:, [0, 2]], ground.half_width, first)
            cv2.fillConvexPoly(raster, cv2.convexHull(pixels), 255, cv2.LINE_8, _FIXED_POINT)


_FIXED_POINT = 4  # fractional bits of polygon corners


def _to_pixels(points: np.ndarray, half_width: float, first: float) -> np.ndarray:
    scaled = (points - [-half_width, first]) * _SHADE - 0.5
    return np.rint(np.clip(scaled, -500, 20_000) * (1 << _FIXED_POINT)).astype(np.int32)
