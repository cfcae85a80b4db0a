"""What stands in the street: convex hulls and ellipsoids on rigid parts that move.

A *part* is a rigid body: it travels in a straight line and may hang on its object by up to two
hinges about the lateral axis (hip and knee, wheel axle). A *primitive* is a convex hull or an
ellipsoid fixed to a part. A *surface* is one face of a hull, or a whole ellipsoid: the unit that
carries class, track id, pattern and colour. Everything is stored as flat arrays, one row each.

Local axes of a part: x right, y down, z forward (the way it travels at heading 0), origin on the
ground. Builders speak of heights, which are -y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dvps_d2.street.camera import turn_x, turn_y

Colour = tuple[float, float, float]


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
    """Rotation about the local x axis at ``pivot``: offset + swing * sin(rate * t + phase) + spin * t.

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


class SceneBuilder:
    """Collects parts and primitives; ``build`` turns them into a :class:`Scene`."""

    def __init__(self, tile_index: Mapping[str, int]) -> None:
        self._tile_index = tile_index
        self._rows: dict[str, list] = {}
        self.tracks = 0
        self.add_part()  # part 0: the world itself
        self._add_surface(0, Label(10), Skin(), np.zeros((2, 4)), (0, 0), (0, 0, 0), False)

    def _append(self, **values) -> None:
        for name, value in values.items():
            self._rows.setdefault(name, []).append(value)

    def _count(self, name: str) -> int:
        return len(self._rows.get(name, ()))

    def new_track(self, class_id: int) -> Label:
        """A fresh identity."""
        self.tracks += 1
        return Label(class_id, self.tracks)

    def add_part(
        self,
        start: Sequence[float] = (0.0, 0.0, 0.0),
        velocity: Sequence[float] = (0.0, 0.0, 0.0),
        heading: float = 0.0,
        hinges: Sequence[Hinge] = (),
    ) -> int:
        """A rigid body at ``start`` (x, y, z) at time 0; returns its number."""
        rows = [hinge.row for hinge in (*hinges, Hinge(), Hinge())[:2]]
        self._append(
            part_start=tuple(start),
            part_velocity=tuple(velocity),
            part_heading=heading,
            part_hinges=rows,
        )
        return self._count("part_heading") - 1

    def _add_surface(self, part, label, skin, uv, repeats, normal, ground, ball=-1) -> int:
        self._append(
            surface_part=part,
            surface_class=label.class_id,
            surface_track=label.track_id,
            surface_tile=self._tile_index[skin.tile],
            surface_uv=uv,
            surface_repeats=max(1e-3, float(np.sqrt(abs(repeats[0] * repeats[1])))),
            surface_tint=skin.tint,
            surface_variation=skin.variation,
            surface_normal=normal,
            surface_ball=ball,
            surface_ground=ground,
        )
        return self._count("surface_part") - 1

    def ground(self, label: Label, skin: Skin) -> int:
        """The endless plane y = 0; returns its surface."""
        uv = np.zeros((2, 4))
        uv[0, 0], uv[1, 2] = 1 / skin.cell[0], 1 / skin.cell[1]
        surface = self._add_surface(0, label, skin, uv, (uv[0, 0], uv[1, 2]), (0, -1, 0), True)
        first = self._count("planes"), self._count("vertices")
        self._append(planes=(0.0, -1.0, 0.0, 0.0), plane_surface=surface)
        for x in (-1e3, 1e3):
            for z in (-1e3, 1e3):
                self._append(vertices=(x, 0.0, z))
        self._add_hull(0, (first[0], 1), (first[1], 4), np.inf, False)
        return surface

    def _add_hull(self, part, planes, vertices, reach, shadow) -> None:
        self._append(
            hull_part=part,
            hull_planes=planes,
            hull_vertices=vertices,
            hull_reach=reach,
            hull_shadow=shadow,
        )

    def prism(
        self,
        part: int,
        label: Label,
        profile: Sequence[tuple[float, float]],
        extent: tuple[float, float],
        skins: Skin | Mapping[int | str, Skin],
        *,
        along: str = "x",
        lean: float = 0.0,
        reach: float = np.inf,
        shadow: bool = True,
        ground: bool = False,
    ) -> None:
        """A convex polygon pulled out along an axis.

        Args:
            profile: corners (p, height) in order; p is z for ``along="x"``, x for ``along="z"``.
                For ``along="y"`` corners are (x, z) and ``extent`` is (low, high) in height.
            extent: where the prism begins and ends along the axis.
            skins: one skin, or skins by edge number (edge i joins corners i and i + 1), "sides"
                for the two ends, "body" for the rest.
            lean: metres by which each end leans inwards from the lowest to the highest corner.
            reach: not drawn when farther than this from the camera.
            ground: faces that look up receive shadows.
        """
        if isinstance(skins, Skin):
            skins = {"body": skins}
        # Axis numbers and signs of (profile first, profile second, extrusion) in local x, y, z.
        axes = {"x": (2, 1, 0), "z": (0, 1, 2), "y": (0, 2, 1)}[along]
        signs = (1, 1, -1) if along == "y" else (1, -1, 1)
        corners = np.asarray(profile, np.float64)
        centre = corners.mean(axis=0)
        first = self._count("planes"), self._count("vertices")
        for i, a in enumerate(corners):
            b = corners[(i + 1) % len(corners)]
            normal = np.array([b[1] - a[1], a[0] - b[0]])
            normal /= np.hypot(*normal)
            if normal @ (a - centre) < 0:
                normal = -normal
            skin = skins.get(i, skins["body"])
            self._edge_face(part, label, skin, a, b, normal, extent, axes, signs, ground)
        skin = skins.get("sides", skins["body"])
        for end, sign in zip(extent, (-1, 1), strict=True):
            self._end_face(part, label, skin, corners, end, sign, lean, axes, signs, ground)
        for end in extent:
            for a in corners:
                point = np.zeros(3)
                point[list(axes)] = (signs[0] * a[0], signs[1] * a[1], signs[2] * end)
                self._append(vertices=tuple(point))
        self._add_hull(
            part, (first[0], len(corners) + 2), (first[1], 2 * len(corners)), reach, shadow
        )

    def _edge_face(self, part, label, skin, a, b, normal, extent, axes, signs, ground) -> None:
        """Face over the profile edge a-b: u runs along the extrusion, v along the edge."""
        n = np.zeros(3)
        n[axes[0]], n[axes[1]] = signs[0] * normal[0], signs[1] * normal[1]
        corner = np.zeros(3)
        corner[axes[0]], corner[axes[1]] = signs[0] * a[0], signs[1] * a[1]
        span, length = extent[1] - extent[0], float(np.hypot(*(b - a)))
        along_edge = (b - a) / length
        origin = a
        upright = axes[1] == 1
        if upright and along_edge[1] > 0:  # v grows downwards: start at the upper corner
            origin, along_edge = b, -along_edge
        u, v = np.zeros(4), np.zeros(4)
        u[axes[2]], u[3] = signs[2], -extent[0]
        v[axes[0]], v[axes[1]] = signs[0] * along_edge[0], signs[1] * along_edge[1]
        v[3] = -float(along_edge @ origin)
        if not upright:  # an upright prism wants height for v
            u, v = v, -u
            v[3] = extent[1]
            span, length = length, span
        self._face(part, label, skin, n, corner, u, v, (span, length), ground)

    def _end_face(self, part, label, skin, corners, end, sign, lean, axes, signs, ground) -> None:
        """Face that closes the prism: u and v are the profile's axes, v downwards if it is height."""
        low, high = corners.min(axis=0), corners.max(axis=0)
        size = high - low
        n = np.zeros(3)
        n[axes[2]] = signs[2] * sign
        n[axes[1]] = signs[1] * lean / size[1]
        n /= np.linalg.norm(n)
        corner = np.zeros(3)
        corner[axes[0]], corner[axes[1]] = signs[0] * low[0], signs[1] * low[1]
        corner[axes[2]] = signs[2] * end
        u, v = np.zeros(4), np.zeros(4)
        u[axes[0]], u[3] = signs[0], -low[0]
        v[axes[1]], v[3] = -signs[1], high[1]
        self._face(part, label, skin, n, corner, u, v, size, ground)

    def _face(self, part, label, skin, normal, point, u, v, size, ground) -> None:
        """Plane through ``point``; u and v measure metres from the face's corner."""
        if skin.cell is None:
            # Stay just inside the tile, so that rounding never wraps to the opposite edge.
            scale = (0.98 / max(size[0], 1e-3), 0.98 / max(size[1], 1e-3))
            u, v = u * scale[0], v * scale[1]
            u[3] += 0.01
            v[3] += 0.01
        else:
            scale = (1 / skin.cell[0], 1 / skin.cell[1])
            u, v = u * scale[0], v * scale[1]
        looks_up = bool(ground and normal[1] < -0.9)
        surface = self._add_surface(
            part, label, skin, np.stack([u, v]), scale, tuple(normal), looks_up
        )
        self._append(planes=(*normal, -float(normal @ point)), plane_surface=surface)

    def box(self, part, label, x, heights, z, skins, **options) -> None:
        """Axis-aligned box; edges of the profile: 0 rear, 1 top, 2 front, 3 bottom."""
        profile = [(z[0], heights[0]), (z[0], heights[1]), (z[1], heights[1]), (z[1], heights[0])]
        self.prism(part, label, profile, x, skins, **options)

    def column(self, part, label, x, z, radius, heights, skin, sides=6, **options) -> None:
        """An upright post."""
        angles = np.arange(sides) * 2 * np.pi / sides + 0.3
        ring = [(x + radius * np.cos(a), z + radius * np.sin(a)) for a in angles]
        self.prism(part, label, ring, heights, skin, along="y", **options)

    def ellipsoid(
        self,
        part: int,
        label: Label,
        centre: Sequence[float],
        radii: Sequence[float],
        skin: Skin,
        *,
        tilt: float = 0.0,
        reach: float = np.inf,
        shadow: bool = True,
    ) -> None:
        """An ellipsoid; ``centre`` is (x, height, z), ``tilt`` turns its lower end forward."""
        axes = turn_x(tilt).T / np.asarray(radii, np.float64)[:, None]
        middle = np.array([centre[0], -centre[1], centre[2]], np.float64)
        # On the unit ball: across (x or z, with some of the other, so no side is smeared), down.
        mix = np.array(
            [[0.25, 0, 1.0], [0, 1, 0]] if skin.sideways else [[1.0, 0, 0.4], [0, 1, 0.2]]
        )
        if skin.cell is None:
            repeats = np.array([0.5, 0.5])
            mix = np.array([[0, 0, 1.0], [0, 1, 0]]) if skin.sideways else np.eye(3)[:2]
        else:
            repeats = np.array([radii[0] / skin.cell[0], radii[1] / skin.cell[1]])
        uv = np.zeros((2, 4))
        uv[:, :3] = repeats[:, None] * (mix @ axes)
        uv[:, 3] = 0.5 - uv[:, :3] @ middle
        per_metre = np.abs(uv[:, :3]).max(axis=1)
        ball = self._count("ball_part")
        surface = self._add_surface(part, label, skin, uv, per_metre, (0, 0, 0), False, ball)
        self._append(
            ball_part=part,
            ball_centre=middle,
            ball_axes=axes,
            ball_reach=reach,
            ball_shadow=shadow,
            ball_surface=surface,
        )

    def build(self) -> Scene:
        """Freeze into arrays."""
        return Scene(**{name: np.array(rows) for name, rows in self._rows.items()})
