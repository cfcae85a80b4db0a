"""Who is in the street, and where everybody goes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dvps_d2.street import models
from dvps_d2.street.blocks import StreetPlan
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import BICYCLE, BUS, CAR, PERSON, TRUCK, StreetConfig
from dvps_d2.street.models import Look, Motion
from dvps_d2.street.scenery import KERB

# Half length and half width (metres, with a margin) that others keep clear of.
_FOOTPRINT = {
    CAR: (2.6, 1.05),
    TRUCK: (4.9, 1.35),
    BUS: (6.3, 1.4),
    PERSON: (0.4, 0.4),
    BICYCLE: (1.1, 0.4),
}
_TRIES = 30
_GROUP_EVERY = 14.0  # metres of the camera's way
# Metres ahead of the camera at which people and cyclists are met: near enough to be seen well.
_PEOPLE_RANGE, _CYCLE_RANGE = (6.5, 13.0), (6.5, 12.0)


def half_sizes(motion: Motion, half_long: float, half_wide: float) -> tuple[float, float]:
    """Half sizes in x and z of what moves or faces along one of them."""
    sideways = abs(np.sin(motion.heading)) > 0.7
    return (half_long, half_wide) if sideways else (half_wide, half_long)


@dataclass(eq=False)
class _Traffic:
    """Places things one by one, refusing those that would run into another."""

    builder: SceneBuilder
    plan: StreetPlan
    config: StreetConfig
    rng: np.random.Generator
    taken: list[tuple[Motion, float, float]] = field(default_factory=list)
    looks: dict[int, Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.times = np.linspace(0, self.config.duration, 2 * self.config.frames + 1)
        ego = Motion(self.plan.ego_x, 0.0, 0.0, self.plan.ego_speed)
        self.taken.append((ego, 3.5, 1.0))

    def is_free(self, motion: Motion, half_long: float, half_wide: float) -> bool:
        """Whether a thing of this size never comes into another one's place."""
        half_x, half_z = half_sizes(motion, half_long, half_wide)
        for other, *size in self.taken:
            other_x, other_z = half_sizes(other, *size)
            gap_x = np.abs(motion.x - other.x + (motion.vx - other.vx) * self.times)
            gap_z = np.abs(motion.z - other.z + (motion.vz - other.vz) * self.times)
            if ((gap_x < half_x + other_x) & (gap_z < half_z + other_z)).any():
                return False
        return True

    def look(self, class_id: int) -> Look:
        """A fresh look, or a neighbour's with probability ``look_alike``."""
        known = self.looks.get(class_id)
        if known is None or self.rng.random() >= self.config.look_alike:
            self.looks[class_id] = models.random_look(self.rng, class_id)
        return self.looks[class_id]

    def place(self, class_id: int, motion: Motion, *, rider: bool = False) -> bool:
        """Add a thing unless its way is blocked."""
        size = _FOOTPRINT[class_id]
        if not self.is_free(motion, *size):
            return False
        self.taken.append((motion, *size))
        look, phase = self.look(class_id), float(self.rng.uniform(0, 2 * np.pi))
        if class_id == PERSON:
            models.add_person(self.builder, motion, look, phase)
        elif class_id == BICYCLE:
            models.add_bicycle(self.builder, motion, look)
            if rider:
                models.add_rider(self.builder, motion, self.look(PERSON), phase)
        else:
            add = {CAR: models.add_car, TRUCK: models.add_truck, BUS: models.add_bus}[class_id]
            add(self.builder, motion, look)
        return True

    def seen_at(self, moment: float, distance: float) -> float:
        """World z that is ``distance`` ahead of the camera at ``moment``."""
        return self.plan.ego_speed * moment + distance

    def through(
        self, x: float, z: float, vx: float, vz: float, moment: float, height: float = 0.0
    ) -> Motion:
        """The motion that passes (x, z) at ``moment``."""
        return Motion(x - vx * moment, z - vz * moment, vx, vz, height=height)


def add_traffic(
    builder: SceneBuilder, plan: StreetPlan, config: StreetConfig, rng: np.random.Generator
) -> list[tuple[Motion, float, float]]:
    """Fill the street for the whole video.

    Things are placed by when and where they are seen: every 14 m of the camera's way brings a new
    group, so that long videos stay populated and short ones are not crowded by what is never seen.

    Returns:
        The camera and all things: motion, half length and half width in metres.
    """
    traffic = _Traffic(builder, plan, config, rng)
    _lead(traffic)
    groups = 1 + int(plan.ego_speed * config.duration / _GROUP_EVERY)
    for group in range(groups):
        moment = config.duration * (group + 0.5) / groups
        _oncoming(traffic, moment)
        _people(traffic, moment)
        _cyclists(traffic, moment)
        _crossing(traffic, moment)
    _parked(traffic)
    return traffic.taken


def _vehicle_class(rng: np.random.Generator, heavy: float = 0.36) -> int:
    draw = rng.random()
    return TRUCK if draw < 0.45 * heavy else BUS if draw < heavy else CAR


