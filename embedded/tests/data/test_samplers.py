"""Samplers: fixed sequences, and the parts of several processes."""

from itertools import islice

import pytest
import torch
from torch.utils.data import SequentialSampler

from detectron2.data.samplers import (
    GroupedBatchSampler,
    InferenceSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    TrainingSampler,
)
from detectron2.utils import comm


@pytest.fixture
def pretend_rank(monkeypatch):
    """Make this process look like one of several."""

    def pretend(rank: int, world: int) -> None:
        monkeypatch.setattr(comm, "get_rank", lambda: rank)
        monkeypatch.setattr(comm, "get_world_size", lambda: world)

    return pretend


def test_training_sequences_equal_the_recorded_ones(read_records, pretend_rank):
    for case in read_records("a_data")["training_sampler"]["cases"]:
        pretend_rank(case["rank"], case["world"])
        sampler = TrainingSampler(case["size"], shuffle=case["shuffle"], seed=case["seed"])
        assert list(islice(sampler, len(case["first"]))) == case["first"]


def test_training_starts_again_from_the_beginning():
    sampler = TrainingSampler(10, seed=0)
    assert list(islice(sampler, 25)) == list(islice(sampler, 25))


@pytest.mark.parametrize(
    ("size", "error", "text"),
    [
        (1.0, TypeError, r"TrainingSampler\(size=\) expects an int. Got type <class 'float'>."),
        (0, ValueError, r"TrainingSampler\(size=\) expects a positive int. Got 0."),
    ],
)
def test_bad_sizes(size, error, text):
    with pytest.raises(error, match=text):
        TrainingSampler(size)


def test_a_random_subset(read_records):
    record = read_records("a_data")["random_subset_sampler"]
    seeds = {"seed_shuffle": 1, "seed_subset": 2}
    shuffled = RandomSubsetTrainingSampler(10, 0.45, **seeds)
    assert list(islice(shuffled, 12)) == record["first"]
    unshuffled = RandomSubsetTrainingSampler(10, 0.45, shuffle=False, **seeds)
    assert list(islice(unshuffled, 8)) == record["unshuffled"]


def test_repeat_factors(read_records):
    record = read_records("a_data")["repeat_factor_sampler"]
    images = [[0], [0, 1], [0], [2, 0], [], [0, 0]]
    records = [
        {"annotations": [{"category_id": category} for category in image]} for image in images
    ]
    find = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency
    factors = find(records, 0.5)
    assert factors.tolist() == pytest.approx(record["repeat_factors"])
    assert find(records, 0.5, sqrt=False).tolist() == pytest.approx(record["without_sqrt"])
    sampler = RepeatFactorTrainingSampler(factors, seed=5)
    assert list(islice(sampler, 30)) == record["seed_5_first_30"]
    sampler = RepeatFactorTrainingSampler(factors, seed=5, shuffle=False)
    assert list(islice(sampler, 20)) == record["seed_5_unshuffled_first_20"]


def test_a_factor_of_two_is_twice_in_every_epoch():
    sampler = RepeatFactorTrainingSampler(torch.tensor([2.0, 1.0]), shuffle=False, seed=0)
    assert list(islice(sampler, 6)) == [0, 0, 1, 0, 0, 1]


def test_inference_parts_equal_the_recorded_ones(read_records, pretend_rank):
    for case in read_records("a_data")["inference_sampler"]["cases"]:
        for rank, part in enumerate(case["ranges"]):
            pretend_rank(rank, case["world"])
            sampler = InferenceSampler(case["size"])
            indices = list(sampler)
            assert indices == (list(range(*part)) if part else [])
            assert len(sampler) == len(indices)


def test_grouped_batches(read_records):
    record = read_records("a_data")["grouped_batch_sampler"]
    groups = [0, 1, 0, 0, 1, 1, 1, 0]
    sampler = GroupedBatchSampler(SequentialSampler(range(8)), groups, 2)
    assert [*iter(sampler)] == record["batches"]
    with pytest.raises(NotImplementedError):
        len(sampler)


def test_grouping_needs_a_sampler():
    with pytest.raises(ValueError, match="sampler"):
        GroupedBatchSampler([0, 1], [0, 0], 1)
