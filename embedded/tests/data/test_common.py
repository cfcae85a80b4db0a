"""Data sets made from others."""

import pickle
from itertools import count, islice

import pytest
from torch.utils.data import DataLoader, IterableDataset, Sampler

from detectron2.data import DatasetFromList, MapDataset, ToIterableDataset
from detectron2.data.common import AspectRatioGroupedDataset


class Endless(Sampler):
    def __init__(self):
        pass

    def __iter__(self):
        return count()


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


def even_times_ten(value):
    return None if value % 2 else 10 * value


@pytest.mark.parametrize("serialize", [True, False])
def test_elements_of_a_list_are_copies(serialize):
    source = [{"a": [1]}, {"a": [2]}]
    dataset = DatasetFromList(source, serialize=serialize)
    dataset[0]["a"].append(9)
    assert dataset[0] == {"a": [1]}
    assert dataset[1] == {"a": [2]}
    assert len(dataset) == 2


def test_a_list_without_copies():
    source = [{"a": 1}]
    assert DatasetFromList(source, copy=False, serialize=False)[0] is source[0]


def test_a_serializer_of_ones_own():
    dataset = DatasetFromList([1, 2], serialize=lambda elements: [-value for value in elements])
    assert [dataset[0], dataset[1]] == [-1, -2]


def test_failing_records_are_replaced_as_recorded(read_records):
    record = read_records("a_data")["map_dataset_fallback"]
    dataset = MapDataset(range(10), even_times_ten)
    assert [dataset[index] for index in (1, 3, 2, 5)] == record["values"]
    assert len(dataset) == 10


def test_mapping_a_stream_leaves_failures_out():
    dataset = MapDataset(Stream(), even_times_ten)
    assert isinstance(dataset, IterableDataset)
    assert list(dataset) == [0, 20, 40]


def test_a_mapped_data_set_with_a_closure_can_be_pickled():
    factor = 3
    dataset = MapDataset(DatasetFromList([1, 2]), lambda value: value * factor)
    restored = pickle.loads(pickle.dumps(dataset))
    assert [restored[0], restored[1]] == [3, 6]


def test_workers_share_the_sampler_in_chunks(read_records):
    for case in read_records("a_data")["worker_sharding"]["cases"]:
        workers = case["num_workers"]
        dataset = ToIterableDataset(
            range(1000), Endless(), shard_chunk_size=case["chunk (= batch size per process)"]
        )
        loader = iter(DataLoader(dataset, batch_size=None, num_workers=workers))
        merged = list(islice(loader, 10 * workers))  # one of each worker in turn
        found = [merged[worker::workers] for worker in range(workers)]
        assert found == case["first_10_of_0,1,2,.."]


def test_without_workers_the_sampler_is_followed():
    dataset = ToIterableDataset([10, 20, 30], Endless())
    assert list(islice(dataset, 3)) == [10, 20, 30]


def test_batches_of_one_orientation(read_records):
    record = read_records("a_data")["aspect_ratio_grouping"]
    sizes = [(4, 3), (3, 4), (5, 5), (6, 2), (1, 2), (9, 1), (2, 2), (8, 3)]
    elements = [
        {"width": width, "height": height, "id": index}
        for index, (width, height) in enumerate(sizes)
    ]
    batches = list(AspectRatioGroupedDataset(elements, 2))
    found = [[element["id"] for element in batch] for batch in batches]
    assert found == record["batches_of_input_positions"]


def test_incomplete_batches_wait_for_the_next_pass():
    dataset = AspectRatioGroupedDataset([{"width": 2, "height": 1}] * 3, 2)
    assert len(list(dataset)) == 1
    assert len(list(dataset)) == 2
