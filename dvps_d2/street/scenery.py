"""Stuff: ground slabs, buildings, trees, hedges, lamp posts and road signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import BUILDING, POLE, SIDEWALK, SIGN, TERRAIN, VEGETATION
from dvps_d2.street.scene import Colour, Label, Skin, Span, scaled

KERB = 0.14
_LEAF_REACH = 70.0  # farther trees are drawn with one crown

FACADES = ("facade_plain", "facade_brick", "facade_strip", "facade_balcony", "facade_twin")
GROUND_FLOORS = ("shop_red", "shop_green", "shop_blue", "doorway", "doorway")
PLASTER: tuple[Colour, ...] = (
    (0.88, 0.82, 0.7),
    (0.86, 0.72, 0.55),
    (0.78, 0.62, 0.52),
    (0.74, 0.74, 0.72),
    (0.9, 0.88, 0.84),
    (0.66, 0.7, 0.74),
    (0.82, 0.76, 0.6),
    (0.72, 0.56, 0.48),
)
BRICK: tuple[Colour, ...] = (
    (0.62, 0.34, 0.26),
    (0.68, 0.42, 0.32),
    (0.55, 0.36, 0.3),
    (0.7, 0.6, 0.48),
)
ROOFS: tuple[Colour, ...] = ((0.55, 0.25, 0.18), (0.36, 0.3, 0.3), (0.3, 0.32, 0.36))
LEAVES: tuple[Colour, ...] = (
    (0.36, 0.55, 0.2),
    (0.28, 0.48, 0.2),
    (0.45, 0.58, 0.22),
    (0.24, 0.42, 0.24),
    (0.5, 0.52, 0.18),
)
_METAL = (0.5, 0.52, 0.54)


def add_block_ground(
    builder: SceneBuilder,
    side: int,
    kerb_x: float,
    walk: float,
    z: tuple[float, float],
    paving: Colour,
    grass: Colour,
    verge: float,
) -> None:
    """The raised sidewalk of one block, its grass verge by the road, and the land behind.

    Args:
        side: -1 left, 1 right; kerb_x: distance of the kerb from x = 0; walk: sidewalk width.
        verge: width of the grass strip between kerb and paving, 0 for none.
    """
    stone, lawn = Skin("paving", paving, (2.4, 2.4)), Skin("grass", grass, (3.0, 3.0))
    skins = {"body": stone, "sides": Skin("kerb", (0.78, 0.77, 0.75), (1.0, 0.3))}
    x = sided(side, kerb_x, kerb_x + walk)
    builder.box(0, Label(SIDEWALK), x, (-0.5, KERB), z, skins, ground=True, shadow=False)
    behind = sided(side, kerb_x + walk, kerb_x + 80)
    builder.box(0, Label(TERRAIN), behind, (-0.5, KERB + 0.02), z, lawn, ground=True, shadow=False)
    if verge > 0:
        strip = sided(side, kerb_x + 0.25, kerb_x + 0.25 + verge)
        builder.box(
            0,
            Label(TERRAIN),
            strip,
            (-0.5, KERB + 0.04),
            (z[0] + 3, z[1] - 3),
            lawn,
            ground=True,
            shadow=False,
        )


def sided(side: int, near: float, far: float) -> Span:
    """The x range between two distances from x = 0, left (-1) or right (1)."""
    return (near, far) if side > 0 else (-far, -near)


def add_building(
    builder: SceneBuilder,
    rng: np.random.Generator,
    side: int,
    front: float,
    z: tuple[float, float],
    storeys: int,
    depth: float,
) -> None:
    """Ground floor, storeys of repeated windows, and a cornice or a gabled roof.

    Args:
        front: distance of the facade from x = 0; depth: of the house behind it.
    """
    label = Label(BUILDING)
    facade = str(rng.choice(FACADES))
    wall = _pick(rng, BRICK if facade == "facade_brick" else PLASTER)
    wall = _varied(rng, wall)
    cell_height = float(rng.uniform(2.9, 3.3))
    cell_width = (z[1] - z[0]) / max(1, round((z[1] - z[0]) / rng.uniform(2.6, 3.6)))
    base = 3.6
    top = base + storeys * cell_height
    x = sided(side, front, front + depth)
    lower = Skin(str(rng.choice(GROUND_FLOORS)), wall, (2 * cell_width, base), 0.25)
    builder.box(0, label, x, (0, base), z, lower)
    skin = Skin(facade, wall, (cell_width, cell_height), 0.3)
    roof = Skin("roof_tiles", _pick(rng, ROOFS), (3.0, 3.0))
    builder.box(0, label, x, (base, top), z, {"body": skin, 1: roof})
    trim = Skin("wall", scaled(wall, 1.12), (4.0, 4.0))
    ledge = sided(side, front - 0.12, front + depth)
    builder.box(0, label, ledge, (base - 0.12, base + 0.14), z, trim, shadow=False, reach=60)
    if storeys <= 3 and rng.random() < 0.6:
        ridge = top + depth * rng.uniform(0.28, 0.4)
        gable = [(x[0] - 0.3, top), ((x[0] + x[1]) / 2, ridge), (x[1] + 0.3, top)]
        builder.prism(0, label, gable, z, {"body": roof, "sides": trim}, along="z")
    else:
        brim = sided(side, front - 0.3, front + depth + 0.3)
        builder.box(0, label, brim, (top, top + 0.55), (z[0] - 0.15, z[1] + 0.15), trim)


def add_tree(
    builder: SceneBuilder, rng: np.random.Generator, x: float, z: float, size: float
) -> None:
    """A trunk under a heap of leafy lumps."""
    label = Label(VEGETATION)
    trunk = Skin("bark", (0.42, 0.34, 0.27), (0.6, 1.2))
    colour = _pick(rng, LEAVES)
    stem = 2.1 * size
    builder.column(0, label, x, z, 0.13 * size, (0, stem + 0.6), trunk, sides=5)
    lumps = int(rng.integers(5, 8))
    radius = 1.25 * size
    middle = stem + radius * 1.1
    leaves = Skin("leaves", colour, (2.4, 2.4))
    builder.ellipsoid(0, label, (x, middle, z), (radius, radius * 1.15, radius), leaves)
    for lump in range(lumps):
        angle = 2 * np.pi * (lump + rng.random() * 0.6) / lumps
        away, r = radius * rng.uniform(0.55, 0.8), radius * rng.uniform(0.5, 0.72)
        centre = (
            x + away * np.cos(angle),
            middle + radius * rng.uniform(-0.45, 0.75),
            z + away * np.sin(angle),
        )
        shade = rng.uniform(0.86, 1.14)
        skin = Skin("leaves", scaled(colour, shade), (2.4, 2.4))
        builder.ellipsoid(0, label, centre, (r, r * 0.9, r), skin, reach=_LEAF_REACH)


def add_conifer(builder: SceneBuilder, x: float, z: float, size: float) -> None:
    """A slim tree: one tall ellipsoid over a short stem."""
    label = Label(VEGETATION)
    colour = (0.2, 0.36, 0.22)
    builder.column(
        0, label, x, z, 0.12, (0, 1.2), Skin("bark", (0.36, 0.3, 0.25), (0.6, 1.2)), sides=5
    )
    leaves = Skin("leaves", colour, (1.8, 1.8))
    builder.ellipsoid(
        0, label, (x, 0.9 + 2.1 * size, z), (0.85 * size, 2.1 * size, 0.85 * size), leaves
    )


def add_hedge(
    builder: SceneBuilder, rng: np.random.Generator, x: tuple[float, float], z: tuple[float, float]
) -> None:
    """A trimmed hedge."""
    skin = Skin("leaves", _pick(rng, LEAVES), (1.6, 1.6))
    builder.box(0, Label(VEGETATION), x, (0, float(rng.uniform(1.0, 1.8))), z, skin)


def add_bush(builder: SceneBuilder, rng: np.random.Generator, x: float, z: float) -> None:
    """A low round shrub."""
    skin = Skin("leaves", _pick(rng, LEAVES), (1.4, 1.4))
    r = float(rng.uniform(0.5, 0.9))
    builder.ellipsoid(0, Label(VEGETATION), (x, r * 0.7, z), (r, r * 0.85, r), skin)


def add_lamp_post(
    builder: SceneBuilder, x: float, z: float, side: int, colour: Colour = _METAL
) -> None:
    """A tapering mast with an arm over the road."""
    label, skin = Label(POLE), Skin("plain", colour, (0.5, 2.0))
    builder.column(0, label, x, z, 0.17, (0, 1.1), skin)
    builder.column(0, label, x, z, 0.13, (1.1, 6.8), skin)
    arm = (x - side * 1.7, x) if side > 0 else (x, x + 1.7)
    builder.box(0, label, arm, (6.66, 6.8), (z - 0.07, z + 0.07), skin)
    head = x - side * 1.6
    builder.box(
        0,
        label,
        (head - 0.35, head + 0.35),
        (6.52, 6.68),
        (z - 0.14, z + 0.14),
        Skin(tint=(0.8, 0.8, 0.76)),
    )


def add_sign(builder: SceneBuilder, rng: np.random.Generator, x: float, z: float) -> None:
    """A board of 0.8 to 1.2 m on a post; both sides of the board look alike."""
    post, label = Label(POLE), Label(SIGN)
    tile = str(
        rng.choice(
            [
                "sign_limit",
                "sign_no_entry",
                "sign_arrow",
                "sign_parking",
                "sign_warning",
                "sign_yellow",
            ]
        )
    )
    half = float(rng.uniform(0.42, 0.58))
    low = float(rng.uniform(2.0, 2.4))
    builder.column(
        0, post, x, z, 0.1, (0, low + 0.3), Skin("plain", (0.55, 0.56, 0.58), (0.5, 2.0))
    )
    middle, z_face = low + half, (z - 0.2, z - 0.13)
    if tile == "sign_warning":
        corners = [(x - half * 1.1, low), (x + half * 1.1, low), (x, low + 1.9 * half)]
    elif tile in ("sign_parking", "sign_yellow"):
        corners = [
            (x - half, low),
            (x + half, low),
            (x + half, low + 2 * half),
            (x - half, low + 2 * half),
        ]
    else:
        angles = np.arange(14) * (2 * np.pi / 14)
        corners = [(x + half * np.cos(a), middle + half * np.sin(a)) for a in angles]
    skins = {"body": Skin(tint=(0.6, 0.6, 0.62)), "sides": Skin(tile)}
    builder.prism(0, label, corners, z_face, skins, along="z")


def _varied(rng: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = (float(np.clip(c * rng.uniform(0.92, 1.06), 0, 1)) for c in colour)
    return red, green, blue


def _pick(rng: np.random.Generator, choices: Sequence[Colour]) -> Colour:
    return choices[int(rng.integers(len(choices)))]
