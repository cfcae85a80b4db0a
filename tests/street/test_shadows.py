import numpy as np
import pytest

from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.ground import GroundPainter
from dvps_d2.street.scene import Label, Skin
from dvps_d2.street.shadows import ShadowCaster
from dvps_d2.street.textures import build_atlas

# 45 degrees high in the east (x): shadows fall to the west, as long as things are high.
SUN = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)


@pytest.fixture
def ground():
    painter = GroundPainter(-10.0, 60.0, road_half=4.0, half_width=20.0)
    return painter.finish(np.random.default_rng(0), 1.5, 200.0, road_surface=1)


@pytest.fixture
def builder():
    return SceneBuilder(build_atlas().index)


def at(ground, raster, x, z):
    arrays = [np.full((1, 1), value, np.float32) for value in (x, z)]
    return float(ground.sample(raster, *arrays)[0, 0])


def test_a_house_throws_a_shadow_as_long_as_it_is_high(builder, ground):
    builder.box(0, Label(2), (5, 8), (0, 6), (20, 30), Skin())
    builder.ellipsoid(0, Label(8), (15, 0.2, 0), (0.1, 0.1, 0.1), Skin())
    scene = builder.build()
    shadow = ShadowCaster(scene, SUN, 1.0).static(ground, scene.part_poses(0.0))
    assert at(ground, shadow, 0.0, 25.0) == pytest.approx(1.0)  # 5 m west of the wall
    assert at(ground, shadow, -2.0, 25.0) == 0  # 7 m west of it
    assert at(ground, shadow, 9.0, 25.0) == 0
    assert at(ground, shadow, 0.0, 32.0) == 0


def test_a_ball_throws_an_ellipse_beside_itself(builder, ground):
    builder.ellipsoid(0, Label(8), (6, 5, 20), (1, 1, 1), Skin())
    builder.box(0, Label(2), (15, 16), (0, 0.1), (0, 1), Skin())
    scene = builder.build()
    shadow = ShadowCaster(scene, SUN, 1.0).static(ground, scene.part_poses(0.0))
    # Its centre falls on x = 6 - 5; the ellipse is 1 / sin 45 = 1.41 m long, 1 m wide.
    assert at(ground, shadow, 1.0, 20.0) == pytest.approx(1.0)
    assert at(ground, shadow, 2.0, 20.0) > 0.9
    assert at(ground, shadow, 1.0, 22.0) == 0
    assert at(ground, shadow, 6.0, 20.0) == 0


def test_shadows_of_things_move_with_them(builder, ground):
    part = builder.add_part((0, 0, 10), velocity=(0, 0, 10.0))
    builder.box(part, builder.new_track(13), (-1, 1), (0, 2), (-2, 2), Skin())
    builder.ellipsoid(0, Label(8), (15, 0.2, 0), (0.1, 0.1, 0.1), Skin())
    scene = builder.build()
    caster = ShadowCaster(scene, SUN, 1.0)
    assert caster.static(ground, scene.part_poses(0.0)).max() < 1.01
    for seconds, lit, dark in ((0.0, 30.0, 10.0), (2.0, 10.0, 30.0)):
        shadow = caster.moving(ground, scene.part_poses(seconds), camera_z=0.0)
        assert at(ground, shadow, -2.0, dark) == pytest.approx(1.0)
        assert at(ground, shadow, -2.0, lit) == 0


def test_under_clouds_only_contact_remains(builder, ground):
    part = builder.add_part((0, 0, 10))
    builder.box(part, builder.new_track(13), (-1, 1), (0, 2), (-2, 2), Skin())
    builder.ellipsoid(0, Label(8), (15, 0.2, 0), (0.1, 0.1, 0.1), Skin())
    scene = builder.build()
    shadow = ShadowCaster(scene, SUN, 0.0).moving(ground, scene.part_poses(0.0), camera_z=0.0)
    assert at(ground, shadow, 0.0, 10.0) == pytest.approx(0.85)
    assert at(ground, shadow, -2.5, 10.0) == 0
