"""Things: vehicles, people, cyclists. Dimensions in metres, heights above the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import BICYCLE, BUS, CAR, PERSON, RIDER, TRUCK
from dvps_d2.street.scene import Colour, Hinge, Label, Point, Skin

# Small parts are left out beyond these distances.
_WHEEL_REACH = 45.0
_LIMB_REACH = 60.0

CAR_COLOURS: tuple[Colour, ...] = (
    (0.93, 0.93, 0.92),
    (0.72, 0.73, 0.75),
    (0.45, 0.46, 0.48),
    (0.16, 0.16, 0.18),
    (0.11, 0.16, 0.36),
    (0.16, 0.3, 0.6),
    (0.58, 0.1, 0.1),
    (0.78, 0.16, 0.12),
    (0.2, 0.36, 0.28),
    (0.5, 0.42, 0.32),
    (0.86, 0.66, 0.16),
    (0.2, 0.46, 0.52),
)
BUS_COLOURS: tuple[Colour, ...] = (
    (0.86, 0.66, 0.12),
    (0.76, 0.14, 0.12),
    (0.86, 0.86, 0.84),
    (0.16, 0.42, 0.7),
    (0.2, 0.5, 0.34),
)
CLOTHES: tuple[Colour, ...] = (
    (0.75, 0.16, 0.16),
    (0.16, 0.28, 0.6),
    (0.9, 0.9, 0.88),
    (0.14, 0.14, 0.16),
    (0.26, 0.42, 0.3),
    (0.86, 0.66, 0.22),
    (0.5, 0.3, 0.5),
    (0.5, 0.5, 0.52),
    (0.85, 0.5, 0.42),
    (0.3, 0.55, 0.66),
)
TROUSERS: tuple[Colour, ...] = (
    (0.17, 0.2, 0.32),
    (0.12, 0.12, 0.14),
    (0.42, 0.38, 0.3),
    (0.3, 0.3, 0.33),
    (0.24, 0.3, 0.42),
)
SKINS: tuple[Colour, ...] = (
    (0.92, 0.74, 0.62),
    (0.82, 0.62, 0.48),
    (0.6, 0.42, 0.3),
    (0.38, 0.26, 0.19),
)
HAIR: tuple[Colour, ...] = (
    (0.12, 0.09, 0.08),
    (0.3, 0.2, 0.12),
    (0.66, 0.5, 0.28),
    (0.5, 0.48, 0.46),
)
T = TypeVar("T")
_BLACK = Skin(tint=(0.1, 0.1, 0.11))


@dataclass(frozen=True)
class Motion:
    """Where a thing is at time 0 and how it moves: a straight line, looking where it goes."""

    x: float
    z: float
    vx: float = 0.0
    vz: float = 0.0
    facing: float = 0.0  # heading when it stands still
    height: float = 0.0  # of the ground it moves on

    @property
    def speed(self) -> float:
        return float(np.hypot(self.vx, self.vz))

    @property
    def heading(self) -> float:
        return float(np.arctan2(self.vx, self.vz)) if self.speed > 0 else self.facing

    def part(self, builder: SceneBuilder, *hinges: Hinge) -> int:
        """A new part that moves this way."""
        start = (self.x, -self.height, self.z)
        return builder.add_part(start, (self.vx, 0.0, self.vz), self.heading, hinges)


@dataclass(frozen=True)
class CarShape:
    """Half length and width, belt and roof height, and the cabin's four corner positions."""

    length: float
    width: float
    belt: float
    roof: float
    hood: float
    cabin: tuple[float, float, float, float]  # z of rear foot, rear top, front top, front foot


CAR_SHAPES = {
    "hatchback": CarShape(2.0, 0.87, 0.94, 1.48, 0.8, (-1.96, -1.72, 0.3, 1.05)),
    "sedan": CarShape(2.3, 0.9, 0.95, 1.45, 0.78, (-1.75, -1.05, 0.35, 1.15)),
    "estate": CarShape(2.3, 0.9, 0.96, 1.5, 0.8, (-2.24, -2.05, 0.35, 1.15)),
    "suv": CarShape(2.25, 0.95, 1.1, 1.74, 1.02, (-2.18, -2.0, 0.4, 1.1)),
    "van": CarShape(2.35, 0.96, 1.15, 2.0, 1.02, (-2.33, -2.28, 0.85, 1.6)),
}


