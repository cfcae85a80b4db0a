"""One street: its blocks, its furniture, its traffic, its weather. All choices are drawn here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street.blocks import Blocks, StreetPlan
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.camera import CameraPath, Intrinsics
from dvps_d2.street.config import ROAD, StreetConfig
from dvps_d2.street.ground import GroundMap, GroundPainter
from dvps_d2.street.mood import Mood, draw_mood
from dvps_d2.street.scene import Label, Scene, Skin
from dvps_d2.street.shadows import ShadowCaster
from dvps_d2.street.textures import build_atlas
from dvps_d2.street.traffic import add_traffic

# Metres of street behind the first and ahead of the last camera position, and to its sides.
_BEHIND, _AHEAD, _HALF_WIDTH = 12.0, 165.0, 26.0


@dataclass(frozen=True, eq=False)
class World:
    """Everything that a video is rendered from."""

    scene: Scene
    path: CameraPath
    intrinsics: Intrinsics
    ground: GroundMap
    mood: Mood
    shadows: ShadowCaster


def build_world(config: StreetConfig, seed: int) -> World:
    """Draw a street; the same (config, seed) gives the same street."""
    rng = np.random.default_rng((seed, 0x57EE7))
    atlas = build_atlas()
    intrinsics = _draw_intrinsics(config, rng)
    builder = SceneBuilder(atlas.index)
    mood = draw_mood(rng)
    plan = _draw_plan(config, rng)
    path = _draw_path(plan, rng)
    last = plan.ego_speed * config.duration + _AHEAD
    painter = GroundPainter(-_BEHIND, last, plan.road_half, _HALF_WIDTH)
    tone = float(rng.uniform(0.34, 0.46))
    warm = float(rng.uniform(0.96, 1.05))
    road = builder.ground(
        Label(ROAD), Skin("asphalt", (tone * warm, tone, tone / warm), (3.0, 3.0))
    )
    blocks = Blocks(builder, painter, plan, config, rng)
    blocks.add_all(-_BEHIND - 20, last + 30)
    blocks.add_backdrop(last - 45)
    add_traffic(builder, plan, config, rng)
    scene = builder.build()
    ground = painter.finish(rng, path.start[1], intrinsics.focal, road)
    shadows = ShadowCaster(scene, mood.sun, mood.shadow_strength)
    ground.shadow[:] = shadows.static(ground, scene.part_poses(0.0))
    return World(scene, path, intrinsics, ground, mood, shadows)


def _draw_intrinsics(config: StreetConfig, rng: np.random.Generator) -> Intrinsics:
    """One focal length for all videos, since depth is learned for one camera."""
    return Intrinsics(
        focal=config.focal * config.width,
        centre_u=(config.width - 1) / 2,
        centre_v=(config.height - 1) * float(rng.uniform(0.42, 0.46)),
    )


def _draw_plan(config: StreetConfig, rng: np.random.Generator) -> StreetPlan:
    """Widths, crossings and the camera's lane."""
    parking = bool(rng.random() < 0.45 + 0.3 * config.crowding)
    road_half = float(rng.uniform(5.6, 6.2) if parking else rng.uniform(3.7, 4.6))
    ego_speed = config.speed * float(rng.uniform(4.0, 9.0))
    length = ego_speed * config.duration + _AHEAD
    first = float(rng.uniform(18, 60))
    crossings = np.arange(first, length, float(rng.uniform(55, 85)))
    return StreetPlan(
        road_half=road_half,
        parking=parking,
        walk=float(rng.uniform(2.4, 4.2)),
        ego_x=float(rng.uniform(1.4, 1.9)),
        ego_speed=ego_speed,
        crossings=tuple(crossings.tolist()),
        crossing_half=4.0,
    )


def _draw_path(plan: StreetPlan, rng: np.random.Generator) -> CameraPath:
    """A little sway, as of a car on its springs."""
    height, yaw, pitch = rng.uniform(1.35, 1.6), rng.normal(0, 0.02), rng.normal(0, 0.006)
    rate, phase = rng.uniform(0.8, 1.8), rng.uniform(0, 2 * np.pi, 3).tolist()
    return CameraPath(
        start=(plan.ego_x, float(height), 0.0),
        speed=plan.ego_speed,
        yaw=float(yaw),
        pitch=float(pitch),
        sway=(0.08, 0.012, 0.004),
        rate=float(rate),
        phase=(phase[0], phase[1], phase[2]),
    )
