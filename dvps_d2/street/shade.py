"""Colour: texture, light, shadow, haze and the sensor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.street.camera import RayGrid
from dvps_d2.street.ground import GroundMap
from dvps_d2.street.mood import Mood
from dvps_d2.street.raster import Visibility
from dvps_d2.street.scene import Scene
from dvps_d2.street.textures import Atlas

# Brightness of the cells of a repeated tile, by a hash of their numbers.
_CELL_TONES = np.random.default_rng(5).uniform(-1, 1, 64).astype(np.float32)
_ROAD_PAINT = 235  # grey level of fresh markings
# Share of the sky's light that is left in a shadow.
_SHADED_SKY = 0.62


@dataclass(frozen=True, eq=False)
class Hits:
    """What all rays of a grid meet, in camera coordinates.

    Attributes:
        scene, grid: what is seen, and along which rays.
        surface: (H', W') intp, row in the scene's surface arrays; 0 is the sky.
        sky: (H', W') bool.
        x, y, depth: (H', W') float32, metres; far away in the sky.
        pose: (4, 4) world from camera.
        parts: (P, 4, 4) camera from part.
    """

    scene: Scene
    grid: RayGrid
    surface: np.ndarray
    sky: np.ndarray
    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    pose: np.ndarray
    parts: np.ndarray

    @classmethod
    def along(
        cls, grid: RayGrid, scene: Scene, seen: Visibility, pose: np.ndarray, parts: np.ndarray
    ) -> Hits:
        """The points at which the rays end."""
        depth = 1 / np.maximum(seen.nearness, 1e-3)
        x, y = grid.x * depth, grid.y[:, None] * depth
        return cls(scene, grid, seen.surface, seen.nearness <= 0, x, y, depth, pose, parts)

    def look_up(self, column: np.ndarray) -> np.ndarray:
        """(H', W') float32, a column (S,) of the surface table at every ray."""
        return column.astype(np.float32, copy=False).take(self.surface)


def shade(
    hits: Hits, atlas: Atlas, mood: Mood, ground: GroundMap, shadow: np.ndarray
) -> np.ndarray:
    """Colour of every ray.

    Args:
        shadow: the ground's shadow at this moment, on the raster of ``ground.shadow``.

    Returns:
        (H', W', 3) float32, 0..255 but not clipped.
    """
    channels, paint = _texture(hits, atlas)
    light = _light(hits, mood)
    _draw_ground(hits, mood, ground, shadow, channels, light)
    clear = np.exp(hits.depth * (-1 / mood.haze))
    for channel, colour in enumerate(channels):
        tint = hits.look_up(hits.scene.surface_tint[:, channel])
        colour *= 1 + paint * (tint - 1)
        colour *= light[channel]
        fog = np.float32(mood.horizon[channel])
        colour -= fog
        colour *= clear
        colour += fog
    image = np.stack(channels, axis=-1)
    _draw_sky(image, hits, mood)
    return image


def _texture(hits: Hits, atlas: Atlas) -> tuple[list[np.ndarray], np.ndarray]:
    """Texels of all rays: three channels (float32, 0..255) and the paint share (0..1)."""
    scene = hits.scene
    # Tile coordinates are affine in the part's axes, hence affine in camera coordinates.
    part_from_camera = np.linalg.inv(hits.parts)
    rows = np.einsum("sij,sjk->sik", scene.surface_uv, part_from_camera[scene.surface_part])
    u, v = (
        hits.look_up(rows[:, i, 0]) * hits.x
        + hits.look_up(rows[:, i, 1]) * hits.y
        + hits.look_up(rows[:, i, 2]) * hits.depth
        + hits.look_up(rows[:, i, 3])
        for i in (0, 1)
    )
    level = hits.look_up(_detail(hits, atlas)) + 1.5 * np.log2(hits.depth)
    left = hits.look_up(atlas.left[scene.surface_tile])
    rgba = atlas.sample(left, u, v, level).astype(np.float32)
    paint = rgba[..., 3] * np.float32(1 / 255)
    cell = (np.floor(u) * 7 + np.floor(v) * 13).astype(np.int32) & 63
    # The panes differ, not the wall around them.
    variation = hits.look_up(scene.surface_variation) * _CELL_TONES.take(cell) * (1 - paint)
    return [rgba[..., channel] * (1 + variation) for channel in range(3)], paint


def _detail(hits: Hits, atlas: Atlas) -> np.ndarray:
    """(S,) such that level of detail = this + 1.5 log2(depth).

    A face seen at an angle is foreshortened by about offset / depth, in one direction only; the
    level follows the geometric mean of the two directions.
    """
    scene, grid = hits.scene, hits.grid
    pose = hits.parts[scene.surface_part]
    texels = scene.surface_repeats * atlas.size[0] / grid.intrinsics.focal * grid.step
    facing = np.ones(len(texels))
    faces = scene.plane_surface
    normal = np.einsum("kij,kj->ki", pose[faces, :3, :3], scene.planes[:, :3])
    offset = scene.planes[:, 3] - np.einsum("ki,ki->k", normal, pose[faces, :3, 3])
    facing[faces] = np.maximum(np.abs(offset), 0.05)
    balls = scene.ball_surface
    depth = np.einsum("ej,ej->e", pose[balls, 2, :3], scene.ball_centre) + pose[balls, 2, 3]
    facing[balls] = np.maximum(depth, 0.5)  # seen face on: its offset is its depth
    return np.log2(texels / np.sqrt(facing))


def _light(hits: Hits, mood: Mood) -> list[np.ndarray]:
    """Light at all rays, one array per channel."""
    scene, turn = hits.scene, hits.pose[:3, :3]
    world_turn = turn @ hits.parts[scene.surface_part, :3, :3]
    table = mood.light(np.einsum("sij,sj->si", world_turn, scene.surface_normal))
    light = [hits.look_up(table[:, channel]) for channel in range(3)]
    ball = scene.surface_ball.take(hits.surface)
    where = np.flatnonzero(ball >= 0)
    bright = mood.light(_ball_normals(hits, ball.ravel()[where], where))
    for channel in range(3):
        light[channel].ravel()[where] = bright[:, channel]
    return light


def _ball_normals(hits: Hits, ball: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(N, 3) world normals where rays number ``where`` meet ellipsoids ``ball``, both (N,)."""
    scene = hits.scene
    part = hits.parts[scene.ball_part]
    axes = scene.ball_axes @ np.swapaxes(part[:, :3, :3], 1, 2)
    centre = np.einsum("eij,ej->ei", part[:, :3, :3], scene.ball_centre) + part[:, :3, 3]
    # The normal of |M (P - c)| = 1 is M^T M (P - c), here brought to world axes.
    bend = (hits.pose[:3, :3] @ np.swapaxes(axes, 1, 2) @ axes).astype(np.float32)
    shift = np.einsum("eij,ej->ei", bend, centre).astype(np.float32)
    point = np.stack([a.ravel()[where] for a in (hits.x, hits.y, hits.depth)], axis=1)
    normal = np.einsum("nij,nj->ni", bend[ball], point) - shift[ball]
    return normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)


