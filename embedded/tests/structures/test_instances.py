"""Instances: fields of equal length."""

import pytest
import torch

from detectron2.structures import Boxes, Instances


def make(count: int = 3) -> Instances:
    return Instances(
        (4, 5),
        boxes=Boxes(torch.arange(4 * count).reshape(count, 4)),
        scores=torch.arange(count),
        names=[f"n{index}" for index in range(count)],
    )


def test_no_fields_have_no_length():
    with pytest.raises(NotImplementedError, match="Empty Instances does not support __len__!"):
        len(Instances((4, 5)))


def test_zero_objects():
    instances = make(0)
    assert len(instances) == 0
    instances.remove("names")
    assert len(instances[torch.zeros(0, dtype=torch.long)]) == 0


def test_a_field_of_another_length_is_refused():
    with pytest.raises(
        AssertionError, match="Adding a field of length 1 to a Instances of length 3"
    ):
        make().more = [1]


def test_a_missing_field_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Cannot find field 'foo' in the given Instances!"):
        make().foo  # noqa: B018


def test_fields_are_attributes():
    instances = make()
    instances.classes = torch.tensor([1, 1, 2])
    assert instances.has("classes")
    assert instances.get("classes") is instances.classes
    assert set(instances.get_fields()) == {"boxes", "scores", "names", "classes"}
    instances.remove("classes")
    assert not instances.has("classes")
    assert instances.image_size == (4, 5)


def test_underscored_names_are_not_fields():
    instances = make()
    instances._note = "anything"
    assert instances._note == "anything"
    assert not instances.has("_note")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param(1, ["n1"], id="int"),
        pytest.param(-1, ["n2"], id="negative int"),
        pytest.param(slice(0, 2), ["n0", "n1"], id="slice"),
    ],
)
def test_indexing_selects_in_every_field(item, expected):
    selected = make()[item]
    assert selected.names == expected
    assert len(selected.boxes) == len(expected)
    assert selected.image_size == (4, 5)


def test_indexing_by_tensors():
    instances = make()
    instances.remove("names")  # lists cannot be indexed by tensors
    assert instances[torch.tensor([2, 0])].scores.tolist() == [2, 0]
    assert instances[instances.scores > 0].scores.tolist() == [1, 2]


def test_index_out_of_range():
    for index in (3, -4):
        with pytest.raises(IndexError):
            make()[index]


def test_it_is_not_iterable():
    with pytest.raises(NotImplementedError):
        iter(make())


def test_to_casts_what_can_be_cast():
    moved = make().to("cpu")
    assert moved.names == ["n0", "n1", "n2"]
    assert moved.boxes.tensor.device.type == "cpu"


def test_cat_of_tensors_lists_and_boxes():
    both = Instances.cat([make(1), make(2)])
    assert both.scores.tolist() == [0, 0, 1]
    assert both.names == ["n0", "n0", "n1"]
    assert len(both.boxes) == 3
    single = make(1)
    assert Instances.cat([single]) is single


def test_cat_refuses_other_image_sizes_and_types():
    with pytest.raises(AssertionError):
        Instances.cat([make(1), Instances((9, 9), scores=torch.zeros(1))])
    with pytest.raises(ValueError, match="for concatenation"):
        Instances.cat([Instances((4, 5), name="a"), Instances((4, 5), name="b")])