@dataclass(frozen=True)
class Look:
    """The choices that make two things look alike or different."""

    shape: str = "hatchback"
    colour: Colour = (0.5, 0.5, 0.5)
    second: Colour = (0.2, 0.2, 0.25)
    skin: Colour = SKINS[0]
    hair: Colour = HAIR[0]
    size: float = 1.0
    detail: int = 0


def random_look(rng: np.random.Generator, class_id: int) -> Look:
    """Draw model, colours and size for a class."""

    def pick(choices: Sequence[T]) -> T:
        return choices[int(rng.integers(len(choices)))]

    colours = {BUS: BUS_COLOURS, PERSON: CLOTHES, RIDER: CLOTHES, BICYCLE: CLOTHES}
    people = class_id in (PERSON, RIDER)
    return Look(
        shape=pick(tuple(CAR_SHAPES)),
        colour=pick(colours.get(class_id, CAR_COLOURS)),
        second=pick(TROUSERS if people else CAR_COLOURS),
        skin=pick(SKINS),
        hair=pick(HAIR),
        size=float(rng.uniform(0.93, 1.06)),
        detail=int(rng.integers(4)),
    )


def add_car(builder: SceneBuilder, motion: Motion, look: Look) -> Label:
    """Body, leaning cabin and four turning wheels."""
    label = builder.new_track(CAR)
    shape = CAR_SHAPES[look.shape]
    part = motion.part(builder)
    paint = look.colour
    long, wide = shape.length, shape.width
    body = [
        (-long, 0.26),
        (-long * 0.98, shape.belt),
        (shape.cabin[3] - 0.1, shape.belt + 0.02),
        (long * 0.97, shape.hood),
        (long, 0.26),
    ]
    skins = {
        0: Skin("car_rear", paint),
        1: Skin(tint=paint),
        2: Skin(tint=paint),
        3: Skin("car_front", paint),
        4: _BLACK,
        "sides": Skin("car_side", paint),
        "body": Skin(),
    }
    builder.prism(part, label, body, (-wide, wide), skins, lean=0.06)
    rear_foot, rear_top, front_top, front_foot = shape.cabin
    cabin = [
        (rear_foot, shape.belt - 0.05),
        (rear_top, shape.roof - 0.02),
        (front_top, shape.roof),
        (front_foot, shape.belt - 0.05),
    ]
    glass = {
        0: Skin("glass_end", paint),
        1: Skin(tint=paint),
        2: Skin("glass_end", paint),
        3: _BLACK,
        "sides": Skin("glass_side", paint),
        "body": Skin(),
    }
    builder.prism(part, label, cabin, (-wide * 0.94, wide * 0.94), glass, lean=0.17)
    _add_wheels(builder, motion, label, 0.32, wide - 0.08, (-long * 0.62, long * 0.62), 0.12)
    return label


def _add_wheels(
    builder: SceneBuilder,
    motion: Motion,
    label: Label,
    radius: float,
    half_track: float,
    axles: Sequence[float],
    half_width: float,
) -> None:
    """A pair of wheels on each axle (z), turning as the vehicle moves."""
    for z in axles:
        hub = Hinge((0.0, -radius, z), spin=-motion.speed / radius)
        part = motion.part(builder, hub)
        for x in (-half_track, half_track):
            builder.ellipsoid(
                part,
                label,
                (x, 0, 0),
                (half_width, radius, radius),
                Skin("car_wheel", sideways=True),
                reach=_WHEEL_REACH,
                shadow=False,
            )


