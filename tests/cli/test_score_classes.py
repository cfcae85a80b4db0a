import pytest

from dvps_d2.cli.score import choose_classes
from dvps_d2.formats import STREET_CLASSES, class_table
from dvps_d2.metrics import ClassSet

TABLE = class_table("cityscapes")
CLASSES = ClassSet(TABLE.names, TABLE.thing_ids)


def test_classes_by_name_and_those_of_the_street():
    assert choose_classes("car,road", CLASSES) == (13, 0)
    assert len(choose_classes("street", CLASSES)) == len(STREET_CLASSES) == 14


def test_an_unknown_class_is_named():
    with pytest.raises(ValueError, match="--classes: 'tram' is none of road, sidewalk"):
        choose_classes("car,tram", CLASSES)
