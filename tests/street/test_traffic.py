from dataclasses import replace

import numpy as np
import pytest

from dvps_d2.street import PRESETS, StreetVideo
from dvps_d2.street.blocks import StreetPlan
from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.config import CAR, PERSON
from dvps_d2.street.models import Motion
from dvps_d2.street.textures import build_atlas
from dvps_d2.street.traffic import _Traffic, add_traffic, half_sizes

PLAN = StreetPlan(
    road_half=5.0, parking=True, walk=3.0, ego_x=1.6, ego_speed=8.0, crossings=(40.0,),
    crossing_half=4.0,
)  # fmt: skip


def traffic(**changes):
    config = replace(PRESETS["quick"], **changes)
    return _Traffic(SceneBuilder(build_atlas().index), PLAN, config, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("motion", "placed"),
    [
        pytest.param(Motion(-1.6, 20.0), True, id="free lane"),
        pytest.param(Motion(1.6, 2.0, vz=8.0), False, id="inside the camera's car"),
        pytest.param(Motion(1.6, 12.0, vz=0.0), False, id="run into by the camera within 1.2 s"),
        pytest.param(Motion(1.6, 30.0, vz=0.0), True, id="never reached"),
        pytest.param(Motion(-6.0, 5.0, vx=8.0), False, id="crossing right into the camera"),
    ],
)
def test_nothing_runs_into_the_camera(motion, placed):
    assert traffic().place(CAR, motion) == placed


def test_things_keep_clear_of_one_another():
    street = traffic()
    assert street.place(CAR, Motion(-1.6, 20.0))
    assert not street.place(CAR, Motion(-1.6, 23.0))
    assert not street.place(CAR, Motion(-1.6, 30.0, vz=-8.0))  # gets there in 0.6 s
    assert street.place(PERSON, Motion(-4.0, 20.0))


@pytest.mark.parametrize(("look_alike", "kinds"), [(0.0, 6), (1.0, 1)])
def test_neighbours_look_alike_as_asked(look_alike, kinds):
    street = traffic(look_alike=look_alike)
    assert len({street.look(CAR) for _ in range(6)}) == kinds


def test_a_motion_passes_where_and_when_it_should():
    way = traffic().through(2.0, 20.0, 3.0, -1.0, moment=0.5)
    assert (way.x + 0.5 * way.vx, way.z + 0.5 * way.vz) == (2.0, 20.0)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_two_things_ever_drive_through_each_other(preset):
    config = PRESETS[preset]
    times = np.linspace(0, config.duration, 40)
    for seed in range(4):
        builder = SceneBuilder(build_atlas().index)
        taken = add_traffic(builder, PLAN, config, np.random.default_rng(seed))
        assert len(taken) > 3
        for number, (a, *size_a) in enumerate(taken):
            for b, *size_b in taken[:number]:
                gap_x = np.abs(a.x - b.x + (a.vx - b.vx) * times)
                gap_z = np.abs(a.z - b.z + (a.vz - b.vz) * times)
                # Sizes have margins: less than half of them counts as a crash.
                (ax, az), (bx, bz) = half_sizes(a, *size_a), half_sizes(b, *size_b)
                assert not ((gap_x < (ax + bx) / 2) & (gap_z < (az + bz) / 2)).any()


def test_crowding_brings_more_things():
    counts = []
    for crowding in (0.0, 1.0):
        config = replace(PRESETS["quick"], crowding=crowding)
        tracks = [StreetVideo(config, seed).world.scene.surface_track.max() for seed in range(8)]
        counts.append(np.mean(tracks))
    assert counts[1] > 1.5 * counts[0]


def test_long_videos_stay_populated():
    config = replace(PRESETS["quick"], height=48, width=96, frames=60, antialias=False)
    video = StreetVideo(config, 2)
    things = [len(np.unique(video.render(t).track_ids)) - 1 for t in range(0, 60, 6)]
    assert np.mean(things) > 2
    assert min(things[-3:]) >= 1
