"""Colour: texture, light, shadow, haze and the sensor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dvps_d2.street.camera import RayGrid
from dvps_d2.street.ground import GroundMap
from dvps_d2.street.raster import Visibility
from dvps_d2.street.scene import Scene
from dvps_d2.street.textures import Atlas


@dataclass(frozen=True, eq=False)
class Mood:
    """Weather, hour and sensor of one video; colours are RGB around 1.

    Attributes:
        sun: (3,) unit vector towards the sun in the world (y is negative: up).
        sunlight, skylight: (3,) direct and diffuse light.
        zenith, horizon: (3,) sky colours, 0..255.
        clouds: (N, N) float32 in 0..1 that repeats; cloud_colour: (3,).
        haze: metres at which two thirds of the colour is lost.
        gain, tint: exposure and white balance.
        vignette: darkening in the corners, 0..1.
        grain: standard deviation of the sensor noise, in grey levels.
        drift: relative amplitude of slow exposure changes; drift_phase: radians.
    """

    sun: np.ndarray
    sunlight: np.ndarray
    skylight: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: np.ndarray
    cloud_colour: np.ndarray
    haze: float
    gain: float
    tint: np.ndarray
    vignette: float
    grain: float
    drift: float
    drift_phase: float


def shade(
    scene: Scene,
    atlas: Atlas,
    mood: Mood,
    ground: GroundMap,
    shadow: np.ndarray,
    visibility: Visibility,
    grid: RayGrid,
    pose: np.ndarray,
    camera_from_part: np.ndarray,
) -> np.ndarray:
    """Colour of every ray.

    Args:
        shadow: the ground's shadow of this moment, on the raster of ``ground``.
        pose: (4, 4) world from camera.
        camera_from_part: (P, 4, 4).

    Returns:
        (H', W', 3) float32, 0..255 but not clipped.
    """
    surface, nearness = visibility.surface, visibility.nearness
    depth = 1 / np.maximum(nearness, 1e-3)
    x, y = grid.x * depth, grid.y[:, None] * depth
    texel, paint = _texture(scene, atlas, camera_from_part, surface, depth, (x, y), grid)
    light = _light(scene, mood, pose, camera_from_part, surface, (x, y, depth))
    _draw_ground(scene, ground, shadow, mood, surface, (x, y, depth), pose, texel, light)
    clear = np.exp(depth * (-1 / mood.haze))
    for channel in range(3):
        tint = scene.surface_tint[:, channel].astype(np.float32).take(surface)
        tint -= 1
        tint *= paint
        tint += 1
        colour = texel[channel]
        colour *= tint
        colour *= light[channel]
        fog = np.float32(mood.horizon[channel])
        colour -= fog
        colour *= clear
        colour += fog
    image = np.stack(texel, axis=-1)
    _draw_sky(image, mood, nearness, grid, pose)
    return image


def _texture(scene, atlas, camera_from_part, surface, depth, xy, grid):
    """Texels of all rays: three channels (float32, 0..255) and the paint share (0..1)."""
    # Tile coordinates are affine in the part's axes, hence affine in camera coordinates.
    part_from_camera = np.linalg.inv(camera_from_part)
    rows = np.einsum("sij,sjk->sik", scene.surface_uv, part_from_camera[scene.surface_part])
    rows = rows.astype(np.float32)
    u, v = (
        rows[:, i, 0].take(surface) * xy[0]
        + rows[:, i, 1].take(surface) * xy[1]
        + rows[:, i, 2].take(surface) * depth
        + rows[:, i, 3].take(surface)
        for i in (0, 1)
    )
    level = _detail(scene, atlas, camera_from_part, grid).take(surface)
    level += 1.5 * np.log2(depth)
    left = atlas.left[scene.surface_tile].take(surface)
    rgba = atlas.sample(left, u, v, level).astype(np.float32)
    paint = rgba[..., 3] * np.float32(1 / 255)
    channels = [np.ascontiguousarray(rgba[..., c]) for c in range(3)]
    variation = scene.surface_variation.astype(np.float32).take(surface)
    cell = (np.floor(u) * 7 + np.floor(v) * 13).astype(np.int32) & 63
    variation *= _CELL_TONES.take(cell)
    variation *= 1 - paint  # the panes differ, not the wall around them
    variation += 1
    for channel in channels:
        channel *= variation
    return channels, paint


_CELL_TONES = np.random.default_rng(5).uniform(-1, 1, 64).astype(np.float32)


def _detail(scene: Scene, atlas: Atlas, camera_from_part: np.ndarray, grid: RayGrid) -> np.ndarray:
    """(S,) float32 such that level of detail = this + 1.5 log2(depth).

    A face seen at an angle is foreshortened by about offset / depth, in one direction only; the
    level follows the geometric mean of the two directions.
    """
    pose = camera_from_part[scene.surface_part]
    texels = scene.surface_repeats * atlas.size[0] / grid.intrinsics.focal * grid.step
    facing = np.ones(len(texels))
    faces = scene.plane_surface
    normal = np.einsum("kij,kj->ki", pose[faces, :3, :3], scene.planes[:, :3])
    offset = scene.planes[:, 3] - np.einsum("ki,ki->k", normal, pose[faces, :3, 3])
    facing[faces] = np.maximum(np.abs(offset), 0.05)
    balls = scene.ball_surface
    depth = np.einsum("ej,ej->e", pose[balls, 2, :3], scene.ball_centre) + pose[balls, 2, 3]
    facing[balls] = np.maximum(depth, 0.5)  # seen face on: its offset is its depth
    return np.log2(texels / np.sqrt(facing)).astype(np.float32)


def _light(scene, mood, pose, camera_from_part, surface, xyz) -> list[np.ndarray]:
    """Lambert light of all rays, one array per channel."""
    turn = pose[:3, :3]
    world_turn = turn @ camera_from_part[scene.surface_part, :3, :3]
    normal = np.einsum("sij,sj->si", world_turn, scene.surface_normal)
    table = _lambert(mood, normal).astype(np.float32)
    light = [table[:, c].take(surface) for c in range(3)]
    ball = scene.surface_ball.take(surface)
    where = np.flatnonzero(ball >= 0)
    if len(where):
        ball = ball.ravel()[where]
        part = camera_from_part[scene.ball_part]
        axes = scene.ball_axes @ np.swapaxes(part[:, :3, :3], 1, 2)
        centre = np.einsum("eij,ej->ei", part[:, :3, :3], scene.ball_centre) + part[:, :3, 3]
        # Normal of |M (P - c)| = 1 is M^T M (P - c), here brought to world axes.
        bend = (turn @ np.swapaxes(axes, 1, 2) @ axes).astype(np.float32)
        shift = np.einsum("eij,ej->ei", bend, centre).astype(np.float32)
        point = np.stack([a.ravel()[where] for a in xyz], axis=1)
        normal = np.einsum("nij,nj->ni", bend[ball], point) - shift[ball]
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        bright = _lambert(mood, normal)
        for channel in range(3):
            light[channel].ravel()[where] = bright[:, channel]
    return light


def _lambert(mood: Mood, normal: np.ndarray) -> np.ndarray:
    """(N, 3) light on surfaces with world normals (N, 3): sky dome, then sun."""
    dome = 0.72 - 0.28 * normal[:, 1:2]
    sun = np.maximum(normal @ mood.sun.astype(normal.dtype), 0)[:, None]
    return dome * mood.skylight + sun * mood.sunlight


def _draw_ground(scene, ground, shadow, mood, surface, xyz, pose, texel, light) -> None:
    """Paint marks on the road and darken what lies in shadow (in place)."""
    flat = scene.surface_ground.take(surface)
    rows = np.flatnonzero(flat.any(axis=1))
    if not len(rows):
        return
    band = slice(rows[0], len(flat))
    x, y, z = (a[band] for a in xyz)
    world_x = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
    world_z = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
    world_x, world_z = world_x.astype(np.float32), world_z.astype(np.float32)
    flat = flat[band]
    road = (surface[band] == ground.road_surface) & flat
    marks = ground.sample_marks(world_x, world_z, z) * road
    shade = 1 - ground.sample(shadow, world_x, world_z) * flat
    dirt = 1 + (ground.sample(ground.dirt, world_x, world_z) - 0.5) * 0.35 * flat
    up = _lambert(mood, np.array([[0.0, -1.0, 0.0]]))[0]
    for channel in range(3):
        part = texel[channel][band]
        part *= dirt * (1 - marks)
        part += marks * (235 / scene.surface_tint[ground.road_surface, channel])
        # Shadow takes the sun away and some of the sky.
        direct = mood.sunlight[channel] * max(-mood.sun[1], 0)
        floor = (up[channel] - direct) * 0.62 / up[channel]
        light[channel][band] *= np.float32(floor) + np.float32(1 - floor) * shade


def _draw_sky(image, mood: Mood, nearness, grid: RayGrid, pose: np.ndarray) -> None:
    """Gradient and clouds on a flat ceiling (in place)."""
    sky = nearness <= 0
    rows = np.flatnonzero(sky.any(axis=1))
    if not len(rows):
        return
    band = slice(0, rows[-1] + 1)
    x, y = grid.x[None], grid.y[band, None]
    turn = pose[:3, :3].astype(np.float32)
    east, down, north = (turn[i, 0] * x + turn[i, 1] * y + turn[i, 2] for i in range(3))
    rise = np.maximum(-down / np.sqrt(east**2 + north**2 + 1e-6), 0.0)
    fade = np.minimum(rise / 0.45, 1)
    scale = len(mood.clouds) * 0.16 / (rise + 0.12)
    size = len(mood.clouds)
    column = np.mod(east * scale, size - 1).astype(np.float32)
    row = np.mod(north * scale, size - 1).astype(np.float32)
    cloud = cv2.remap(mood.clouds, column, row, cv2.INTER_LINEAR)
    cloud *= np.minimum(rise / 0.08, 1)
    for channel in range(3):
        low, high, white = (
            float(c[channel]) for c in (mood.horizon, mood.zenith, mood.cloud_colour)
        )
        colour = low + (high - low) * fade
        colour += (white - colour) * cloud
        np.copyto(image[band, :, channel], colour, where=sky[band])


def develop(
    image: np.ndarray, mood: Mood, noise: float, halve: bool, seconds: float, rng
) -> np.ndarray:
    """From ray colours to the picture: average, expose, add grain.

    Args:
        image: (2H+1, 2W+1, 3) with ``halve``, else (H, W, 3), float32.
        noise: multiplies grain and exposure drift.
        halve: average over half-pixel steps with the 3 x 3 binomial kernel.

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
        image += rng.standard_normal(image.shape, np.float32) * np.float32(noise * mood.grain)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
