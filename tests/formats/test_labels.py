import numpy as np
import pytest

from dvps_d2.formats import PanopticLabel, class_table

ROAD, CAR = 0, 13


def label(classes, tracks):
    return PanopticLabel(np.array(classes, np.uint8), np.array(tracks, np.int32))


def test_segments_count_pixels_and_leave_void_out():
    found = label([[ROAD, CAR, CAR], [255, CAR, ROAD]], [[0, 7, 7], [0, 8, 0]]).segments()
    assert found == {(ROAD, 0): 2, (CAR, 7): 2, (CAR, 8): 1}


def test_all_void_has_no_segment():
    assert label([[255]], [[0]]).segments() == {}


def test_types_and_shapes_are_checked():
    with pytest.raises(ValueError, match="class_ids must be"):
        PanopticLabel(np.zeros((2, 2), np.int64), np.zeros((2, 2), np.int32))
    with pytest.raises(ValueError, match="track_ids must be"):
        PanopticLabel(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.int32))


@pytest.mark.parametrize(
    ("classes", "tracks", "finding"),
    [
        pytest.param([[ROAD]], [[4]], "stuff class road has track id 4", id="stuff with a track"),
        pytest.param([[40]], [[0]], "class id 40 is not one of the 19", id="unknown class"),
        pytest.param([[255]], [[4]], "void pixels have a track id", id="void with a track"),
    ],
)
def test_problems_name_what_contradicts_the_table(classes, tracks, finding):
    assert any(
        finding in line for line in label(classes, tracks).problems(class_table("cityscapes"))
    )


def test_a_crowd_is_no_problem():
    assert label([[CAR, ROAD]], [[0, 0]]).problems(class_table("cityscapes")) == []
