"""Loaders: from lists and from a config."""

from itertools import islice

import pytest
from torch.utils.data import Dataset

from detectron2.config import get_cfg
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_batch_data_loader,
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.samplers import TrainingSampler


@pytest.fixture
def register():
    """Register data sets for the time of a test."""
    names = []

    def add(name: str, records: object, **metadata: object) -> str:
        DatasetCatalog.register(name, lambda: records)
        names.append(name)
        MetadataCatalog.get(name).set(**metadata)
        return name

    yield add
    for name in names:
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)


def numbers(count: int) -> list[dict]:
    """Records with an id, alternately landscape and portrait."""
    return [{"id": index, "width": 3 + index % 2, "height": 3} for index in range(count)]


def ids(batches) -> list[list[int]]:
    return [[record["id"] for record in batch] for batch in batches]


def same(record: dict) -> dict:
    return record


@pytest.fixture
def cfg(register):
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (register("toy_loader", numbers(6)),)
    cfg.DATASETS.TEST = ("toy_loader",)
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    return cfg


def test_training_batches_follow_the_sampler(cfg):
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    batches = list(islice(build_detection_train_loader(cfg, mapper=same), 4))
    order = list(islice(TrainingSampler(6, seed=-1), 8))  # SEED -1 is a seed like any other
    assert ids(batches) == [order[0:2], order[2:4], order[4:6], order[6:8]]


def test_grouped_training_batches_have_one_orientation(cfg):
    for batch in islice(build_detection_train_loader(cfg, mapper=same), 10):
        assert len({record["width"] > record["height"] for record in batch}) == 1


def test_training_from_parts():
    loader = build_detection_train_loader(
        numbers(4),
        mapper=lambda record: {**record, "id": -record["id"]},
        sampler=TrainingSampler(4, shuffle=False),
        total_batch_size=2,
        aspect_ratio_grouping=False,
        collate_fn=tuple,
    )
    first = next(iter(loader))
    assert isinstance(first, tuple)
    assert ids([first]) == [[0, -1]]


def test_grouping_with_a_collate_function():
    loader = build_detection_train_loader(
        numbers(4), mapper=None, total_batch_size=2, collate_fn=tuple
    )
    assert isinstance(next(iter(loader)), tuple)


def test_keywords_override_the_config(cfg):
    loader = build_detection_train_loader(
        cfg, mapper=same, total_batch_size=3, aspect_ratio_grouping=False
    )
    assert len(next(iter(loader))) == 3


def test_workers_give_the_same_batches(cfg):
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    alone = list(islice(build_detection_train_loader(cfg, mapper=same), 5))
    cfg.DATALOADER.NUM_WORKERS = 2
    assert list(islice(build_detection_train_loader(cfg, mapper=same), 5)) == alone


def test_testing_keeps_everything_in_order(cfg):
    loader = build_detection_test_loader(cfg, "toy_loader", mapper=same)
    assert len(loader) == 6
    assert ids(loader) == [[0], [1], [2], [3], [4], [5]]
    loader = build_detection_test_loader(numbers(5), mapper=None, batch_size=2)
    assert ids(loader) == [[0, 1], [2, 3], [4]]


def test_repeat_factors_and_subsets_from_a_config(register):
    annotations = [[0], [0], [0], [1, 0]]
    records = [
        {"id": index, "annotations": [{"category_id": category} for category in of_image]}
        for index, of_image in enumerate(annotations)
    ]
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (register("toy_rare", records),)
    cfg.SOLVER.IMS_PER_BATCH = 5
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    cfg.DATALOADER.REPEAT_THRESHOLD = 1.0  # sqrt(1 / 0.25) = twice for the class in one of four
    batch = next(iter(build_detection_train_loader(cfg, mapper=same)))
    assert sorted(ids([batch])[0]) == [0, 1, 2, 3, 3]
    cfg.DATALOADER.SAMPLER_TRAIN = "RandomSubsetTrainingSampler"
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 0.5
    batch = next(iter(build_detection_train_loader(cfg, mapper=same)))
    assert len(set(ids([batch])[0])) == 2


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("Foo", ValueError, "Unknown training sampler: Foo"),
        ("RandomSubsetTrainingSampler", AttributeError, "RANDOM_SUBSET_RATIO"),
        ("WeightedTrainingSampler", AttributeError, "TRAIN_REPEAT_FACTOR"),
    ],
)
def test_samplers_that_cannot_be_built(cfg, name, error, text):
    cfg.DATALOADER.SAMPLER_TRAIN = name
    with pytest.raises(error, match=text):
        build_detection_train_loader(cfg, mapper=same)


def test_bad_batch_sizes():
    sampler = TrainingSampler(2)
    with pytest.raises(
        AssertionError,
        match=r"Total batch size \(0\) must be divisible by the number of gpus \(1\).",
    ):
        build_batch_data_loader([1, 2], sampler, 0)
    with pytest.raises(ValueError, match="single_gpu_batch_size"):
        build_batch_data_loader([1, 2], sampler, 2, single_gpu_batch_size=2)
    with pytest.raises(AssertionError):
        build_batch_data_loader([1, 2], sampler, 2, aspect_ratio_grouping=True, drop_last=False)


def test_records_are_concatenated_and_filtered(register):
    crowd = [{"id": 0, "annotations": [{"category_id": 0, "iscrowd": 1}]}]
    one = [{"id": 1, "annotations": [{"category_id": 0}]}, {"id": 2, "annotations": []}]
    register("toy_crowd", crowd, thing_classes=["a"])
    register("toy_one", one, thing_classes=["a"])
    names = ["toy_crowd", "toy_one"]
    assert ids([get_detection_dataset_dicts(names)]) == [[1]]
    assert ids([get_detection_dataset_dicts(names, filter_empty=False)]) == [[0, 1, 2]]
    with pytest.raises(AssertionError):
        get_detection_dataset_dicts("toy_crowd")  # nothing is left


def test_data_sets_must_agree_on_their_classes(register):
    records = [{"annotations": [{"category_id": 0}]}]
    register("toy_a", records, thing_classes=["a"])
    register("toy_b", records, thing_classes=["b"])
    with pytest.raises(ValueError, match="thing_classes"):
        get_detection_dataset_dicts(["toy_a", "toy_b"])
    assert len(get_detection_dataset_dicts(["toy_a", "toy_b"], check_consistency=False)) == 2


def test_records_without_annotations_are_not_filtered(register):
    videos = [{"video_id": "a"}, {"video_id": "b"}]
    assert get_detection_dataset_dicts(register("toy_videos", videos)) == videos


def test_missing_and_empty_data_sets(register):
    with pytest.raises(KeyError, match="Dataset 'toy_nope' is not registered!"):
        get_detection_dataset_dicts("toy_nope")
    with pytest.raises(AssertionError, match="Dataset 'toy_empty' is empty!"):
        get_detection_dataset_dicts(register("toy_empty", []))
    with pytest.raises(AssertionError):
        get_detection_dataset_dicts([])


def test_a_torch_data_set_is_passed_through(register):
    class Squares(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return index**2

    squares = Squares()
    register("toy_squares", squares)
    assert get_detection_dataset_dicts("toy_squares") is squares
    register("toy_more_squares", squares)
    both = get_detection_dataset_dicts(["toy_squares", "toy_more_squares"])
    assert [both[index] for index in range(6)] == [0, 1, 4, 0, 1, 4]
