"""What stands in the street: convex hulls and ellipsoids on rigid parts that move.

A *part* is a rigid body: it travels in a straight line and may hang on its object by up to two
hinges about the lateral axis (hip and knee, wheel axle). A *primitive* is a convex hull or an
ellipsoid fixed to a part. A *surface* is one face of a hull, or a whole ellipsoid: the unit that
carries class, track id, pattern and colour. Everything is stored as flat arrays, one row each.

Local axes of a part: x right, y down, z forward (the way it travels at heading 0), origin on the
ground. Builders speak of heights, which are -y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street.camera import turn_x, turn_y

Colour = tuple[float, float, float]
Point = tuple[float, float, float]
Span = tuple[float, float]


def scaled(colour: Colour, factor: float) -> Colour:
    """A lighter or darker colour."""
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


@dataclass(frozen=True)
class Label:
    """Class (Cityscapes train id) and track id (0 for stuff)."""

    class_id: int
    track_id: int = 0


@dataclass(frozen=True)
class Skin:
    """How a surface is covered.

    Attributes:
        tile: name of a drawing in ``tiles``.
        tint: RGB multiplier of the painted part.
        cell: metres per repetition along and down the face; None stretches one tile over it.
            On an ellipsoid, repetitions over the body are 2 * radius / cell.
        variation: brightness difference between repetitions (windows of one facade).
        sideways: an ellipsoid is covered as seen from its side, not from its front.
    """

    tile: str = "plain"
    tint: Colour = (1.0, 1.0, 1.0)
    cell: tuple[float, float] | None = None
    variation: float = 0.0
    sideways: bool = False


@dataclass(frozen=True)
class Hinge:
    """Rotation about the local x axis at ``pivot``.

    The angle is offset + swing * sin(rate * t + phase) + spin * t, in radians and seconds.
    Positive angles move what hangs below the pivot forward.
    """

    pivot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    offset: float = 0.0
    swing: float = 0.0
    rate: float = 0.0
    phase: float = 0.0
    spin: float = 0.0

    @property
    def row(self) -> tuple[float, ...]:
        return (*self.pivot, self.offset, self.swing, self.rate, self.phase, self.spin)


@dataclass(frozen=True, eq=False)
class Scene:
    """A finished street; arrays with one row per part, hull, ellipsoid or surface.

    Attributes:
        part_start, part_velocity: (P, 3); part_heading: (P,); part_hinges: (P, 2, 8).
        hull_part: (N,); hull_planes, hull_vertices: (N, 2) first row and count in the arrays below;
            hull_reach: (N,) metres beyond which the hull is left out; hull_shadow: (N,) bool.
        planes: (K, 4), n and w with n . x + w <= 0 inside; plane_surface: (K,).
        vertices: (V, 3).
        ball_part, ball_reach, ball_shadow, ball_surface: (E,); ball_centre: (E, 3);
            ball_axes: (E, 3, 3), rows map local offsets to the unit ball.
        surface_*: (S, ...) with row 0 reserved for the sky: part, class, track, tile,
            uv (2, 4) local homogeneous -> tile coordinates, repeats per metre, tint, variation,
            normal (local, 0 for ellipsoids), ball index (-1 for faces), ground (bool).
    """

    part_start: np.ndarray
    part_velocity: np.ndarray
    part_heading: np.ndarray
    part_hinges: np.ndarray
    hull_part: np.ndarray
    hull_planes: np.ndarray
    hull_vertices: np.ndarray
    hull_reach: np.ndarray
    hull_shadow: np.ndarray
    planes: np.ndarray
    plane_surface: np.ndarray
    vertices: np.ndarray
    ball_part: np.ndarray
    ball_centre: np.ndarray
    ball_axes: np.ndarray
    ball_reach: np.ndarray
    ball_shadow: np.ndarray
    ball_surface: np.ndarray
    surface_part: np.ndarray
    surface_class: np.ndarray
    surface_track: np.ndarray
    surface_tile: np.ndarray
    surface_uv: np.ndarray
    surface_repeats: np.ndarray
    surface_tint: np.ndarray
    surface_variation: np.ndarray
    surface_normal: np.ndarray
    surface_ball: np.ndarray
    surface_ground: np.ndarray

    def part_poses(self, seconds: float) -> np.ndarray:
        """(P, 4, 4) float64, world from part, at a time."""
        poses = np.zeros((len(self.part_heading), 4, 4))
        poses[:, 3, 3] = 1
        poses[:, :3, :3] = turn_y(self.part_heading)
        poses[:, :3, 3] = self.part_start + seconds * self.part_velocity
        for hinge in (0, 1):
            row = self.part_hinges[:, hinge]
            angle = (
                row[:, 3]
                + row[:, 4] * np.sin(row[:, 5] * seconds + row[:, 6])
                + row[:, 7] * seconds
            )
            poses[:, :3, 3] += np.einsum("pij,pj->pi", poses[:, :3, :3], row[:, :3])
            poses[:, :3, :3] = poses[:, :3, :3] @ turn_x(angle)
        return poses
