"""Builds a :class:`~dvps_d2.street.scene.Scene` from parts, prisms and ellipsoids."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvps_d2.street.camera import turn_x
from dvps_d2.street.config import SKY
from dvps_d2.street.scene import Hinge, Label, Scene, Skin, Span

# Axis numbers in local (x, y, z) of a prism's (first profile, second profile, extrusion) axes, and
# their signs: y points down while profiles and extents speak of heights.
_PRISM_AXES = {
    "x": ((2, 1, 0), (1, -1, 1)),
    "z": ((0, 1, 2), (1, -1, 1)),
    "y": ((0, 2, 1), (1, 1, -1)),
}
# How an ellipsoid's tile coordinates follow the unit ball's (x, y, z): patterns are laid on askew,
# so that they show from every side; a picture that fits the body is laid on straight.
_BALL_PATTERN = {
    False: np.array([[1.0, 0, 0.4], [0, 1, 0.2]]),
    True: np.array([[0.25, 0, 1.0], [0, 1, 0]]),
}
_BALL_PICTURE = {False: np.eye(3)[:2], True: np.array([[0, 0, 1.0], [0, 1, 0]])}
# A stretched tile stays this far inside its edges, so that rounding never wraps around.
_MARGIN = 0.01


# One skin, or skins by edge number and by the names "sides" and "body".
Skins = Skin | Mapping[Any, Skin]


class SceneBuilder:
    """Collects rows; ``build`` joins them.

    Args:
        tile_index: tile name -> number.
    """

    def __init__(self, tile_index: Mapping[str, int]) -> None:
        self._tile_index = tile_index
        self._rows: dict[str, list] = defaultdict(list)
        self._counts: Counter[str] = Counter()
        self._tracks = 0
        self.add_part()  # part 0: the world itself
        empty = np.zeros((1, 2, 4))
        self._add_surfaces(0, Label(SKY), [Skin()], empty, np.ones((1, 2)), np.zeros((1, 3)))

    def _add(self, table: str, rows: int, **columns: Any) -> int:
        """Append rows to a table; returns the number of the first one."""
        for name, values in columns.items():
            self._rows[name].append(values)
        self._counts[table] += rows
        return self._counts[table] - rows

    def new_track(self, class_id: int) -> Label:
        """A fresh identity."""
        self._tracks += 1
        return Label(class_id, self._tracks)

    def add_part(
        self,
        start: Sequence[float] = (0.0, 0.0, 0.0),
        velocity: Sequence[float] = (0.0, 0.0, 0.0),
        heading: float = 0.0,
        hinges: Sequence[Hinge] = (),
    ) -> int:
        """A rigid body at ``start`` (x, y, z) at time 0; returns its number."""
        rows = [hinge.row for hinge in (*hinges, Hinge(), Hinge())[:2]]
        return self._add(
            "part",
            1,
            part_start=[tuple(start)],
            part_velocity=[tuple(velocity)],
            part_heading=[float(heading)],
            part_hinges=[rows],
        )

    def _add_surfaces(
        self,
        part: int,
        label: Label,
        skins: Sequence[Skin],
        uv: np.ndarray,
        scale: np.ndarray,
        normal: np.ndarray,
        *,
        ground: bool = False,
        ball: int = -1,
    ) -> int:
        """Rows of the surface table: uv (n, 2, 4), repeats per metre (n, 2), normals (n, 3)."""
        count = len(skins)
        return self._add(
            "surface",
            count,
            surface_part=[part] * count,
            surface_class=[label.class_id] * count,
            surface_track=[label.track_id] * count,
            surface_tile=[self._tile_index[skin.tile] for skin in skins],
            surface_uv=uv,
            surface_repeats=np.sqrt(np.abs(scale[:, 0] * scale[:, 1])),
            surface_tint=[skin.tint for skin in skins],
            surface_variation=[skin.variation for skin in skins],
            surface_normal=normal,
            surface_ball=[ball] * count,
            surface_ground=ground & (normal[:, 1] < -0.9),
        )

    def _add_hull(
        self,
        part: int,
        label: Label,
        skins: Sequence[Skin],
        planes: np.ndarray,
        uv: np.ndarray,
        scale: np.ndarray,
        vertices: np.ndarray,
        *,
        reach: float = np.inf,
        shadow: bool = True,
        ground: bool = False,
    ) -> int:
        """One hull with its planes (n, 4), vertices (m, 3) and surfaces; returns the first one."""
        surface = self._add_surfaces(part, label, skins, uv, scale, planes[:, :3], ground=ground)
        plane = self._add(
            "plane",
            len(planes),
            planes=planes,
            plane_surface=np.arange(surface, surface + len(planes)),
        )
        vertex = self._add("vertex", len(vertices), vertices=vertices)
        self._add(
            "hull",
            1,
            hull_part=[part],
            hull_planes=[(plane, len(planes))],
            hull_vertices=[(vertex, len(vertices))],
            hull_reach=[reach],
            hull_shadow=[shadow],
        )
        return surface

    def ground(self, label: Label, skin: Skin) -> int:
        """The endless plane y = 0; returns its surface."""
        scale = 1 / np.array([skin.cell])
        uv = np.zeros((1, 2, 4))
        uv[0, 0, 0], uv[0, 1, 2] = scale[0]
        planes = np.array([[0.0, -1.0, 0.0, 0.0]])
        vertices = np.array([(x, 0.0, z) for x in (-1e3, 1e3) for z in (-1e3, 1e3)])
        return self._add_hull(
            0, label, [skin], planes, uv, scale, vertices, shadow=False, ground=True
        )

    def prism(
        self,
        part: int,
        label: Label,
        profile: Sequence[Span] | np.ndarray,
        extent: Span,
        skins: Skins,
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
        axes, signs = _PRISM_AXES[along]
        corners = np.asarray(profile, np.float64)
        count = len(corners)
        if isinstance(skins, Skin):
            faces = [skins] * (count + 2)
        else:
            ends = skins.get("sides", skins["body"])
            faces = [skins.get(i, skins["body"]) for i in range(count)] + [ends, ends]
        planes, low = _prism_planes(corners, extent, axes, signs, lean)
        uv, size = _prism_coordinates(corners, extent, axes, signs, low)
        scale = np.array(
            [
                (1 / skin.cell[0], 1 / skin.cell[1]) if skin.cell else (1 - 2 * _MARGIN) / span
                for skin, span in zip(faces, np.maximum(size, 1e-3), strict=True)
            ]
        )
        uv *= scale[:, :, None]
        uv[:, :, 3] += np.array([0.0 if skin.cell else _MARGIN for skin in faces])[:, None]
        vertices = np.zeros((2 * count, 3))
        vertices[:, axes[0]] = np.tile(signs[0] * corners[:, 0], 2)
        vertices[:, axes[1]] = np.tile(signs[1] * corners[:, 1], 2)
        vertices[:, axes[2]] = np.repeat(signs[2] * np.asarray(extent, np.float64), count)
        self._add_hull(
            part,
            label,
            faces,
            planes,
            uv,
            scale,
            vertices,
            reach=reach,
            shadow=shadow,
            ground=ground,
        )

    def box(
        self,
        part: int,
        label: Label,
        x: Span,
        heights: Span,
        z: Span,
        skins: Skins,
        **options: Any,
    ) -> None:
        """Axis-aligned box; edges of the profile: 0 rear, 1 top, 2 front, 3 bottom."""
        profile = [(z[0], heights[0]), (z[0], heights[1]), (z[1], heights[1]), (z[1], heights[0])]
        self.prism(part, label, profile, x, skins, **options)

    def column(
        self,
        part: int,
        label: Label,
        x: float,
        z: float,
        radius: float,
        heights: Span,
        skin: Skin,
        *,
        sides: int = 6,
        **options: Any,
    ) -> None:
        """An upright post."""
        angles = np.arange(sides) * 2 * np.pi / sides + 0.3
        ring = np.stack([x + radius * np.cos(angles), z + radius * np.sin(angles)], axis=1)
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
        if skin.cell is None:
            rows = 0.5 * (_BALL_PICTURE[skin.sideways] @ axes)
        else:
            repeats = np.array([radii[0] / skin.cell[0], radii[1] / skin.cell[1]])
            rows = repeats[:, None] * (_BALL_PATTERN[skin.sideways] @ axes)
        uv = np.concatenate([rows, (0.5 - rows @ middle)[:, None]], axis=1)[None]
        scale = np.abs(rows).max(axis=1)[None]
        ball = self._counts["ball"]
        surface = self._add_surfaces(part, label, [skin], uv, scale, np.zeros((1, 3)), ball=ball)
        self._add(
            "ball",
            1,
            ball_part=[part],
            ball_centre=[middle],
            ball_axes=[axes],
            ball_reach=[reach],
            ball_shadow=[shadow],
            ball_surface=[surface],
        )

    def build(self) -> Scene:
        """Join the rows."""
        return Scene(**{name: np.concatenate(rows) for name, rows in self._rows.items()})


def _prism_planes(
    corners: np.ndarray, extent: Span, axes: Sequence[int], signs: Sequence[int], lean: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n + 2, 4) planes of edges and ends, and the lowest corner values (2,)."""
    count = len(corners)
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = np.roll(corners, -1, axis=0) - corners
    outward = np.stack([step[:, 1], -step[:, 0]], axis=1)
    outward /= np.hypot(step[:, 0], step[:, 1])[:, None]
    outward *= np.sign(((corners - corners.mean(axis=0)) * outward).sum(axis=1))[:, None]
    normal, point = np.zeros((count + 2, 3)), np.zeros((count + 2, 3))
    for k in (0, 1):
        normal[:count, axes[k]] = signs[k] * outward[:, k]
        point[:count, axes[k]] = signs[k] * corners[:, k]
        point[count:, axes[k]] = signs[k] * low[k]
    normal[count:, axes[2]] = signs[2] * np.array([-1.0, 1.0])
    normal[count:, axes[1]] = signs[1] * lean / (high[1] - low[1])
    normal[count:] /= np.hypot(1.0, lean / (high[1] - low[1]))
    point[count:, axes[2]] = signs[2] * np.asarray(extent, np.float64)
    offset = -(normal * point).sum(axis=1, keepdims=True)
    return np.concatenate([normal, offset], axis=1), low


