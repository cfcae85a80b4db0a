import numpy as np
import pytest

from dvps_d2.visualize import Palette, SegmentMap, draw_overlay, paint

ROAD, CAR = 0, 1
RED, BLUE = (200, 0, 0), (0, 0, 200)
PALETTE = Palette([RED, BLUE], [CAR])


def labels(classes, tracks):
    return SegmentMap.from_labels(np.array(classes, np.uint8), np.array(tracks, np.int32))


def test_labels_and_ids_give_the_same_segments():
    truth = labels([[ROAD, CAR, CAR], [255, CAR, ROAD]], [[0, 7, 9], [0, 7, 0]])
    ids = np.array([[3, 7, 9], [0, 7, 3]], np.int32)
    predicted = SegmentMap.from_ids(ids, {3: ROAD, 7: CAR, 9: CAR}, [CAR])
    for found in (truth, predicted):
        assert found.class_ids[found.index].tolist() == [[ROAD, CAR, CAR], [255, CAR, ROAD]]
        assert found.track_ids[found.index].tolist() == [[0, 7, 9], [0, 7, 0]]


def test_large_ids_work_like_small_ones():
    ids = np.array([[0, 1 << 23], [5, 1 << 23]])
    found = SegmentMap.from_ids(ids, {1 << 23: CAR, 5: ROAD}, [CAR])
    assert found.index.tolist() == [[0, 2], [1, 2]]
    assert found.track_ids.tolist() == [0, 0, 1 << 23]


def test_a_crowd_has_a_class_and_no_track():
    found = labels([[CAR, CAR]], [[0, 4]])
    assert found.class_ids[found.index].tolist() == [[CAR, CAR]]
    assert found.track_ids[found.index].tolist() == [[0, 4]]


def test_an_id_without_a_class_is_an_error():
    with pytest.raises(ValueError, match=r"ids holds \[9\], which classes does not name"):
        SegmentMap.from_ids(np.array([[9]]), {}, [CAR])


def test_paint_shows_class_and_track_colours_and_black_void():
    painted = paint(labels([[ROAD, CAR, 255]], [[0, 5, 0]]), PALETTE)
    assert painted.tolist() == [[list(RED), list(PALETTE.color(CAR, 5)), [0, 0, 0]]]


def test_overlay_mixes_by_opacity_and_leaves_void_alone():
    image = np.full((1, 2, 3), 100, np.uint8)
    drawn = draw_overlay(
        image, labels([[ROAD, 255]], [[0, 0]]), PALETTE, opacity=0.5, boundaries=False
    )
    assert drawn.tolist() == [[[150, 50, 50], [100, 100, 100]]]
    assert image.tolist() == [[[100, 100, 100]] * 2]  # the picture given is not drawn into


def test_colours_of_the_picture_hardly_tint_the_segments():
    segments = labels([[CAR, CAR]], [[3, 3]])
    yellow_and_grey = np.array([[[200, 200, 0], [177, 177, 177]]], np.uint8)  # equally light
    options = {"boundaries": False, "track_labels": False}
    left, right = draw_overlay(yellow_and_grey, segments, PALETTE, **options)[0].astype(int)
    assert np.abs(left - right).max() <= 16


def test_boundary_is_drawn_where_segments_meet_and_nowhere_else():
    image = np.zeros((8, 8, 3), np.uint8)
    classes = np.zeros((8, 8), np.uint8)
    classes[:, 4:] = CAR
    tracks = np.where(classes == CAR, 3, 0)
    segments = labels(classes, tracks)
    plain = draw_overlay(image, segments, PALETTE, boundaries=False, track_labels=False)
    drawn = draw_overlay(image, segments, PALETTE, track_labels=False)
    changed = (drawn != plain).any(-1)
    assert changed[:, 4].all()
    assert changed.sum() == 8
    assert (drawn[:, 4].sum(-1) > plain[:, 4].sum(-1)).all()  # bright beside a thing


def test_label_is_written_into_large_things_only():
    classes = np.zeros((120, 200), np.uint8)
    tracks = np.zeros((120, 200), np.int32)
    classes[20:100, 20:120] = CAR
    tracks[20:100, 20:120] = 8
    classes[5:8, 180:184] = CAR
    tracks[5:8, 180:184] = 9
    image = np.zeros((120, 200, 3), np.uint8)
    with_text = draw_overlay(image, labels(classes, tracks), PALETTE)
    without = draw_overlay(image, labels(classes, tracks), PALETTE, track_labels=False)
    rows, columns = np.nonzero((with_text != without).any(-1))
    assert len(rows) > 10
    assert 40 < rows.mean() < 80
    assert 50 < columns.mean() < 90
    assert columns.max() < 120


def test_wrong_input_is_named():
    segments = labels([[ROAD]], [[0]])
    with pytest.raises(ValueError, match=r"segments are \(1, 1\), but the image is \(2, 1\)"):
        draw_overlay(np.zeros((2, 1, 3), np.uint8), segments, PALETTE)
    with pytest.raises(ValueError, match="uint8"):
        draw_overlay(np.zeros((1, 1, 3)), segments, PALETTE)
    with pytest.raises(ValueError, match="opacity"):
        draw_overlay(np.zeros((1, 1, 3), np.uint8), segments, PALETTE, opacity=60)