def _draw_ground(
    hits: Hits,
    mood: Mood,
    ground: GroundMap,
    shadow: np.ndarray,
    channels: list[np.ndarray],
    light: list[np.ndarray],
) -> None:
    """Paint marks on the road and darken what lies in shadow (in place)."""
    flat = hits.scene.surface_ground.take(hits.surface)
    rows = np.flatnonzero(flat.any(axis=1))
    if not len(rows):
        return
    band = slice(rows[0], len(flat))
    flat = flat[band]
    point = hits.x[band], hits.y[band], hits.depth[band]
    world_x, world_z = (
        (sum(row[k] * point[k] for k in range(3)) + row[3]).astype(np.float32)
        for row in (hits.pose[0], hits.pose[2])
    )
    marks = ground.sample_marks(world_x, world_z, hits.depth[band])
    marks *= hits.surface[band] == ground.road_surface
    shade = 1 - ground.sample(shadow, world_x, world_z) * flat
    dirt = 1 + (ground.sample(ground.dirt, world_x, world_z) - 0.5) * 0.35 * flat
    up = mood.light(np.array([[0.0, -1.0, 0.0]]))[0]
    for channel in range(3):
        part = channels[channel][band]
        part *= dirt * (1 - marks)
        # The tint of the road comes later: divide it out.
        tint = hits.scene.surface_tint[ground.road_surface, channel]
        part += marks * np.float32(_ROAD_PAINT / tint)
        direct = mood.sunlight[channel] * max(-mood.sun[1], 0)
        floor = np.float32((up[channel] - direct) * _SHADED_SKY / up[channel])
        light[channel][band] *= floor + (1 - floor) * shade


def _draw_sky(image: np.ndarray, hits: Hits, mood: Mood) -> None:
    """Gradient and clouds on a flat ceiling (in place)."""
    rows = np.flatnonzero(hits.sky.any(axis=1))
    if not len(rows):
        return
    band = slice(0, rows[-1] + 1)
    x, y = hits.grid.x[None], hits.grid.y[band, None]
    turn = hits.pose[:3, :3].astype(np.float32)
    east, down, north = (turn[i, 0] * x + turn[i, 1] * y + turn[i, 2] for i in range(3))
    rise = np.maximum(-down / np.sqrt(east**2 + north**2 + 1e-6), 0.0)
    fade = np.minimum(rise / 0.45, 1)
    size = len(mood.clouds)
    scale = size * 0.16 / (rise + 0.12)
    column = np.mod(east * scale, size - 1).astype(np.float32)
    row = np.mod(north * scale, size - 1).astype(np.float32)
    cloud = cv2.remap(mood.clouds, column, row, cv2.INTER_LINEAR)
    cloud *= np.minimum(rise / 0.08, 1)
    for channel in range(3):
        colours = (mood.horizon, mood.zenith, mood.cloud_colour)
        low, high, white = (float(colour[channel]) for colour in colours)
        colour = low + (high - low) * fade
        colour += (white - colour) * cloud
        np.copyto(image[band, :, channel], colour, where=hits.sky[band])


def develop(
    image: np.ndarray,
    mood: Mood,
    *,
    noise: float,
    halve: bool,
    seconds: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """From ray colours to the picture: average, expose, add grain.

    Args:
        image: (2H+1, 2W+1, 3) with ``halve``, else (H, W, 3), float32.
        noise: multiplies grain and exposure drift.
        halve: average over half-pixel steps with the 3 x 3 binomial kernel.
        seconds: time of the frame.
        rng: of the grain.

    Returns:
        (H, W, 3) uint8.
    """
    if halve:
        image = cv2.GaussianBlur(image, (3, 3), 0)[1::2, 1::2]
    height, width = image.shape[:2]
    gain = mood.gain * (1 + noise * mood.drift * np.sin(1.3 * seconds + mood.drift_phase))
    fall = np.hypot.outer(np.linspace(-1, 1, height), np.linspace(-1, 1, width)) ** 2 / 2
    weight = (gain * (1 - mood.vignette * fall))[..., None] * mood.tint
    image = image * weight.astype(np.float32)
    if noise * mood.grain > 0:
        grain = rng.standard_normal(image.shape, np.float32)
        image += grain * np.float32(noise * mood.grain)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
