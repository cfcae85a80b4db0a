import numpy as np
import pytest

from dvps_d2.street.noise import drawn_noise, fractal_noise
from dvps_d2.street.textures import build_atlas
from dvps_d2.street.tiles import TILE_SIZE, TILES


def sample(tile, u, v, level):
    atlas = build_atlas()
    left = atlas.left[atlas.index[tile]]
    arrays = [np.full((1, 1), value, np.float32) for value in (left, u, v, level)]
    return atlas.sample(*arrays)[0, 0]


@pytest.mark.parametrize("name", TILES)
def test_every_tile_is_a_square_of_colour_and_paint(name):
    picture = TILES[name](np.random.default_rng(0))
    assert picture.shape == (TILE_SIZE, TILE_SIZE, 4)
    assert picture.dtype == np.uint8
    # None is blank: a street of one colour teaches nothing.
    assert picture[..., :3].std() > 0.5


def test_lookups_repeat_with_period_one():
    for level in (0, 3):
        assert sample("shop_red", 0.3, 0.2, level).tolist() == pytest.approx(
            sample("shop_red", 4.3, -1.8, level).tolist(), abs=1
        )


def test_the_coarsest_level_is_the_mean_colour():
    picture = TILES["sign_no_entry"](np.random.default_rng(0)).astype(float)
    coarse = np.mean(
        [sample("sign_no_entry", u, v, 99) for u in (0.25, 0.75) for v in (0.25, 0.75)], 0
    )
    assert coarse == pytest.approx(picture.mean(axis=(0, 1)), abs=2)


def test_signs_keep_their_colours_and_car_bodies_take_paint():
    assert sample("sign_no_entry", 0.5, 0.2, 0)[3] == 0
    assert sample("car_rear", 0.5, 0.55, 0)[3] == 255


def test_noise_repeats_seamlessly():
    noise = fractal_noise(np.random.default_rng(0), 64, 4, 3)
    assert (noise.min(), noise.max()) == (0, 1)
    inner = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= inner * 1.5


def test_drawn_noise_is_the_generators_choice():
    first, again, other = (drawn_noise(np.random.default_rng(s), 64, 4, 3) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