def _lead(traffic: _Traffic) -> None:
    """One or two vehicles ahead in the camera's lane, never slow enough to be hit."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    gap = float(rng.uniform(11, 24))
    for _ in range(1 + int(rng.random() < 0.3 + 0.5 * config.crowding)):
        slack = min(0.25 * plan.ego_speed, (gap - 9) / config.duration)
        vz = plan.ego_speed + float(rng.uniform(-slack, 0.25 * plan.ego_speed))
        x = plan.ego_x + float(rng.normal(0, 0.12))
        if rng.random() < 0.8:
            traffic.place(_vehicle_class(rng), Motion(x, gap, 0.0, vz))
        gap += float(rng.uniform(10, 16))


def _oncoming(traffic: _Traffic, moment: float) -> None:
    """Vehicles in the other lane."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    count = int(rng.binomial(3, 0.4 + 0.35 * config.crowding))
    for _ in range(count):
        vz = -config.speed * 7.0
        x = -plan.ego_x + float(rng.normal(0, 0.12))
        z = traffic.seen_at(moment, float(rng.uniform(9, 32)))
        traffic.place(_vehicle_class(rng), traffic.through(x, z, 0.0, vz, moment))


def _people(traffic: _Traffic, moment: float) -> None:
    """Pedestrians on the sidewalks and in the road, close enough to be seen well."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    count = int(rng.poisson(1.3 + 4.5 * config.crowding))
    for _ in range(count):
        for _ in range(_TRIES):
            distance = float(rng.uniform(*_PEOPLE_RANGE))
            pace = config.speed * float(rng.choice([0.0, 1.0, 1.3, 1.6]))
            crosses = rng.random() < 0.22 + 0.25 * config.crossing
            if crosses:
                x = float(rng.uniform(-plan.road_half, plan.road_half))
                motion = (max(pace, 1.0) * rng.choice([-1, 1]), 0.0)
            else:
                side = float(rng.choice([-1, 1, 1]))
                x = side * (plan.road_half + rng.uniform(0.5, plan.walk - 0.3))
                motion = (0.0, pace * rng.choice([-1, 1]))
            if abs(x - plan.ego_x) > 0.42 * distance:
                continue
            z = traffic.seen_at(moment, distance)
            height = 0.0 if crosses or plan.in_crossing(z) else KERB
            way = traffic.through(x, z, float(motion[0]), float(motion[1]), moment, height)
            if way.speed == 0:
                way = replace(way, facing=float(rng.uniform(0, 2 * np.pi)))
            if traffic.place(PERSON, way):
                break


def _cyclists(traffic: _Traffic, moment: float) -> None:
    """Riders along the kerb or across the road, and bicycles left standing."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    count = int(rng.poisson(1.0 + 1.2 * config.crowding))
    for _ in range(count):
        for _ in range(_TRIES):
            distance = float(rng.uniform(*_CYCLE_RANGE))
            z = traffic.seen_at(moment, distance)
            pace = config.speed * float(rng.uniform(3.0, 6.5))
            kind = rng.random()
            if kind < 0.2 + 0.25 * config.crossing:
                x = float(rng.uniform(-plan.road_half, plan.road_half))
                way = traffic.through(x, z, 0.6 * pace * float(rng.choice([-1, 1])), 0.0, moment)
            elif kind < 0.75:
                x = plan.cycle_x + float(rng.normal(0, 0.15))
                way = traffic.through(x, z, 0.0, pace, moment)
            else:
                x = -plan.cycle_x + float(rng.normal(0, 0.15))
                way = traffic.through(x, z, 0.0, -pace, moment)
            if abs(x - plan.ego_x) < 0.44 * distance and traffic.place(BICYCLE, way, rider=True):
                break
    if rng.random() < 0.45:
        side = float(rng.choice([-1, 1]))
        x, z = side * (plan.road_half + 0.6), traffic.seen_at(moment, float(rng.uniform(9, 16)))
        facing = float(rng.choice([0.4, 1.2, 1.57]))
        if not plan.in_crossing(z):
            traffic.place(BICYCLE, Motion(x, z, facing=facing, height=KERB))


def _crossing(traffic: _Traffic, moment: float) -> None:
    """Vehicles in the side streets."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    here = traffic.seen_at(moment, 0.0)
    for centre in plan.crossings:
        if not 12 < centre - here < 45 or rng.random() > 0.25 + 0.6 * config.crossing:
            continue
        side = float(rng.choice([-1, 1]))
        vx = config.speed * float(rng.uniform(4, 7)) * side
        x = float(rng.uniform(-9, 9))
        way = traffic.through(x, centre + 1.8 * side, vx, 0.0, moment)
        traffic.place(_vehicle_class(rng, 0.3), way)


def _parked(traffic: _Traffic) -> None:
    """Rows of cars along the kerbs."""
    rng, plan, config = traffic.rng, traffic.plan, traffic.config
    if not plan.parking:
        return
    end = traffic.seen_at(config.duration, 45.0)
    for side in (-1, 1):
        density = float(rng.uniform(0.25, 0.5)) + 0.35 * config.crowding
        z = -4.0 + float(rng.uniform(0, 4))
        while z < end:
            if not plan.in_crossing(z, margin=6) and rng.random() < density:
                kind = _vehicle_class(rng, 0.08)
                facing = 0.0 if side > 0 else np.pi
                spot = Motion(side * plan.park_x + float(rng.normal(0, 0.06)), z, facing=facing)
                traffic.place(TRUCK if kind == TRUCK else CAR, spot)
            z += float(rng.uniform(5.4, 6.4))
