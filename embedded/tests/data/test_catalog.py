"""DatasetCatalog and MetadataCatalog."""

import re

import pytest

from detectron2.data import DatasetCatalog, MetadataCatalog


@pytest.fixture
def name():
    """A free name, forgotten afterwards."""
    yield "toy_catalog_test"
    DatasetCatalog.pop("toy_catalog_test", None)
    MetadataCatalog.pop("toy_catalog_test", None)


def test_get_calls_the_function_every_time(name):
    calls = []
    DatasetCatalog.register(name, lambda: calls.append(1) or [{"a": len(calls)}])
    assert name in DatasetCatalog
    assert name in DatasetCatalog.list()
    assert [DatasetCatalog.get(name), DatasetCatalog.get(name)] == [[{"a": 1}], [{"a": 2}]]
    DatasetCatalog.remove(name)
    assert name not in DatasetCatalog


def test_errors_of_the_data_set_catalog(name):
    with pytest.raises(KeyError, match=f"Dataset '{name}' is not registered! Available datasets"):
        DatasetCatalog.get(name)
    with pytest.raises(AssertionError):
        DatasetCatalog.register(name, [])
    DatasetCatalog.register(name, list)
    with pytest.raises(AssertionError, match=f"Dataset '{name}' is already registered!"):
        DatasetCatalog.register(name, list)


def test_metadata_is_made_on_first_access(name):
    assert name not in MetadataCatalog.list()
    metadata = MetadataCatalog.get(name)
    assert metadata.name == name
    assert MetadataCatalog.get(name) is metadata
    assert name in MetadataCatalog.list()
    MetadataCatalog.remove(name)
    assert name not in MetadataCatalog


def test_metadata_attributes(name):
    metadata = MetadataCatalog.get(name)
    assert metadata.set(thing_classes=["a"], ignore_label=255) is metadata
    assert metadata.thing_classes == ["a"]
    assert metadata.get("nothing", 3) == 3
    copied = metadata.as_dict()
    copied["ignore_label"] = 0
    assert metadata.ignore_label == 255


def test_a_value_cannot_change(name):
    metadata = MetadataCatalog.get(name)
    metadata.thing_classes = ["a"]
    metadata.thing_classes = ["a"]
    text = (
        f"Attribute 'thing_classes' in the metadata of '{name}' cannot be set to a different "
        "value!\n['a'] != ['b']"
    )
    with pytest.raises(AssertionError, match=re.escape(text)):
        metadata.thing_classes = ["b"]
    MetadataCatalog.pop(name)
    MetadataCatalog.get(name).thing_classes = ["b"]


def test_missing_attributes(name):
    metadata = MetadataCatalog.get(name)
    with pytest.raises(
        AttributeError,
        match=f"Attribute 'stuff_classes' does not exist in the metadata of dataset '{name}': "
        "metadata is empty.",
    ):
        metadata.stuff_classes  # noqa: B018
    metadata.thing_classes = ["a"]
    text = "Available keys are dict_keys(['name', 'thing_classes'])."
    with pytest.raises(AttributeError, match=re.escape(text)):
        metadata.stuff_classes  # noqa: B018


def test_old_names_still_work(name):
    metadata = MetadataCatalog.get(name)
    metadata.class_names = ["a"]
    assert metadata.thing_classes == ["a"]
    assert metadata.class_names == ["a"]


def test_an_empty_name_is_refused():
    with pytest.raises(AssertionError):
        MetadataCatalog.get("")
