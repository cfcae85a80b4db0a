import numpy as np
import pytest

from dvps_d2.formats import ClassTable, class_table
from dvps_d2.formats.png import rgb_to_id
from dvps_d2.formats.prepare.encode import PanopticIds, encode_label

ROAD, CAR, PERSON = 0, 1, 2
# road has id 3 = (3, 0, 0), so the third thing number must step aside
TABLE = ClassTable(
    "t", ("road", "car", "person"), (1, 2), ((3, 0, 0), (0, 0, 9), (9, 0, 0)), (7, 8, 9)
)


def test_thing_ids_pass_over_stuff_colours():
    ids = PanopticIds(TABLE)
    assert ids.stuff(ROAD) == 3
    assert [ids.thing(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 5]
    with pytest.raises(ValueError, match="24 bits"):
        ids.thing(1 << 24)


def test_no_thing_id_of_cityscapes_is_a_stuff_colour():
    table = class_table("cityscapes")
    ids = PanopticIds(table)
    stuff = {ids.stuff(i) for i in table.stuff_ids}
    near = sorted(stuff)
    numbers = [n for color in near for n in range(color - 15, color + 3)]
    things = [ids.thing(n) for n in numbers]
    assert not stuff & set(things)
    assert len(set(things)) == len(set(numbers))


def test_label_by_hand():
    classes = np.array([[ROAD, ROAD, CAR, CAR], [255, CAR, PERSON, CAR]], np.uint8)
    numbers = np.array([[0, 0, 6, 6], [0, 2, 4, 0]])
    rgb, info = encode_label(classes, numbers, PanopticIds(TABLE))
    # car 2 -> id 2, person 4 -> id 5, car 6 -> id 7; the car without number is void
    assert rgb_to_id(rgb).tolist() == [[3, 3, 7, 7], [0, 2, 5, 0]]
    assert info == [
        {"id": 3, "category_id": 7, "iscrowd": 0, "area": 2},
        {"id": 2, "category_id": 8, "iscrowd": 0, "area": 1},
        {"id": 5, "category_id": 9, "iscrowd": 0, "area": 1},
        {"id": 7, "category_id": 8, "iscrowd": 0, "area": 2},
    ]


def test_crowds_are_segments_of_their_own_where_asked_for():
    classes = np.array([[CAR, CAR, PERSON, ROAD]], np.uint8)
    numbers = np.array([[0, 1, 0, 0]])
    rgb, info = encode_label(classes, numbers, PanopticIds(TABLE), crowds={CAR: 50})
    assert rgb_to_id(rgb).tolist() == [[51, 1, 0, 3]]
    assert [(s["id"], s["iscrowd"]) for s in info] == [(3, 0), (51, 1), (1, 0)]


def test_empty_and_contradictory_labels():
    void = np.full((1, 2), 255, np.uint8)
    rgb, info = encode_label(void, np.zeros((1, 2), int), PanopticIds(TABLE))
    assert (rgb.max(), info) == (0, [])
    both = np.array([[CAR, PERSON]], np.uint8)
    with pytest.raises(ValueError, match="different classes have the same number"):
        encode_label(both, np.full((1, 2), 4), PanopticIds(TABLE))
    with pytest.raises(ValueError, match="distinct colours"):
        PanopticIds(ClassTable("t", ("a", "b"), (), ((1, 1, 1), (1, 1, 1)), (0, 1)))
