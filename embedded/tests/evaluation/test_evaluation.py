"""Running models over datasets, printing and comparing results."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import (
    DatasetEvaluator,
    DatasetEvaluators,
    SemSegEvaluator,
    inference_context,
    inference_on_dataset,
    print_csv_format,
    verify_results,
)
from detectron2.evaluation.testing import flatten_results_dict


class Sum(DatasetEvaluator):
    """Adds up the outputs."""

    def __init__(self, name="sum"):
        self.name = name

    def reset(self):
        self.total = 0

    def process(self, inputs, outputs):
        self.total += sum(outputs)

    def evaluate(self):
        return {self.name: {"total": self.total}}


class Silent(DatasetEvaluator):
    """Has nothing to say, as outside of the main process."""


class Twice(nn.Module):
    """Doubles, and says whether it may."""

    def forward(self, x):
        assert not self.training
        assert not torch.is_grad_enabled()
        return [2 * value for value in x]


def test_a_model_over_a_loader():
    model = Twice().train()
    assert inference_on_dataset(model, [[1, 2], [3]], Sum()) == {"sum": {"total": 12}}
    assert model.training
    assert inference_on_dataset(model.eval(), [[1]], Sum())["sum"]["total"] == 2
    assert not model.training


def test_functions_several_evaluators_and_none():
    loader = [[1]] * 3
    results = inference_on_dataset(lambda x: x, loader, [Sum("a"), Silent(), Sum("b")])
    assert results == {"a": {"total": 3}, "b": {"total": 3}}
    assert inference_on_dataset(lambda x: x, loader, None) == {}
    assert inference_on_dataset(lambda x: x, loader, Silent()) == {}


def test_an_empty_loader_and_one_without_a_length():
    assert inference_on_dataset(lambda x: x, [], Sum()) == {"sum": {"total": 0}}
    with pytest.raises(TypeError):
        inference_on_dataset(lambda x: x, iter([[1]]), Sum())


def test_callbacks():
    calls = []
    names = ("on_start", "before_inference", "after_inference", "on_end")
    callbacks = {name: lambda name=name: calls.append(name) for name in names}
    inference_on_dataset(lambda x: x, [[1]] * 2, Sum(), callbacks=callbacks)
    each = ["before_inference", "after_inference"]
    assert calls == ["on_start", *each, *each, "on_end"]


def test_two_evaluators_may_not_use_one_key():
    both = DatasetEvaluators([Sum(), Sum()])
    both.reset()
    with pytest.raises(AssertionError):
        both.evaluate()


def test_inference_context():
    model = nn.Linear(1, 1)
    with inference_context(model):
        assert not model.training
    assert model.training


def test_flattened_results(read_records):
    record = read_records("b_evaluation")["flatten_results_dict"]
    assert flatten_results_dict(record["in"]) == record["out"]


@pytest.fixture
def lines():
    messages = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger("detectron2.evaluation.testing")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_printed_lines(lines):
    print_csv_format({"vpq": {"all": 12.34567, "AP-car": 1.0, "th": float("nan")}, "speed": 3})
    assert lines == [
        "copypaste: Task: vpq",
        "copypaste: all,th",
        "copypaste: 12.3457,nan",
        "copypaste: speed=3",
    ]


def test_values_must_be_numbers():
    with pytest.raises((TypeError, ValueError)):
        print_csv_format({"task": {"metric": "high"}})


@pytest.mark.parametrize("value", [0.7, float("nan"), None])
def test_results_that_differ_end_the_process(value):
    cfg = get_cfg()
    assert verify_results(cfg, {})
    cfg.TEST.EXPECTED_RESULTS = [["task", "metric", 0.5, 0.1]]
    assert verify_results(cfg, {"task": {"metric": 0.59}})
    with pytest.raises(SystemExit) as info:
        verify_results(cfg, {"task": {} if value is None else {"metric": value}})
    assert info.value.code == 1


TRUTH = [[0, 0, 1, 1], [0, 1, 1, 255]]
PREDICTED = [[0, 0, 1, 0], [0, 1, 1, 1]]


@pytest.fixture
def evaluator(tmp_path):
    path = str(tmp_path / "truth.png")
    Image.fromarray(np.array(TRUTH, np.uint8)).save(path)
    name = f"sem_seg_{tmp_path.name}"
    DatasetCatalog.register(name, lambda: [{"file_name": "a.jpg", "sem_seg_file_name": path}])
    MetadataCatalog.get(name).set(stuff_classes=["road", "car", "sky"], ignore_label=255)
    yield SemSegEvaluator(name, distributed=False, output_dir=str(tmp_path / "out"))
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def test_intersection_over_union(evaluator, tmp_path):
    scores = torch.nn.functional.one_hot(torch.tensor(PREDICTED), 3).permute(2, 0, 1).float()
    evaluator.reset()
    evaluator.process([{"file_name": "a.jpg"}], [{"sem_seg": scores}])
    result = evaluator.evaluate()["sem_seg"]
    road, car = 3 / 4, 3 / 4  # one car pixel is called road
    assert result["IoU-road"] == pytest.approx(100 * road)
    assert result["IoU-car"] == pytest.approx(100 * car)
    assert np.isnan(result["IoU-sky"])
    assert result["mIoU"] == pytest.approx(100 * (road + car) / 2)
    assert result["fwIoU"] == pytest.approx(100 * (3 * road + 4 * car) / 7)
    assert result["mACC"] == pytest.approx(100 * (1 + 3 / 4) / 2)
    assert result["pACC"] == pytest.approx(100 * 6 / 7)
    assert (tmp_path / "out" / "sem_seg_predictions.json").exists()
