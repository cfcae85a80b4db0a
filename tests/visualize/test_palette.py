import numpy as np
import pytest

from dvps_d2.formats import class_table
from dvps_d2.visualize import Palette
from dvps_d2.visualize.palette import oklab_to_rgb, rgb_to_oklab

ROAD, PERSON, CAR = 0, 11, 13
TRACK_ONE = (1, 93, 147)  # another number here means that everyone's pictures change


@pytest.fixture
def palette():
    table = class_table("cityscapes")
    return Palette(table.colors, table.thing_ids)


def test_stuff_crowd_and_void_have_fixed_colours(palette):
    assert palette.color(ROAD) == (128, 64, 128)
    assert palette.color(ROAD, 7) == (128, 64, 128)
    assert palette.color(CAR, 0) == (0, 0, 142)
    assert palette.color(255, 3) == (0, 0, 0)


def test_a_track_keeps_its_colour_in_every_run_and_order(palette):
    assert palette.color(CAR, 1) == TRACK_ONE
    table = class_table("cityscapes")
    other = Palette(table.colors, table.thing_ids)
    for track in (900, 3, 2):
        other.color(CAR, track)
    assert other.color(CAR, 1) == TRACK_ONE


@pytest.mark.parametrize("first", [1, 13001, 1 << 20])
def test_neighbouring_tracks_can_be_told_apart(palette, first):
    for thing in palette.thing_ids:
        colors = rgb_to_oklab(np.array([palette.color(thing, first + i) for i in range(8)]))
        distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + np.eye(8)
        # 0.02 is about the smallest difference one sees in OKLab.
        assert distance.min() > 0.03
        assert distance[np.arange(7), np.arange(1, 8)].min() > 0.045


def test_tracks_stay_near_the_hue_of_their_class(palette):
    lab = rgb_to_oklab(np.array([palette.color(PERSON, i) for i in range(1, 60)]))
    hue = np.rad2deg(np.arctan2(lab[:, 2], lab[:, 1]))
    target = rgb_to_oklab(np.array(palette.color(PERSON)))
    middle = np.rad2deg(np.arctan2(target[2], target[1]))
    assert np.abs(hue - middle).max() < 32
    assert lab[:, 0].min() > 0.44
    assert lab[:, 0].max() < 0.82


def test_oklab_of_white_black_and_red():
    lab = rgb_to_oklab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]]))
    assert lab[0] == pytest.approx([1, 0, 0], abs=1e-3)
    assert lab[1] == pytest.approx([0, 0, 0], abs=1e-6)
    assert lab[2] == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)
    assert oklab_to_rgb(lab).tolist() == [[255, 255, 255], [0, 0, 0], [255, 0, 0]]


def test_unknown_classes_are_refused(palette):
    with pytest.raises(ValueError, match=r"class_id must be in 0\.\.18 or 255, got 19"):
        palette.color(19)
    with pytest.raises(ValueError, match="below the 1 classes"):
        Palette([(0, 0, 0)], [1])
