"""The standard trainer, its files, and the functions around it."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import (
    DefaultPredictor,
    DefaultTrainer,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
    hooks,
    launch,
)
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import META_ARCH_REGISTRY


@META_ARCH_REGISTRY.register()
class ToyModel(nn.Module):
    """Two losses in training; the shape and mean of the image in evaluation."""

    def __init__(self, cfg):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1))

    def forward(self, batch):
        if self.training:
            return {"loss_a": (self.p**2).sum(), "loss_b": self.p.sum() * 0}
        return [
            {
                "shape": tuple(one["image"].shape),
                "channels": one["image"].mean(dim=(1, 2)).tolist(),
                "size": (one.get("height"), one.get("width")),
            }
            for one in batch
        ]


class ToyTrainer(DefaultTrainer):
    """Constant batches; evaluation scores 3, 7, 5, ..."""

    scores = (3.0, 7.0, 5.0)

    @classmethod
    def build_train_loader(cls, cfg):
        return [[{}]] * 100

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        score = cls.remaining.pop(0)
        return {"task": {"score": score, "sub-x": 1.0, "n": 2}}

    def build_hooks(self):
        built = super().build_hooks()
        best = hooks.BestCheckpointer(self.cfg.TEST.EVAL_PERIOD, self.checkpointer, "task/score")
        built.insert(-1, best)
        return built


def toy_cfg(output_dir):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "ToyModel"
    cfg.MODEL.DEVICE = "cpu"
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS = 45, (30,)
    cfg.SOLVER.CHECKPOINT_PERIOD = 20
    cfg.TEST.EVAL_PERIOD = 15
    cfg.OUTPUT_DIR = str(output_dir)
    return cfg


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of 45 iterations: configuration and trainer."""
    cfg = toy_cfg(tmp_path_factory.mktemp("run"))
    default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
    ToyTrainer.remaining = list(ToyTrainer.scores)
    trainer = ToyTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.result = trainer.train()
    return cfg, trainer


def test_hooks_and_files_of_a_run(read_records, finished_run):
    record = read_records("b_engine")["default_trainer_run"]
    cfg, trainer = finished_run
    assert trainer.result is None
    assert [type(hook).__name__ for hook in trainer._hooks] == record["hook_order"]
    files = set(os.listdir(cfg.OUTPUT_DIR))
    expected = {name for name in record["files"] if not name.startswith("events")}
    assert {name for name in files if not name.startswith("events")} == expected
    assert any(name.startswith("events.out.tfevents.") for name in files)
    with open(os.path.join(cfg.OUTPUT_DIR, "last_checkpoint")) as file:
        assert file.read() == record["last_checkpoint_content"]


def test_order_of_saves(read_records, finished_run):
    record = read_records("b_engine")["default_trainer_run"]
    cfg, _ = finished_run
    order = record["save_order (each also rewrites last_checkpoint)"]
    with open(os.path.join(cfg.OUTPUT_DIR, "log.txt")) as file:
        saved = [line.split("/")[-1].strip() for line in file if "Saving checkpoint to" in line]
    assert saved == order


def test_lines_of_metrics(read_records, finished_run):
    record = read_records("b_engine")["default_trainer_run"]
    cfg, _ = finished_run
    with open(os.path.join(cfg.OUTPUT_DIR, "metrics.json")) as file:
        lines = [json.loads(line) for line in file]
    assert [line["iteration"] for line in lines] == record["metrics_json_iterations"]
    assert [sorted(line) for line in lines] == record["metrics_json_keys_per_line"]


def test_contents_of_a_checkpoint(read_records, finished_run):
    record = read_records("b_engine")["default_trainer_run"]
    expected = record["checkpoint_0000019"]
    cfg, _ = finished_run
    data = torch.load(os.path.join(cfg.OUTPUT_DIR, "model_0000019.pth"))
    assert sorted(data) == expected["keys"]
    assert data["iteration"] == expected["iteration"]
    trainer = data["trainer"]
    assert sorted(trainer) == expected["trainer"]
    assert trainer["iteration"] == expected["trainer.iteration"]
    assert {k: sorted(v) for k, v in trainer["hooks"].items()} == expected["trainer.hooks"]
    assert sorted(trainer["_trainer"]) == expected["trainer._trainer"]
    final = torch.load(os.path.join(cfg.OUTPUT_DIR, "model_final.pth"))
    assert final["iteration"] == record["model_final_iteration"]


