"""One street: its blocks, its furniture, its traffic, its weather. All choices are drawn here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street import scenery
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.camera import CameraPath, Intrinsics
from dvps_d2.street.config import ROAD, StreetConfig
from dvps_d2.street.ground import GroundMap, GroundPainter, ShadowCaster
from dvps_d2.street.noise import drawn_noise
from dvps_d2.street.scene import Label, Scene, Skin
from dvps_d2.street.shade import Mood
from dvps_d2.street.textures import build_atlas
from dvps_d2.street.traffic import StreetPlan, add_traffic

# Metres of street behind the first and ahead of the last camera position, and how far the small
# things along the kerb go.
_BEHIND, _AHEAD, _FURNITURE_AHEAD = 12.0, 165.0, 115.0


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
    mood = _draw_mood(rng)
    plan = _draw_plan(config, rng)
    path = _draw_path(plan, rng)
    last = plan.ego_speed * config.duration + _AHEAD
    painter = GroundPainter(-_BEHIND, last, plan.road_half, 26.0)
    tone = float(rng.uniform(0.34, 0.46))
    warm = float(rng.uniform(0.96, 1.05))
    road = builder.ground(
        Label(ROAD), Skin("asphalt", (tone * warm, tone, tone / warm), (3.0, 3.0))
    )
    _add_blocks(builder, painter, plan, config, rng, last)
    _add_backdrop(builder, rng, last)
    add_traffic(builder, plan, config, rng)
    scene = builder.build()
    ground = painter.finish(rng, path.start[1], intrinsics.focal, road)
    shadows = ShadowCaster(scene, mood.sun, float(np.clip(mood.sunlight.mean() * 2.4, 0.15, 1)))
    ground.shadow[:] = shadows.static(ground, scene.part_poses(0.0))
    return World(scene, path, intrinsics, ground, mood, shadows)


def _draw_intrinsics(config: StreetConfig, rng) -> Intrinsics:
    return Intrinsics(
        focal=config.focal * config.width,
        centre_u=(config.width - 1) / 2,
        centre_v=(config.height - 1) * float(rng.uniform(0.42, 0.46)),
    )


def _draw_plan(config: StreetConfig, rng) -> StreetPlan:
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


def _draw_path(plan: StreetPlan, rng) -> CameraPath:
    return CameraPath(
        start=(plan.ego_x, float(rng.uniform(1.35, 1.6)), 0.0),
        speed=plan.ego_speed,
        yaw=float(rng.normal(0, 0.02)),
        pitch=float(rng.normal(0, 0.006)),
        sway=(0.08, 0.012, 0.004),
        rate=float(rng.uniform(0.8, 1.8)),
        phase=tuple(rng.uniform(0, 2 * np.pi, 3).tolist()),
    )


def _draw_mood(rng) -> Mood:
    """Sunny, hazy, overcast or late afternoon."""
    kind = int(rng.choice(4, p=[0.4, 0.2, 0.25, 0.15]))
    zenith, horizon, cover, sunlight, skylight, haze, high = (
        (
            (92, 142, 214),
            (196, 216, 236),
            0.5,
            (0.62, 0.58, 0.5),
            (0.6, 0.64, 0.7),
            330,
            (0.6, 1.1),
        ),
        (
            (150, 180, 214),
            (222, 226, 226),
            0.6,
            (0.42, 0.4, 0.34),
            (0.7, 0.71, 0.72),
            170,
            (0.5, 1.0),
        ),
        (
            (172, 180, 190),
            (212, 214, 216),
            0.95,
            (0.1, 0.1, 0.1),
            (0.82, 0.83, 0.85),
            230,
            (0.8, 1.2),
        ),
        (
            (110, 140, 196),
            (246, 214, 168),
            0.45,
            (0.74, 0.55, 0.34),
            (0.5, 0.52, 0.6),
            240,
            (0.28, 0.45),
        ),
    )[kind]
    azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(*high)
    sun = np.array([np.sin(azimuth) * np.cos(rise), -np.sin(rise), np.cos(azimuth) * np.cos(rise)])
    noise = drawn_noise(rng, 256, 5, 5)
    clouds = np.clip((noise - (1 - cover) * 0.75) * 2.2, 0, 1).astype(np.float32)
    shift = rng.uniform(-0.035, 0.035)
    return Mood(
        sun=sun,
        sunlight=np.array(sunlight),
        skylight=np.array(skylight),
        zenith=np.array(zenith, float),
        horizon=np.array(horizon, float),
        clouds=clouds,
        cloud_colour=np.array((242, 243, 246.0)) * (0.9 if kind == 2 else 1.0),
        haze=haze * float(rng.uniform(0.8, 1.3)),
        gain=float(rng.uniform(0.95, 1.2)),
        tint=np.array([1 + shift, 1.0, 1 - shift]),
        vignette=float(rng.uniform(0.04, 0.2)),
        grain=float(rng.uniform(1.2, 4.0)),
        drift=0.03,
        drift_phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _add_blocks(builder, painter, plan: StreetPlan, config, rng, last: float) -> None:
    """Sidewalks, houses and greenery between the side streets, on both sides."""
    edges = [-_BEHIND - 20.0]
    for centre in plan.crossings:
        edges += [centre - plan.crossing_half, centre + plan.crossing_half]
    edges.append(last + 30)
    paving = tuple((rng.uniform(0.56, 0.74) * np.array([1.0, 0.98, 0.95])).tolist())
    grass = tuple((rng.uniform(0.42, 0.6) * np.array([0.95, 1.0, 0.75])).tolist())
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        _paint_lanes(painter, plan, start, end)
        for side in (-1, 1):
            verge = float(rng.choice([0.0, rng.uniform(1.0, 2.2)]))
            walk = plan.walk + verge
            scenery.add_block_ground(
                builder, side, plan.road_half, walk, (start, end), paving, grass, verge
            )
            _add_houses(builder, rng, side, plan.road_half + walk, start, end)
            _add_furniture(builder, rng, plan, config, side, start, end, verge)


def _paint_lanes(painter: GroundPainter, plan: StreetPlan, start: float, end: float) -> None:
    """Centre dashes, edge lines, a stop line and a zebra at each end of a block."""
    low, high = (
        max(start, painter.first),
        min(end, painter.first + len(painter.marks) / painter.along),
    )
    edge = plan.road_half - (2.25 if plan.parking else 0.22)
    for z in np.arange(np.ceil((start + 6) / 6) * 6, end - 8, 6.0):
        if low < z < high - 3:
            painter.line((-0.075, 0.075), (z, z + 3.0))
    for side in (-1, 1):
        x = sorted((side * edge, side * (edge - 0.13)))
        painter.line(tuple(x), (low, max(low, high)), 0.85)
    for bar in np.arange(-plan.road_half + 0.35, plan.road_half - 0.5, 1.0):
        for z in (start + 0.6, end - 3.6):
            if low <= z < high - 3:
                painter.line((bar, bar + 0.5), (z, z + 3.0))
    if low < end - 5 < high:
        painter.line((0.2, edge - 0.3), (end - 5.0, end - 4.6))


def _add_houses(builder, rng, side: int, walk_end: float, start: float, end: float) -> None:
    """Houses shoulder to shoulder with gaps, gardens and setbacks."""
    tall = rng.random() < 0.55
    z = start + rng.uniform(0.3, 2.0)
    while z < end - 6:
        width = float(rng.uniform(8, 18))
        stop = min(z + width, end - 0.4)
        if rng.random() < 0.14:  # a garden instead of a house
            scenery.add_hedge(
                builder, rng, _between(side, walk_end + 0.2, walk_end + 1.0), (z, stop)
            )
            for _ in range(int(rng.integers(1, 4))):
                x = side * (walk_end + rng.uniform(2.5, 7))
                scenery.add_tree(builder, rng, x, rng.uniform(z, stop), rng.uniform(0.9, 1.7))
        else:
            setback = float(rng.choice([0.0, 0.0, rng.uniform(0.5, 1.5), rng.uniform(3, 5)]))
            storeys = int(rng.integers(3, 7) if tall else rng.integers(1, 4))
            front = walk_end + setback
            scenery.add_building(
                builder, rng, side, front, (z, stop), storeys, float(rng.uniform(9, 14))
            )
            if setback > 2 and rng.random() < 0.7:
                hedge = _between(side, walk_end + 0.15, walk_end + 0.75)
                scenery.add_hedge(builder, rng, hedge, (z + 0.5, stop - 1.5))
        z = stop + float(rng.choice([0.0, 0.0, rng.uniform(1.5, 4.0)]))


def _between(side: int, near: float, far: float) -> tuple[float, float]:
    return (near, far) if side > 0 else (-far, -near)


def _add_furniture(builder, rng, plan, config, side, start, end, verge) -> None:
    """Trees, lamp posts and signs along the kerb."""
    kerb = plan.road_half + 0.45
    trees = rng.random() < 0.5 + 0.3 * config.occlusion
    step = float(rng.uniform(7, 12) - 2.5 * config.occlusion)
    z = start + rng.uniform(3, 8)
    turn = int(rng.integers(3))
    end = min(end, plan.ego_speed * config.duration + _FURNITURE_AHEAD)
    while z < end - 3:
        slot = turn % 3
        if slot == 0:
            scenery.add_lamp_post(builder, side * kerb, z, side)
        elif slot == 1 and (side > 0 or rng.random() < 0.6):
            scenery.add_sign(builder, rng, side * kerb, z)
        elif trees:
            if rng.random() < 0.2:
                scenery.add_conifer(builder, rng, side * (kerb + 0.4), z, rng.uniform(0.9, 1.4))
            else:
                scenery.add_tree(builder, rng, side * (kerb + 0.4), z, rng.uniform(0.8, 1.25))
        elif verge > 0 and rng.random() < 0.5:
            scenery.add_bush(builder, rng, side * (kerb + 0.3), z)
        turn += 1
        z += step * rng.uniform(0.8, 1.25)


def _add_backdrop(builder, rng, last: float) -> None:
    """The street does not end in emptiness: a line of trees and roofs closes the view."""
    z = last - 45
    for x in np.arange(-70, 71, 9.0):
        if rng.random() < 0.45:
            scenery.add_building(builder, rng, 1, x, (z + 8, z + 20), int(rng.integers(2, 7)), 9.0)
        else:
            scenery.add_tree(
                builder, rng, x + rng.uniform(-3, 3), z + rng.uniform(-6, 6), rng.uniform(1.6, 2.8)
            )
