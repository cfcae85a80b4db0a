import numpy as np
import pytest

from dvps_d2.street.ground import GroundPainter


@pytest.fixture
def ground():
    painter = GroundPainter(-10.0, 90.0, road_half=4.0, half_width=20.0)
    painter.line((-0.5, 0.5), (20.0, 40.0))
    return painter.finish(np.random.default_rng(0), 1.5, 200.0, road_surface=1)


def marks(ground, x, z, depth):
    arrays = [np.full((1, 1), value, np.float32) for value in (x, z, depth)]
    return float(ground.sample_marks(*arrays)[0, 0])


def test_paint_is_where_it_was_put(ground):
    assert marks(ground, 0.0, 30.0, 5.0) > 0.25
    for x, z in ((1.0, 30.0), (-1.0, 30.0), (0.0, 19.0), (0.0, 41.0), (9.0, 30.0), (0.0, 500.0)):
        assert marks(ground, x, z, 5.0) == 0


def test_dashes_average_out_in_the_distance():
    painter = GroundPainter(0.0, 200.0, road_half=4.0, half_width=20.0)
    for z in np.arange(0, 200, 6.0):
        painter.line((-1.0, 1.0), (z, z + 3.0))
    ground = painter.finish(np.random.default_rng(0), 1.5, 200.0, road_surface=1)
    near, far = ([marks(ground, 0.0, z, d) for z in np.arange(60, 150, 0.5)] for d in (3.0, 120.0))
    assert min(near) == 0
    assert max(near) > 0.25
    assert np.std(far) < 0.25 * np.std(near)
    assert np.mean(far) == pytest.approx(np.mean(near), rel=0.15)


def test_partial_pixels_are_covered_in_part():
    painter = GroundPainter(0.0, 10.0, road_half=4.0, half_width=20.0)
    # 0.3 m x 1.3 m of paint cover 0.39 square metres, whatever the pixels.
    painter.line((0.111, 0.411), (2.05, 3.35))
    area = painter.marks.sum() / (16 * painter.along)
    assert area == pytest.approx(0.3 * 1.3, rel=1e-4)
    assert 0 < painter.marks[painter.marks > 0].min() < 1


def test_paint_outside_the_map_is_dropped():
    painter = GroundPainter(0.0, 10.0, road_half=4.0, half_width=20.0)
    painter.line((-9.0, -5.0), (2.0, 3.0))
    painter.line((0.0, 1.0), (20.0, 30.0))
    assert painter.marks.sum() == 0


def test_rasters_are_looked_up_by_metres(ground):
    raster = np.zeros_like(ground.shadow)
    raster[160:200] = 1  # four pixels per metre from z = -10: z = 30 to 40
    x, z = np.meshgrid(np.float32([-5, 5]), np.float32([29, 31, 39, 41]))
    assert ground.sample(raster, x, z).tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_very_long_streets_fit_the_lookup():
    painter = GroundPainter(0.0, 4000.0, road_half=4.0, half_width=20.0)
    ground = painter.finish(np.random.default_rng(0), 1.5, 200.0, road_surface=1)
    assert len(ground.marks) < 32_767
    assert len(ground.shadow) < 32_767
