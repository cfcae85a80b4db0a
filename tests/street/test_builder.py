import numpy as np
import pytest

from dvps_d2.street.builder import SceneBuilder
from dvps_d2.street.scene import Label, Skin
from dvps_d2.street.textures import build_atlas


@pytest.fixture
def builder():
    return SceneBuilder(build_atlas().index)


def with_ball(builder):
    builder.ellipsoid(0, Label(8), (0, 0, 0), (1, 1, 1), Skin())
    return builder.build()


@pytest.mark.parametrize("along", ["x", "y", "z"])
def test_all_planes_of_a_prism_face_outwards(builder, along):
    builder.prism(
        0, Label(2), [(0, 1), (4, 1), (4, 3), (2, 5), (0, 3)], (6, 9), Skin(), along=along
    )
    scene = with_ball(builder)
    assert len(scene.planes) == 7
    distance = scene.vertices @ scene.planes[:, :3].T + scene.planes[:, 3]
    assert distance.max() == pytest.approx(0, abs=1e-9)
    # Every plane carries at least three corners.
    assert (np.abs(distance) < 1e-9).sum(axis=0).min() >= 3
    assert np.linalg.norm(scene.planes[:, :3], axis=1) == pytest.approx(np.ones(7))


def test_leaning_ends_come_together_at_the_top(builder):
    builder.box(0, Label(2), (-2, 2), (0, 4), (5, 6), Skin(), lean=1.0)
    scene = with_ball(builder)
    right = scene.planes[5]  # the end at x = 2
    for x, height in ((2, 0), (1, 4)):
        assert right[:3] @ [x, -height, 5.5] + right[3] == pytest.approx(0)


def test_repeated_tiles_count_windows_and_storeys_from_the_upper_corner(builder):
    # A wall 9 m long and 6 m high with cells of 3 x 2 m: three windows, three storeys.
    builder.box(0, Label(2), (1, 2), (0, 6), (10, 19), {"body": Skin("wall", cell=(3, 2))})
    scene = with_ball(builder)
    end = scene.surface_uv[5]  # surface 0 is the sky, 1-4 the edges, 5 and 6 the ends
    assert end @ [1, -6, 10, 1] == pytest.approx([0, 0])
    assert end @ [1, 0, 19, 1] == pytest.approx([3, 3])


def test_a_stretched_tile_stays_inside_its_edges(builder):
    builder.box(0, Label(2), (-1, 1), (0, 2), (10, 12), Skin())
    rear = with_ball(builder).surface_uv[1]  # the face at z = 10, u across, v down
    assert rear @ [-1, -2, 10, 1] == pytest.approx([0.01, 0.01])
    assert rear @ [1, 0, 10, 1] == pytest.approx([0.99, 0.99])


def test_only_faces_that_look_up_are_ground(builder):
    builder.box(0, Label(1), (-1, 1), (-0.5, 0.1), (0, 9), Skin(), ground=True)
    scene = with_ball(builder)
    assert scene.surface_ground.sum() == 1
    assert scene.surface_normal[scene.surface_ground][0] == pytest.approx([0, -1, 0])


def test_tracks_are_numbered_from_one(builder):
    assert [builder.new_track(c).track_id for c in (13, 11, 13)] == [1, 2, 3]


def test_an_unknown_tile_is_refused(builder):
    with pytest.raises(KeyError, match="marble"):
        builder.box(0, Label(2), (-1, 1), (0, 2), (10, 12), Skin("marble"))