def _prism_coordinates(
    corners: np.ndarray, extent: Span, axes: Sequence[int], signs: Sequence[int], low: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n + 2, 2, 4) maps to (u, v) in metres from each face's corner, and face sizes (n + 2, 2).

    Edges: u along the extrusion, v along the edge, or the other way round on an upright prism, so
    that v is what points down. Ends: u and v follow the profile's axes.
    """
    count = len(corners)
    upright = axes[1] != 1
    size = corners.max(axis=0) - low
    ahead = np.roll(corners, -1, axis=0)
    length = np.hypot(*(ahead - corners).T)
    along = (ahead - corners) / length[:, None]
    flip = along[:, 1] > 0 if not upright else np.zeros(count, bool)
    origin = np.where(flip[:, None], ahead, corners)
    along = np.where(flip[:, None], -along, along)
    uv = np.zeros((count + 2, 2, 4))
    run, rise = (1, 0) if upright else (0, 1)
    if upright:
        uv[:count, run, axes[2]], uv[:count, run, 3] = -signs[2], extent[1]
    else:
        uv[:count, run, axes[2]], uv[:count, run, 3] = signs[2], -extent[0]
    for k in (0, 1):
        uv[:count, rise, axes[k]] = signs[k] * along[:, k]
    uv[:count, rise, 3] = -(along * origin).sum(axis=1)
    uv[count:, 0, axes[0]], uv[count:, 0, 3] = signs[0], -low[0]
    uv[count:, 1, axes[1]], uv[count:, 1, 3] = -signs[1], low[1] + size[1]
    sizes = np.empty((count + 2, 2))
    sizes[:count, run], sizes[:count, rise], sizes[count:] = extent[1] - extent[0], length, size
    return uv, sizes