def add_truck(builder: SceneBuilder, motion: Motion, look: Look) -> Label:
    """A cab in front of a cargo box."""
    label = builder.new_track(TRUCK)
    part = motion.part(builder)
    paint, cargo = (
        look.colour,
        ((0.9, 0.9, 0.88), (0.86, 0.84, 0.7), look.second, look.colour)[look.detail],
    )
    long = 3.0 + 0.5 * look.detail
    cab = [
        (long - 1.7, 0.45),
        (long - 1.7, 2.6),
        (long - 0.4, 2.62),
        (long - 0.02, 1.5),
        (long, 0.45),
    ]
    skins = {
        2: Skin("glass_end", paint),
        3: Skin("cab_front", paint),
        4: _BLACK,
        "sides": Skin("cab_side", paint),
        "body": Skin(tint=paint),
    }
    builder.prism(part, label, cab, (-1.1, 1.1), skins)
    box = {
        0: Skin("cargo_rear", cargo),
        2: Skin(tint=cargo),
        3: _BLACK,
        "sides": Skin("cargo_side", cargo),
        "body": Skin(tint=cargo),
    }
    top = 3.0 + 0.15 * look.detail
    builder.box(part, label, (-1.2, 1.2), (0.95, top), (-long, long - 1.85), box)
    builder.box(part, label, (-0.9, 0.9), (0.5, 0.95), (-long + 0.1, long - 1.7), _BLACK)
    axles = (-long + 1.0, -long + 2.1, long - 0.95)
    _add_wheels(builder, motion, label, 0.48, 1.0, axles, 0.16)
    return label


def add_bus(builder: SceneBuilder, motion: Motion, look: Look) -> Label:
    """One long box with a slanted windscreen."""
    label = builder.new_track(BUS)
    part = motion.part(builder)
    paint, long = look.colour, 4.6 + 0.4 * look.detail
    body = [(-long, 0.35), (-long + 0.06, 3.05), (long - 0.2, 3.08), (long, 0.35)]
    skins = {
        0: Skin("bus_rear", paint),
        1: Skin(tint=(0.88, 0.88, 0.86)),
        2: Skin("bus_front", paint),
        3: _BLACK,
        "sides": Skin("bus_side", paint),
        "body": Skin(),
    }
    builder.prism(part, label, body, (-1.25, 1.25), skins, lean=0.04)
    _add_wheels(builder, motion, label, 0.48, 1.12, (-long * 0.55, long * 0.6), 0.16)
    return label


def add_person(builder: SceneBuilder, motion: Motion, look: Look, phase: float) -> Label:
    """Torso, head and four swinging limbs."""
    label = builder.new_track(PERSON)
    size = look.size
    cloth = Skin("cloth_striped" if look.detail == 1 else "cloth", look.colour)
    trousers = Skin("cloth", look.second)
    coat = 0.16 if look.detail == 2 else 0.0
    trunk = motion.part(builder)
    sway = 0.5 * min(1.0, motion.speed / 1.2)
    rate = 2 * np.pi * max(motion.speed, 0.1) / 1.45

    def ball(part: int, centre: Point, radii: Point, skin: Skin, reach: float = np.inf) -> None:
        builder.ellipsoid(
            part,
            label,
            [c * size for c in centre],
            [r * size for r in radii],
            skin,
            reach=reach,
        )

    ball(trunk, (0, 1.2 - coat / 2, 0), (0.23, 0.33 + coat / 2, 0.15), cloth)
    ball(
        trunk,
        (0, 0.93 - coat / 2, 0),
        (0.18 + 0.2 * coat, 0.17 + coat / 2, 0.14 + 0.3 * coat),
        cloth if coat else trousers,
    )
    ball(trunk, (0, 1.62, 0.02), (0.1, 0.14, 0.115), Skin(tint=look.skin))
    ball(trunk, (0, 1.66, -0.02), (0.11, 0.125, 0.12), Skin(tint=look.hair))
    if look.detail == 3:  # a backpack
        ball(trunk, (0, 1.24, -0.2), (0.16, 0.24, 0.11), Skin(tint=look.second))
    for side in (-1, 1):
        beat = phase + (np.pi if side > 0 else 0)
        hip = Hinge((side * 0.1 * size, -0.93 * size, 0), 0.02, sway, rate, beat)
        thigh = motion.part(builder, hip)
        ball(thigh, (0, -0.22, 0), (0.09, 0.27, 0.1), trousers)
        knee = Hinge((0, 0.45 * size, 0), -0.05 - 0.7 * sway, 0.7 * sway, rate, beat + 2.2)
        shin = motion.part(builder, hip, knee)
        ball(shin, (0, -0.2, 0), (0.075, 0.27, 0.08), trousers)
        ball(shin, (0, -0.43, 0.06), (0.055, 0.05, 0.13), _BLACK, _LIMB_REACH)
        shoulder = Hinge(
            (side * 0.26 * size, -1.44 * size, 0), 0.05, 0.8 * sway, rate, beat + np.pi
        )
        arm = motion.part(builder, shoulder)
        ball(arm, (0, -0.28, 0), (0.07, 0.32, 0.075), cloth)
        ball(arm, (0, -0.6, 0.02), (0.05, 0.08, 0.05), Skin(tint=look.skin), _LIMB_REACH)
    return label