def test_resuming(read_records, finished_run):
    record = read_records("b_engine")["default_trainer_run"]
    cfg, _ = finished_run
    again = ToyTrainer(cfg)
    again.resume_or_load(resume=True)
    assert again.start_iter == record["resume_start_iter_after_finish"]
    again.checkpointer.tag_last_checkpoint("model_0000019.pth")
    middle = ToyTrainer(cfg)
    middle.resume_or_load(resume=True)
    assert middle.start_iter == record["resume_from_0000019_start_iter"]
    assert middle.scheduler.last_epoch == record["resume_scheduler_last_epoch"]
    assert middle.model.p.item() < 1
    middle.checkpointer.tag_last_checkpoint("model_final.pth")
    fresh = ToyTrainer(cfg)
    fresh.resume_or_load(resume=False)
    assert fresh.start_iter == 0
    assert fresh.model.p.item() == 1


def test_expected_results_are_compared(tmp_path):
    cfg = toy_cfg(tmp_path)
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.TEST.EVAL_PERIOD = 2, (), 0
    cfg.TEST.EXPECTED_RESULTS = [["task", "score", 3.0, 0.1]]
    ToyTrainer.remaining = [3.05]
    assert ToyTrainer(cfg).train()["task"]["score"] == 3.05
    ToyTrainer.remaining = [3.2]
    with pytest.raises(SystemExit):
        ToyTrainer(cfg).train()


def test_mixed_precision_from_the_config(tmp_path):
    cfg = toy_cfg(tmp_path)
    cfg.SOLVER.AMP.ENABLED = True
    trainer = ToyTrainer(cfg)
    assert type(trainer._trainer).__name__ == "AMPTrainer"
    assert trainer.optimizer is trainer._trainer.optimizer
    if not torch.cuda.is_available():
        with pytest.raises(AssertionError, match="CUDA is required"):
            trainer.train()


class CountItems(DatasetEvaluator):
    """How many items there are."""

    def reset(self):
        self.count = 0

    def process(self, inputs, outputs):
        self.count += len(outputs)

    def evaluate(self):
        return {"count": {"items": self.count}}


class LoadsLists(DefaultTrainer):
    """Test loaders of as many batches as the name is long."""

    @classmethod
    def build_test_loader(cls, cfg, dataset_name):
        return [[{"image": torch.zeros(3, 1, 1)}]] * len(dataset_name)


def test_testing_one_and_several_datasets(tmp_path):
    cfg = toy_cfg(tmp_path)
    model = ToyModel(cfg)
    cfg.DATASETS.TEST = ("four",)
    assert LoadsLists.test(cfg, model, CountItems()) == {"count": {"items": 4}}
    cfg.DATASETS.TEST = ("four", "seven77")
    results = LoadsLists.test(cfg, model, [CountItems(), CountItems()])
    assert results["seven77"] == {"count": {"items": 7}}
    assert list(results) == ["four", "seven77"]
    # The default trainer has no evaluators: a warning, and no results.
    assert LoadsLists.test(cfg, model) == {"four": {}, "seven77": {}}
    with pytest.raises(AssertionError):
        LoadsLists.test(cfg, model, [CountItems()])
    with pytest.raises(NotImplementedError):
        LoadsLists.build_evaluator(cfg, "four")


