import pytest

from dvps_d2.formats.classes import (
    ClassTable,
    class_table,
    read_shipped_table,
    table_from_categories,
)


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no class table 'coco'; there are cityscapes, semkitti"):
        class_table("coco")


@pytest.mark.parametrize(
    ("name", "classes", "things"),
    [
        ("cityscapes", 19, tuple(range(11, 19))),
        ("semkitti", 19, tuple(range(8))),
        ("viper", 23, tuple(range(13, 23))),
    ],
)
def test_shipped_tables_have_the_published_counts(name, classes, things):
    table = class_table(name)
    assert len(table) == classes
    assert table.thing_ids == things
    assert [entry["id"] for entry in read_shipped_table(name)["classes"]] == list(range(classes))


def test_vipseg_things_are_scattered():
    table = class_table("vipseg")
    assert (len(table), len(table.thing_ids), len(table.stuff_ids)) == (124, 58, 66)
    assert table.names[60] == "person"
    assert table.thing_ids[:3] == (2, 4, 8)


def test_numbers_of_files_become_our_order():
    table = ClassTable("t", ("lawn", "cat"), (1,), ((0, 99, 0), (9, 9, 9)), (7, 3), (22,))
    assert (table.class_id(7), table.class_id(3)) == (0, 1)
    assert table.class_id(22) == 255  # known and ignored
    with pytest.raises(KeyError, match=r"8 is no category of 't'; it has 3, 7, 22"):
        table.class_id(8)
    assert table.lookup(9).tolist() == [255, 255, 255, 1, 255, 255, 255, 0, 255]


def test_viper_counts_in_the_evaluated_order():
    table = class_table("viper")
    assert table.dataset_ids == tuple(range(23))
    assert table.names[11] == "mobilebarrier"
    numbers = {entry["viper_id"] for entry in read_shipped_table("viper")["classes"]}
    numbers.update(read_shipped_table("viper")["void_viper_ids"])
    assert numbers == set(range(32))


def test_spelling_of_the_released_json_is_not_inherited():
    assert class_table("cityscapes").names[8] == "vegetation"


def test_things_first_is_an_explicit_reordering():
    table = class_table("cityscapes")
    order = table.things_first()
    assert order[:2] == (11, 12)
    assert order[8:10] == (0, 1)
    moved = table.reordered(order)
    assert moved.names[0] == "person"
    assert moved.thing_ids == tuple(range(8))
    assert moved.class_id(11) == 0  # the number in the file has not changed


def test_table_from_categories_follows_ascending_ids():
    table = table_from_categories(
        "own",
        [
            {"id": 7, "name": "cat", "isthing": 1, "color": [1, 2, 3]},
            {"id": 3, "name": "lawn", "isthing": 0, "color": [0, 99, 0]},
        ],
    )
    assert table.names == ("lawn", "cat")
    assert table.thing_ids == (1,)
    assert table.class_id(7) == 1
    assert table.categories()[1] == {"id": 7, "name": "cat", "isthing": 1, "color": [1, 2, 3]}


def test_contradictory_tables_are_refused():
    with pytest.raises(ValueError, match="one entry per name: 2 names, 1 colors"):
        ClassTable("t", ("a", "b"), (), ((0, 0, 0),), (0, 1))
    with pytest.raises(ValueError, match="dataset id twice"):
        ClassTable("t", ("a",), (), ((0, 0, 0),), (4,), (4,))
    with pytest.raises(ValueError, match=r"thing_ids of 't' must be in 0\.\.0"):
        ClassTable("t", ("a",), (1,), ((0, 0, 0),), (4,))
