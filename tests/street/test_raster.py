"""Nearness and surfaces against answers that can be worked out by hand or by marching rays."""

import numpy as np
import pytest

from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.camera import Intrinsics, RayGrid, rigid_inverse, turn_x, turn_y
from dvps_d2.street.raster import rasterise
from dvps_d2.street.scene import Hinge, Label, Skin
from dvps_d2.street.textures import build_atlas

HEIGHT, WIDTH = 21, 31
# The optical axis meets pixel (10, 15).
INTRINSICS = Intrinsics(30.0, 15.0, 10.0)
GRID = RayGrid.pixels(HEIGHT, WIDTH, INTRINSICS)
ROAD, CAR, TREE = Label(0), Label(13, 1), Label(8)


def see(builder, camera=None, seconds=0.0):
    """Nearness (H, W), class ids (H, W) and the scene, from a camera 1.5 m above the road."""
    if camera is None:
        camera = np.eye(4)
        camera[1, 3] = -1.5
    scene = builder.build()
    seen = rasterise(scene, rigid_inverse(camera) @ scene.part_poses(seconds), GRID)
    return seen.nearness, scene.surface_class[seen.surface], scene


def street():
    builder = SceneBuilder(build_atlas().index)
    # A far ball in every scene: a street without any ellipsoid does not exist.
    builder.ellipsoid(0, TREE, (500.0, 0.0, -50.0), (1, 1, 1), Skin())
    builder.ground(ROAD, Skin(cell=(3.0, 3.0)))
    return builder


def test_the_road_is_at_height_over_slope_and_the_sky_is_nowhere():
    nearness, classes, _ = see(street())
    # Row 15 looks down by 5/30, so it meets the road at 1.5 / (5/30) = 9 m.
    assert 1 / nearness[15] == pytest.approx(np.full(WIDTH, 9.0), rel=1e-5)
    assert (nearness[:10] == 0).all()
    assert (classes[:10] == 10).all()
    assert (classes[11:] == 0).all()


def test_a_box_has_its_front_face_at_its_front_and_hides_the_road():
    builder = street()
    builder.box(0, CAR, (-1.1, 1.1), (0, 3), (6, 10), Skin())
    nearness, classes, _ = see(builder)
    assert 1 / nearness[10, 15] == pytest.approx(6.0, rel=1e-5)
    # 1.1 m at 6 m is 5.5 pixels to each side; 1.5 m is 7.5 pixels up and down.
    assert (classes[10] == 13).sum() == 11
    assert (classes[:, 15] == 13).sum() == 15


def test_nearer_things_win_whatever_the_order():
    for order in (1, -1):
        builder = street()
        for z in [8, 12][::order]:
            builder.box(0, Label(13, z), (-1, 1), (0, 3), (z, z + 1), Skin())
        nearness, _, _ = see(builder)
        assert 1 / nearness[10, 15] == pytest.approx(8.0, rel=1e-5)


def test_a_ball_on_the_axis_is_a_disc_nearest_in_the_middle():
    builder = street()
    builder.ellipsoid(0, TREE, (0, 1.5, 10), (2, 2, 2), Skin())
    nearness, classes, _ = see(builder)
    assert 1 / nearness[10, 15] == pytest.approx(8.0, rel=1e-5)
    # Its outline is the cone of half angle asin(2 / 10): tan = 0.2041, 6.1 pixels.
    assert (classes[10] == 8).sum() == 13


def test_a_wall_that_passes_the_camera_is_seen_to_its_end():
    builder = street()
    builder.box(0, Label(2), (2, 8), (0, 5), (-10, 40), Skin())
    nearness, classes, _ = see(builder)
    # Column 30 looks right by 15/30, so it meets the wall at 2 / 0.5 = 4 m.
    assert 1 / nearness[10, 30] == pytest.approx(4.0, rel=1e-5)
    assert (classes[10, 17:] == 2).all()


def test_the_inside_of_a_hull_is_not_drawn():
    builder = street()
    builder.box(0, Label(2), (-5, 5), (0, 5), (-5, 5), Skin())
    _, classes, _ = see(builder)
    assert (classes != 2).all()


def test_hinges_move_what_hangs_on_them():
    builder = street()
    part = builder.add_part((0, 0, 10), hinges=[Hinge((0, -2.5, 0), offset=np.pi / 2)])
    # Hangs 1 m below a hinge at height 2.5 m, swung forward by a quarter turn: level with it.
    builder.ellipsoid(part, CAR, (0, -1.0, 0), (0.3, 0.3, 0.3), Skin())
    scene = builder.build()
    centre = scene.part_poses(0.0)[part] @ [0, 1.0, 0, 1]
    assert centre[:3] == pytest.approx([0, -2.5, 11.0])


def test_parts_travel_at_their_velocity():
    builder = street()
    part = builder.add_part((0, 0, 10), velocity=(0, 0, 4.0))
    builder.box(part, CAR, (-1, 1), (0, 3), (0, 1), Skin())
    nearness, _, _ = see(builder, seconds=0.5)
    assert 1 / nearness[10, 15] == pytest.approx(12.0, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_random_scenes_agree_with_marching_along_every_ray(seed):
    rng = np.random.default_rng(seed)
    builder = street()
    solids = []
    for number in range(4):
        part = builder.add_part(
            (rng.uniform(-4, 4), 0, rng.uniform(7, 14)), heading=rng.uniform(0, 6)
        )
        profile = [(-1.5, 0.3), (-1.2, 1.6), (0.4, 1.8), (1.6, 0.8), (1.7, 0.3)]
        builder.prism(part, Label(13, number + 1), profile, (-0.8, 0.8), Skin(), lean=0.2)
        radii = rng.uniform(0.4, 1.2, 3)
        builder.ellipsoid(part, TREE, (0.3, 2.0, 0.5), radii, Skin(), tilt=0.5)
    camera = np.eye(4)
    camera[:3, :3] = turn_y(0.1) @ turn_x(-0.05)
    camera[:3, 3] = (0.3, -1.5, 0.2)
    nearness, _, scene = see(builder, camera)

    poses = scene.part_poses(0.0)
    x, y = np.meshgrid(GRID.x, GRID.y)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ camera[:3, :3].T
    step = 0.01
    found = np.zeros((HEIGHT, WIDTH))
    for depth in np.arange(20, 0.5, -step):  # the last hit is the nearest one
        points = camera[:3, 3] + rays * depth
        found[_inside(scene, poses, points)] = depth
    solids = found > 0
    met = nearness > 1 / 20.0
    assert (solids == met).mean() > 0.99  # slivers thinner than a step may differ
    both = solids & met
    assert np.abs(1 / nearness[both] - found[both]).max() < 2 * step


def _inside(scene, poses, points):
    """Whether world points (H, W, 3) are inside any solid or below the road."""
    inside = points[..., 1] > 0
    for part, (first, count) in zip(scene.hull_part, scene.hull_planes, strict=True):
        if count < 2:
            continue
        local = (points - poses[part][:3, 3]) @ poses[part][:3, :3]
        planes = scene.planes[first : first + count]
        inside |= (local @ planes[:, :3].T + planes[:, 3] <= 0).all(-1)
    for part, centre, axes in zip(scene.ball_part, scene.ball_centre, scene.ball_axes, strict=True):
        local = (points - poses[part][:3, 3]) @ poses[part][:3, :3]
        inside |= (((local - centre) @ axes.T) ** 2).sum(-1) <= 1
    return inside
