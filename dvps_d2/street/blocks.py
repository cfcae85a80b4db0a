"""The town along the street: what stands and lies between the side streets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street import scenery
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import StreetConfig
from dvps_d2.street.ground import GroundPainter
from dvps_d2.street.scene import scaled

_FURNITURE_AHEAD = 115.0  # metres ahead of the last camera position that lamp posts and trees go


@dataclass(frozen=True)
class StreetPlan:
    """The measures that houses and traffic keep to; metres and metres per second.

    Attributes:
        road_half: distance of the kerbs from x = 0.
        parking: cars stand along the kerbs.
        walk: width of the sidewalks.
        ego_x, ego_speed: lane position and speed of the camera.
        crossings: z of the side streets; crossing_half: half their width.
    """

    road_half: float
    parking: bool
    walk: float
    ego_x: float
    ego_speed: float
    crossings: tuple[float, ...]
    crossing_half: float

    @property
    def park_x(self) -> float:
        """Where parked cars stand, metres from x = 0."""
        return self.road_half - 1.12

    def in_crossing(self, z: float, margin: float = 0.0) -> bool:
        """Whether z lies in a side street, or within ``margin`` metres of one."""
        return any(abs(z - centre) < self.crossing_half + margin for centre in self.crossings)

    @property
    def cycle_x(self) -> float:
        """Where cyclists ride, metres from x = 0."""
        return self.road_half - (2.75 if self.parking else 0.75)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Builds the blocks of houses with their sidewalks and furniture."""

    builder: SceneBuilder
    painter: GroundPainter
    plan: StreetPlan
    config: StreetConfig
    rng: np.random.Generator

    def add_all(self, first: float, last: float) -> None:
        """Sidewalks, houses and greenery between the side streets, on both sides."""
        plan, rng = self.plan, self.rng
        edges = [first]
        for centre in plan.crossings:
            edges += [centre - plan.crossing_half, centre + plan.crossing_half]
        edges.append(last)
        paving = scaled((1.0, 0.98, 0.95), rng.uniform(0.56, 0.74))
        grass = scaled((0.95, 1.0, 0.75), rng.uniform(0.42, 0.6))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            self._paint_lanes(start, end)
            for side in (-1, 1):
                verge = float(rng.choice([0.0, rng.uniform(1.0, 2.2)]))
                walk = plan.walk + verge
                scenery.add_block_ground(
                    self.builder, side, plan.road_half, walk, (start, end), paving, grass, verge
                )
                self._add_houses(side, plan.road_half + walk, start, end)
                self._add_furniture(side, start, end, verge)

    def _paint_lanes(self, start: float, end: float) -> None:
        """Centre dashes, edge lines, a stop line and a zebra at each end of a block."""
        painter, plan = self.painter, self.plan
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
            painter.line(x, (low, max(low, high)), 0.85)
        for bar in np.arange(-plan.road_half + 0.35, plan.road_half - 0.5, 1.0):
            for z in (start + 0.6, end - 3.6):
                if low <= z < high - 3:
                    painter.line((bar, bar + 0.5), (z, z + 3.0))
        if low < end - 5 < high:
            painter.line((0.2, edge - 0.3), (end - 5.0, end - 4.6))

    def _add_houses(self, side: int, walk_end: float, start: float, end: float) -> None:
        """Houses shoulder to shoulder with gaps, gardens and setbacks."""
        builder, rng = self.builder, self.rng
        tall = rng.random() < 0.55
        z = start + rng.uniform(0.3, 2.0)
        while z < end - 6:
            width = float(rng.uniform(8, 18))
            stop = min(z + width, end - 0.4)
            if rng.random() < 0.14:  # a garden instead of a house
                scenery.add_hedge(
                    builder, rng, scenery.sided(side, walk_end + 0.2, walk_end + 1.0), (z, stop)
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
                    hedge = scenery.sided(side, walk_end + 0.15, walk_end + 0.75)
                    scenery.add_hedge(builder, rng, hedge, (z + 0.5, stop - 1.5))
            z = stop + float(rng.choice([0.0, 0.0, rng.uniform(1.5, 4.0)]))

    def _add_furniture(self, side: int, start: float, end: float, verge: float) -> None:
        """Trees, lamp posts and signs along the kerb."""
        builder, rng, plan, config = self.builder, self.rng, self.plan, self.config
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
                    scenery.add_conifer(builder, side * (kerb + 0.4), z, rng.uniform(0.9, 1.4))
                else:
                    scenery.add_tree(builder, rng, side * (kerb + 0.4), z, rng.uniform(0.8, 1.25))
            elif verge > 0 and rng.random() < 0.5:
                scenery.add_bush(builder, rng, side * (kerb + 0.3), z)
            turn += 1
            z += step * rng.uniform(0.8, 1.25)

    def add_backdrop(self, z: float) -> None:
        """The street does not end in emptiness: a line of trees and roofs closes the view."""
        builder, rng = self.builder, self.rng
        for x in np.arange(-70, 71, 9.0):
            if rng.random() < 0.45:
                scenery.add_building(
                    builder, rng, 1, x, (z + 8, z + 20), int(rng.integers(2, 7)), 9.0
                )
            else:
                scenery.add_tree(
                    builder,
                    rng,
                    x + rng.uniform(-3, 3),
                    z + rng.uniform(-6, 6),
                    rng.uniform(1.6, 2.8),
                )
