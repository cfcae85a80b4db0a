import numpy as np
import pytest

from dvps_d2.street import models
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import BICYCLE, BUS, CAR, PERSON, RIDER, TRUCK
from dvps_d2.street.models import Look, Motion
from dvps_d2.street.scene import Label, Skin
from dvps_d2.street.textures import build_atlas

ADD = {
    CAR: lambda builder, motion, look: models.add_car(builder, motion, look),
    TRUCK: lambda builder, motion, look: models.add_truck(builder, motion, look),
    BUS: lambda builder, motion, look: models.add_bus(builder, motion, look),
    PERSON: lambda builder, motion, look: models.add_person(builder, motion, look, 0.0),
    BICYCLE: lambda builder, motion, look: models.add_bicycle(builder, motion, look),
    RIDER: lambda builder, motion, look: models.add_rider(builder, motion, look, 0.0),
}
# Height, and half of the length, in metres: what these things measure in the world.
SIZES = {
    CAR: ((1.3, 2.1), (1.9, 2.5)),
    TRUCK: ((2.9, 3.7), (2.9, 4.7)),
    BUS: ((2.9, 3.4), (4.4, 6.0)),
    PERSON: ((1.6, 1.95), (0.1, 0.6)),
    BICYCLE: ((0.9, 1.2), (0.7, 1.0)),
    RIDER: ((1.7, 2.1), (0.3, 0.8)),
}


def extent(class_id, motion, seconds=0.0, look=None):
    """World (3, 2) ranges of a thing."""
    builder = SceneBuilder(build_atlas().index)
    ADD[class_id](builder, motion, look or Look())
    if class_id == RIDER:  # hulls are never absent in a street
        builder.box(0, Label(2), (0, 1), (0, 1), (0, 1), Skin())
    if class_id != BICYCLE:
        builder.ellipsoid(0, Label(8), (0, 0, 0), (1, 1, 1), Skin())
    builder.box(0, Label(2), (0, 1), (0, 1), (0, 1), Skin())
    scene = builder.build()
    poses = scene.part_poses(seconds)
    points = []
    for part, (first, count) in zip(scene.hull_part, scene.hull_vertices, strict=True):
        if part:
            local = scene.vertices[first : first + count]
            points.append(local @ poses[part][:3, :3].T + poses[part][:3, 3])
    for part, centre, axes in zip(scene.ball_part, scene.ball_centre, scene.ball_axes, strict=True):
        if part:
            middle = poses[part][:3, :3] @ centre + poses[part][:3, 3]
            reach = np.linalg.norm(poses[part][:3, :3] @ np.linalg.inv(axes), axis=1)
            points.append(np.stack([middle - reach, middle + reach]))
    points = np.concatenate(points)
    return np.stack([points.min(0), points.max(0)], axis=1)


@pytest.mark.parametrize("class_id", ADD)
@pytest.mark.parametrize("detail", range(4))
def test_things_have_the_size_of_their_class_and_stand_on_the_road(class_id, detail):
    ranges = extent(class_id, Motion(0.0, 0.0), look=Look(detail=detail))
    heights, lengths = SIZES[class_id]
    assert heights[0] < -ranges[1, 0] < heights[1]
    assert lengths[0] < ranges[2].max() < lengths[1]
    lowest = -ranges[1, 1]
    assert abs(lowest) < 0.08 if class_id != RIDER else 0 < lowest < 0.5  # feet on the pedals


@pytest.mark.parametrize("shape", models.CAR_SHAPES)
def test_every_car_fits_its_parking_space(shape):
    ranges = extent(CAR, Motion(0.0, 0.0), look=Look(shape=shape))
    assert np.diff(ranges[2]) < 5.2
    assert np.diff(ranges[0]) < 2.1


@pytest.mark.parametrize("class_id", ADD)
def test_things_travel_and_look_where_they_go(class_id):
    motion = Motion(3.0, 10.0, vx=5.0)
    before, after = extent(class_id, motion), extent(class_id, motion, seconds=2.0)
    assert after[0].mean() - before[0].mean() == pytest.approx(10.0, abs=0.3)
    if class_id != PERSON:  # its length now lies along x; people are wider than long
        along, across = np.diff(before[0]), np.diff(before[2])
        assert along > across


def test_walking_swings_the_legs_and_standing_does_not():
    for speed, moves in ((1.4, True), (0.0, False)):
        motion = Motion(0.0, 0.0, vz=speed)
        widths = [np.diff(extent(PERSON, motion, seconds=t)[2])[0] for t in np.linspace(0, 1, 9)]
        assert (np.ptp(widths) > 0.1) == moves


def test_looks_repeat_with_the_generator():
    first, second = (models.random_look(np.random.default_rng(4), CAR) for _ in range(2))
    assert first == second
