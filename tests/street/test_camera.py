import numpy as np
import pytest

from dvps_d2.street.camera import (
    CameraPath,
    Intrinsics,
    RayGrid,
    rigid_inverse,
    turn_x,
    turn_y,
)

RIGHT, DOWN, FORWARD = np.eye(3)
QUARTER = np.pi / 2


def test_positive_yaw_turns_forward_to_the_right():
    assert turn_y(QUARTER) @ FORWARD == pytest.approx(RIGHT)


def test_positive_pitch_turns_forward_upwards_and_swings_a_leg_forward():
    assert turn_x(QUARTER) @ FORWARD == pytest.approx(-DOWN)
    assert turn_x(QUARTER) @ DOWN == pytest.approx(FORWARD)


def test_rigid_inverse_undoes_a_stack_of_poses():
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, :3] = turn_y(np.array([0.1, 1.0, -2.0])) @ turn_x(0.3)
    poses[:, :3, 3] = [[1, 2, 3], [0, 0, 0], [-4, 5, 6]]
    assert rigid_inverse(poses) @ poses == pytest.approx(np.tile(np.eye(4), (3, 1, 1)))


def test_camera_drives_forward_above_the_road():
    path = CameraPath((1.5, 1.4, 0.0), 10.0, 0.0, 0.0, (0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0))
    assert path.position(2.0) == pytest.approx([1.5, -1.4, 20.0])
    assert path.pose(2.0)[:3, :3] == pytest.approx(np.eye(3))


def test_pixel_centres_are_every_second_half_pixel_ray():
    intrinsics = Intrinsics(50.0, 3.5, 1.0)
    pixels = RayGrid.pixels(4, 8, intrinsics)
    halves = RayGrid.half_pixels(4, 8, intrinsics)
    assert halves.shape == (9, 17)
    assert halves.x[1::2] == pytest.approx(pixels.x)
    assert halves.y[1::2] == pytest.approx(pixels.y)
    assert pixels.x[0] == pytest.approx(-3.5 / 50)


def test_intrinsic_matrix_projects_like_the_ray_grid():
    intrinsics = Intrinsics(50.0, 3.5, 1.0)
    grid = RayGrid.pixels(4, 8, intrinsics)
    u, v, w = intrinsics.matrix @ [7 * grid.x[6], 7 * grid.y[2], 7]
    assert (u / w, v / w) == pytest.approx((6, 2), abs=1e-5)