def add_bicycle(builder: SceneBuilder, motion: Motion, look: Look) -> Label:
    """Two solid wheels, a frame, a handlebar and a saddle."""
    label = builder.new_track(BICYCLE)
    paint = Skin(tint=look.colour)
    for z in (-0.53, 0.53):
        part = motion.part(builder, Hinge((0.0, -0.35, z), spin=-motion.speed / 0.35))
        builder.ellipsoid(
            part, label, (0, 0, 0), (0.06, 0.35, 0.35), Skin("cycle_wheel", sideways=True)
        )
    frame = motion.part(builder)
    builder.prism(frame, label, [(-0.2, 0.86), (0.36, 0.86), (-0.05, 0.34)], (-0.03, 0.03), paint)
    builder.ellipsoid(frame, label, (0, 0.62, -0.38), (0.03, 0.34, 0.03), paint, tilt=-0.55)
    builder.ellipsoid(frame, label, (0, 0.66, 0.46), (0.03, 0.36, 0.03), paint, tilt=0.28)
    builder.ellipsoid(frame, label, (0, 1.02, 0.38), (0.28, 0.03, 0.035), _BLACK)
    builder.ellipsoid(frame, label, (0, 0.96, -0.22), (0.09, 0.045, 0.15), _BLACK)
    if look.detail >= 1:  # bags on both sides of the rear wheel
        builder.box(frame, label, (-0.2, 0.2), (0.42, 0.78), (-0.75, -0.38), Skin(tint=look.second))
    return label


def add_rider(builder: SceneBuilder, motion: Motion, look: Look, phase: float) -> Label:
    """Somebody on a bicycle: leaning, arms on the bar, legs pedalling."""
    label = builder.new_track(RIDER)
    cloth, trousers = Skin("cloth", look.colour), Skin("cloth", look.second)
    skin = Skin(tint=look.skin)
    helmet = Skin(tint=look.hair if look.detail % 2 else (0.88, 0.88, 0.3))
    trunk = motion.part(builder)
    builder.ellipsoid(trunk, label, (0, 1.3, -0.06), (0.22, 0.36, 0.16), cloth, tilt=-0.3)
    builder.ellipsoid(trunk, label, (0, 1.02, -0.2), (0.18, 0.15, 0.17), trousers)
    builder.ellipsoid(trunk, label, (0, 1.74, 0.1), (0.1, 0.14, 0.12), skin)
    builder.ellipsoid(trunk, label, (0, 1.8, 0.07), (0.125, 0.11, 0.145), helmet)
    rate = 2 * np.pi * max(motion.speed, 0.5) / 5.0
    for side in (-1, 1):
        builder.ellipsoid(
            trunk,
            label,
            (side * 0.25, 1.26, 0.18),
            (0.06, 0.33, 0.07),
            cloth,
            tilt=0.75,
            reach=_LIMB_REACH,
        )
        builder.ellipsoid(
            trunk, label, (side * 0.25, 1.04, 0.38), (0.05, 0.06, 0.06), skin, reach=_LIMB_REACH
        )
        beat = phase + (np.pi if side > 0 else 0)
        hip = Hinge((side * 0.11, -1.0, -0.18), 0.85, 0.35, rate, beat)
        thigh = motion.part(builder, hip)
        builder.ellipsoid(thigh, label, (0, -0.22, 0), (0.09, 0.26, 0.1), trousers)
        knee = Hinge((0, 0.42, 0), -1.05, 0.4, rate, beat + 2.0)
        shin = motion.part(builder, hip, knee)
        builder.ellipsoid(shin, label, (0, -0.2, 0), (0.07, 0.26, 0.075), trousers)
        builder.ellipsoid(
            shin, label, (0, -0.42, 0.06), (0.05, 0.05, 0.12), _BLACK, reach=_LIMB_REACH
        )
    return label