@pytest.mark.parametrize("workers", [16, 3])
def test_scaling_to_another_number_of_processes(read_records, workers):
    record = read_records("b_engine")["auto_scale_workers"]
    cfg = get_cfg()
    values = dict(record["before"])
    cfg.TEST.EVAL_PERIOD = values.pop("EVAL_PERIOD")
    for name, value in values.items():
        setattr(cfg.SOLVER, name, tuple(value) if name == "STEPS" else value)
    cfg.freeze()
    scaled = DefaultTrainer.auto_scale_workers(cfg, workers)
    assert scaled.is_frozen()
    expected = dict(record[f"{workers}_workers"])
    assert expected.pop("EVAL_PERIOD") == scaled.TEST.EVAL_PERIOD
    for name, value in expected.items():
        got = getattr(scaled.SOLVER, name)
        assert (list(got) if name == "STEPS" else got) == pytest.approx(value), name
    assert DefaultTrainer.auto_scale_workers(cfg, 8) is cfg


def test_command_line():
    args = default_argument_parser().parse_args([])
    assert (args.config_file, args.resume, args.eval_only) == ("", False, False)
    assert (args.num_gpus, args.num_machines, args.machine_rank) == (1, 1, 0)
    assert args.dist_url.startswith("tcp://127.0.0.1:")
    assert 49152 <= int(args.dist_url.rpartition(":")[2]) < 65536
    assert args.opts == []
    args = default_argument_parser().parse_args(
        ["--config-file", "a.yaml", "--num-gpus", "2", "SEED", "3"]
    )
    assert (args.config_file, args.num_gpus, args.opts) == ("a.yaml", 2, ["SEED", "3"])


def test_setup_writes_the_config_and_seeds(tmp_path):
    cfg = get_cfg()
    cfg.OUTPUT_DIR, cfg.SEED = str(tmp_path / "run"), 5
    default_setup(cfg, SimpleNamespace(config_file="", eval_only=True))
    first = (torch.rand(1).item(), np.random.rand())
    written = get_cfg()
    written.merge_from_file(str(tmp_path / "run" / "config.yaml"))
    assert written.SEED == 5
    default_setup(cfg, SimpleNamespace(config_file="", eval_only=True))
    assert (torch.rand(1).item(), np.random.rand()) == first


def test_writers(tmp_path):
    names = [type(writer).__name__ for writer in default_writers(str(tmp_path), 10)]
    assert names == ["CommonMetricPrinter", "JSONWriter", "TensorboardXWriter"]


def test_one_process_needs_no_wrapper_and_no_launcher():
    model = nn.Linear(1, 1)
    assert create_ddp_model(model, broadcast_buffers=False) is model
    calls = []
    assert launch(lambda a, b: calls.append((a, b)), 1, args=(1, 2)) is None
    assert calls == [(1, 2)]


@pytest.fixture
def predictor_cfg(tmp_path):
    cfg = toy_cfg(tmp_path)
    torch.save({"p": torch.tensor([5.0])}, tmp_path / "weights.pth")
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 4, 100
    return cfg


@pytest.mark.parametrize(("image_format", "first_channel"), [("BGR", 10.0), ("RGB", 30.0)])
def test_predictor_takes_bgr(predictor_cfg, image_format, first_channel):
    predictor_cfg.INPUT.FORMAT = image_format
    predictor = DefaultPredictor(predictor_cfg)
    assert predictor.model.p.item() == 5
    assert not predictor.model.training
    image = np.zeros((2, 3, 3), np.uint8)
    image[:] = (10, 20, 30)
    output = predictor(image)
    assert output["shape"] == (3, 4, 6)
    assert output["size"] == (2, 3)
    assert output["channels"][0] == first_channel
    assert not hasattr(predictor, "metadata")


def test_predictor_knows_the_metadata_and_refuses_other_formats(predictor_cfg):
    DatasetCatalog.register("toy_predictor_set", list)
    MetadataCatalog.get("toy_predictor_set").thing_classes = ["dog"]
    predictor_cfg.DATASETS.TEST = ("toy_predictor_set",)
    assert DefaultPredictor(predictor_cfg).metadata.thing_classes == ["dog"]
    predictor_cfg.INPUT.FORMAT = "L"
    with pytest.raises(AssertionError):
        DefaultPredictor(predictor_cfg)
