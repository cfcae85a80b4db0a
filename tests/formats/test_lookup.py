import numpy as np
import pytest

from dvps_d2.formats import FormatError, class_table
from dvps_d2.formats.lookup import IdTable, decode_rgb_label
from dvps_d2.formats.png import id_to_rgb, write_png

TABLE = class_table("cityscapes")
ROAD, CAR = 0, 13


def segment(segment_id, category_id, iscrowd=0):
    return {"id": segment_id, "category_id": category_id, "iscrowd": iscrowd, "area": 1}


def test_rows_by_hand():
    table = IdTable([0, 70000, 5])
    assert table.rows(np.array([[5, 0, 70000, 6, 70001]], np.int32)).tolist() == [[3, 1, 2, 0, 0]]


@pytest.mark.parametrize("count", [0, 1, 60, 900])
def test_rows_agree_with_the_slow_way(count):
    rng = np.random.default_rng(count)
    ids = rng.choice(1 << 24, count, replace=False).astype(np.int32)
    pixels = rng.integers(0, 1 << 24, (20, 30)).astype(np.int32)
    pixels[:10] = rng.choice(ids, (10, 30)) if count else 0
    expected = np.zeros(pixels.shape, int)
    for row, value in enumerate(ids):
        expected[pixels == value] = row + 1
    assert IdTable(ids).rows(pixels).tolist() == expected.tolist()


def test_repeated_ids_are_refused():
    with pytest.raises(ValueError, match="distinct"):
        IdTable([3, 3])


def test_label_has_classes_tracks_crowds_and_void(tmp_path):
    ids = np.array([[0, 8405120, 900], [901, 902, 0]])
    write_png(tmp_path / "x.png", id_to_rgb(ids))
    info = [segment(8405120, ROAD), segment(900, CAR), segment(901, CAR), segment(902, CAR, 1)]
    label = decode_rgb_label(tmp_path / "x.png", info, TABLE)
    assert label.class_ids.tolist() == [[255, ROAD, CAR], [CAR, CAR, 255]]
    assert label.track_ids.tolist() == [[0, 0, 900], [901, 0, 0]]


def test_unlisted_id_and_swapped_colours_are_told_apart(tmp_path):
    write_png(tmp_path / "x.png", id_to_rgb(np.array([[900, 900, 7]])))
    with pytest.raises(FormatError, match=r"x\.png: id 900 \(R, G, B = 132, 3, 0\) in 2 pixels"):
        decode_rgb_label(tmp_path / "x.png", [segment(7, ROAD)], TABLE)
    write_png(tmp_path / "x.png", id_to_rgb(np.array([[900]]))[..., ::-1])
    with pytest.raises(FormatError, match="id 900 is: red and blue of this file seem"):
        decode_rgb_label(tmp_path / "x.png", [segment(900, CAR)], TABLE)


def test_wrong_category_and_wrong_file_are_named(tmp_path):
    write_png(tmp_path / "x.png", id_to_rgb(np.array([[7]])))
    with pytest.raises(FormatError, match=r"x\.png: segment 7: 33 is no category"):
        decode_rgb_label(tmp_path / "x.png", [segment(7, 33)], TABLE)
    with pytest.raises(FormatError, match="lists id 0, which means void"):
        decode_rgb_label(tmp_path / "x.png", [segment(0, ROAD)], TABLE)
    write_png(tmp_path / "x.png", np.zeros((1, 1), np.uint8))
    with pytest.raises(FormatError, match="expected 3 channels, found a PNG of 8-bit grey"):
        decode_rgb_label(tmp_path / "x.png", [], TABLE)
