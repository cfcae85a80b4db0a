import pytest

from dvps_d2.street import PRESETS, STUFF_IDS, THING_IDS, StreetConfig, split_seed


def test_splits_and_data_sets_never_share_a_seed():
    seeds = [
        split_seed(split, index, seed)
        for seed in (0, 1, 2)
        for split in ("train", "val", "test")
        for index in (0, 1, 999_999)
    ]
    assert len(set(seeds)) == 27


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("valid", 0), "split must be one of train, val, test", id="split"),
        pytest.param(("val", 1_000_000), "index must be in 0..999999", id="index"),
        pytest.param(("val", 0, -1), "seed must not be negative", id="seed"),
    ],
)
def test_bad_seeds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_seed(*arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 8), ("frames", 0), ("interval", 0.0), ("crowding", 1.5), ("noise", -1.0)],
)
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field if field != "height" else "at least 16 x 16"):
        StreetConfig(**{field: value})


def test_the_smallest_thing_grows_with_the_frame():
    assert StreetConfig().min_thing_pixels == 40
    assert StreetConfig(height=192, width=384).min_thing_pixels == 160


def test_compare_is_harder_than_quick_in_every_way():
    quick, compare = PRESETS["quick"], PRESETS["compare"]
    for knob in ("interval", "crowding", "look_alike", "occlusion", "crossing", "speed"):
        assert getattr(compare, knob) > getattr(quick, knob), knob
    assert quick.min_thing_area == compare.min_thing_area == 40


def test_eight_stuff_and_six_thing_classes():
    assert (len(STUFF_IDS), len(THING_IDS)) == (8, 6)
    assert not set(STUFF_IDS) & set(THING_IDS)
