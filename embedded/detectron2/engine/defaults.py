"""The standard training program, from command line to predictor."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from fvcore.nn.precise_bn import get_bn_modules
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import detectron2.data.transforms as T
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import (
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.evaluation import (
    DatasetEvaluator,
    inference_on_dataset,
    print_csv_format,
    verify_results,
)
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
)
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger

from . import hooks
from .train_loop import AMPTrainer, HookBase, SimpleTrainer, TrainerBase

__all__ = [
    "DefaultPredictor",
    "DefaultTrainer",
    "create_ddp_model",
    "default_argument_parser",
    "default_setup",
    "default_writers",
]


def create_ddp_model(
    model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any
) -> nn.Module:
    """Wrap a model for several processes; with one process it comes back as it is.

    ``device_ids`` defaults to the local rank, a GPU: on CPUs pass ``device_ids=None``, as
    DistributedDataParallel refuses anything else there.

    Args:
        model: on its device.
        fp16_compression: exchange gradients in half precision.
        **kwargs: for ``DistributedDataParallel``.
    """
    if comm.get_world_size() == 1:
        return model
    kwargs.setdefault("device_ids", [comm.get_local_rank()])
    wrapped = DistributedDataParallel(model, **kwargs)
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        wrapped.register_comm_hook(state=None, hook=default_hooks.fp16_compress_hook)
    return wrapped


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """The options of training scripts.

    Args:
        epilog: text after the options; by default some examples.
    """
    script = sys.argv[0]
    parser = argparse.ArgumentParser(
        epilog=epilog
        or f"""
Examples:

On one GPU:
    $ {script} --config-file cfg.yaml

On the 8 GPUs of this machine, with another learning rate:
    $ {script} --num-gpus 8 --config-file cfg.yaml SOLVER.BASE_LR 0.01

On 2 machines, one command on each:
    (machine 0) $ {script} --num-machines 2 --machine-rank 0 --dist-url <URL> [options]
    (machine 1) $ {script} --num-machines 2 --machine-rank 1 --dist-url <URL> [options]
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="the config")
    add("--resume", action="store_true", help="go on from the last checkpoint in OUTPUT_DIR")
    add("--eval-only", action="store_true", help="evaluate, do not train")
    add("--num-gpus", type=int, default=1, help="processes per machine")
    add("--num-machines", type=int, default=1, help="machines in all")
    add("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    # A port per user, so that two users of one machine do not meet.
    user = os.getuid() if hasattr(os, "getuid") else 1
    port = 2**15 + 2**14 + hash(user) % 2**14
    add(
        "--dist-url",
        default=f"tcp://127.0.0.1:{port}",
        help="where processes meet: an address as torch.distributed takes it",
    )
    add(
        "opts",
        nargs=argparse.REMAINDER,
        default=None,
        help="changes to the config, as pairs KEY VALUE behind all options",
    )
    return parser


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Prepare a run: folder, logs, seed; write the whole config to ``config.yaml``.

    Args:
        cfg: the config.
        args: from ``default_argument_parser``, or anything like it.
    """
    output_dir, rank = cfg.OUTPUT_DIR, comm.get_rank()
    if comm.is_main_process() and output_dir:
        PathManager.mkdirs(output_dir)
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    logger = setup_logger(output_dir, distributed_rank=rank)
    logger.info("Rank of current process: %d. World size: %d", rank, comm.get_world_size())
    logger.info("Environment info:\n%s", collect_env_info())
    logger.info("Command line arguments: %s", args)
    config_file = getattr(args, "config_file", "")
    if config_file:
        with PathManager.open(config_file, "r") as file:
            logger.info("Contents of args.config_file=%s:\n%s", config_file, file.read())
    if comm.is_main_process() and output_dir:
        logger.info("Running with full config:\n%s", cfg.dump())
        path = os.path.join(output_dir, "config.yaml")
        with PathManager.open(path, "w") as file:
            file.write(cfg.dump())
        logger.info("Full config saved to %s", path)

    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + rank)
    # Evaluation images differ in size, for which benchmarking does not pay.
    if not getattr(args, "eval_only", False):
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.FLOAT32_PRECISION:
        torch.set_float32_matmul_precision(cfg.FLOAT32_PRECISION)


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Log lines, ``metrics.json`` and TensorBoard files.

    Args:
        output_dir: folder of the files.
        max_iter: for the estimate of the time left.
    """
    PathManager.mkdirs(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]


class DefaultPredictor:
    """A model from a config, for one image at a time.

    Attributes:
        cfg: a copy of the config.
        model: in evaluation mode, with ``cfg.MODEL.WEIGHTS``.
        metadata: of the first of ``cfg.DATASETS.TEST``, if there is one.
        aug: resizes as in testing.
        input_format: what the model takes, RGB or BGR.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg.clone()
        self.model = build_model(self.cfg)
        self.model.eval()
        if len(cfg.DATASETS.TEST):
            self.metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
        DetectionCheckpointer(self.model).load(cfg.MODEL.WEIGHTS)
        self.aug = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)
        self.input_format = cfg.INPUT.FORMAT
        assert self.input_format in ("RGB", "BGR"), (
            f"INPUT.FORMAT must be RGB or BGR, got {self.input_format}"
        )

    def __call__(self, original_image: np.ndarray) -> dict:
        """Predict.

        Args:
            original_image: (H, W, 3) uint8 in BGR order, whatever the model takes.

        Returns:
            The model's output for this image, in its original size.
        """
        with torch.no_grad():
            if self.input_format == "RGB":
                original_image = original_image[:, :, ::-1]
            height, width = original_image.shape[:2]
            image = self.aug.get_transform(original_image).apply_image(original_image)
            image = torch.as_tensor(image.astype("float32").transpose(2, 0, 1))
            return self.model([{"image": image, "height": height, "width": width}])[0]


class DefaultTrainer(TrainerBase):
    """Everything from a config: model, optimizer, loaders, schedule, checkpoints, hooks.

    Subclasses override the ``build_*`` methods. The work of a step is done by ``_trainer``, a
    ``SimpleTrainer`` or ``AMPTrainer``.

    Attributes:
        cfg: the config, after ``auto_scale_workers``.
        scheduler: the learning-rate schedule.
        checkpointer: saves and loads model and trainer.
        start_iter: where ``train`` starts; set by ``resume_or_load``.
        max_iter: ``cfg.SOLVER.MAX_ITER``.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        logger = logging.getLogger("detectron2")
        if not logger.isEnabledFor(logging.INFO):  # nobody has called default_setup
            setup_logger()
        cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())

        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        data_loader = self.build_train_loader(cfg)
        model = create_ddp_model(model, broadcast_buffers=False)
        step_class = AMPTrainer if cfg.SOLVER.AMP.ENABLED else SimpleTrainer
        self._trainer = step_class(model, data_loader, optimizer)

        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = DetectionCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            # A proxy, since the checkpointer belongs to the trainer.
            trainer=weakref.proxy(self),
        )
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    @property
    def model(self) -> nn.Module:
        """The model, wrapped when there are several processes."""
        return self._trainer.model

    @model.setter
    def model(self, value: nn.Module) -> None:
        self._trainer.model = value

    @property
    def data_loader(self) -> Iterable:
        """Training batches."""
        return self._trainer.data_loader

    @data_loader.setter
    def data_loader(self, value: Iterable) -> None:
        self._trainer.data_loader = value

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self._trainer.optimizer

    @optimizer.setter
    def optimizer(self, value: torch.optim.Optimizer) -> None:
        self._trainer.optimizer = value

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from ``last_checkpoint``, or take only the weights of ``cfg.MODEL.WEIGHTS``.

        Args:
            resume: whether to look for ``last_checkpoint`` in OUTPUT_DIR.
        """
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if resume and self.checkpointer.has_checkpoint():
            # The stored iteration is done.
            self.start_iter = self.iter + 1

    def build_hooks(self) -> list[HookBase | None]:
        """Timing, schedule, precise batch norm, checkpoints, evaluation and, last, writing."""
        cfg = self.cfg.clone()
        cfg.defrost()
        cfg.DATALOADER.NUM_WORKERS = 0  # for precise batch norm: no second set of workers

        def evaluate() -> dict:
            self._last_eval_results = self.test(self.cfg, self.model)
            return self._last_eval_results

        precise_bn = None
        if cfg.TEST.PRECISE_BN.ENABLED and get_bn_modules(self.model):
            precise_bn = hooks.PreciseBN(
                cfg.TEST.EVAL_PERIOD,
                self.model,
                self.build_train_loader(cfg),
                cfg.TEST.PRECISE_BN.NUM_ITER,
            )
        built = [hooks.IterationTimer(), hooks.LRScheduler(), precise_bn]
        # Saved before the evaluation, which may fail.
        if comm.is_main_process():
            built.append(
                hooks.PeriodicCheckpointer(self.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD)
            )
        built.append(hooks.EvalHook(cfg.TEST.EVAL_PERIOD, evaluate))
        if comm.is_main_process():
            built.append(hooks.PeriodicWriter(self.build_writers(), period=20))
        return built

    def build_writers(self) -> list[EventWriter]:
        """Where logged values go."""
        return default_writers(self.cfg.OUTPUT_DIR, self.max_iter)

    def train(self) -> dict | None:
        """Run from ``start_iter`` to ``max_iter``.

        Returns:
            The last evaluation, on the main process and with TEST.EXPECTED_RESULTS set, after
            comparing the two; else None.
        """
        super().train(self.start_iter, self.max_iter)
        if len(self.cfg.TEST.EXPECTED_RESULTS) and comm.is_main_process():
            assert hasattr(self, "_last_eval_results"), (
                "TEST.EXPECTED_RESULTS is set, but no evaluation was run"
            )
            verify_results(self.cfg, self._last_eval_results)
            return self._last_eval_results
        return None

    def run_step(self) -> None:
        """One step of the inner trainer."""
        self._trainer.iter = self.iter
        self._trainer.run_step()

    def state_dict(self) -> dict:
        """Also the state of the inner trainer."""
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Also the state of the inner trainer."""
        super().load_state_dict(state_dict)
        self._trainer.load_state_dict(state_dict["_trainer"])

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """The model, logged in full."""
        model = build_model(cfg)
        logging.getLogger(__name__).info("Model:\n%s", model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer):
        """The learning-rate schedule, stepped per iteration."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable:
        """Endless training batches."""
        return build_detection_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable:
        """The batches of one dataset."""
        return build_detection_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """The evaluator of one dataset; there is none by default."""
        raise NotImplementedError(
            f"No evaluator for {dataset_name}: override build_evaluator, "
            "or pass evaluators= to test()"
        )

    @classmethod
    def test(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        evaluators: DatasetEvaluator | list[DatasetEvaluator] | None = None,
    ) -> dict:
        """Evaluate on every dataset of ``cfg.DATASETS.TEST``.

        Args:
            cfg: the config.
            model: what to evaluate.
            evaluators: one per dataset; by default from ``build_evaluator``.

        Returns:
            The results of the dataset, or with several {dataset: results}.
        """
        logger = logging.getLogger(__name__)
        names = cfg.DATASETS.TEST
        if isinstance(evaluators, DatasetEvaluator):
            evaluators = [evaluators]
        if evaluators is not None:
            assert len(evaluators) == len(names), (
                f"{len(names)} test datasets, but {len(evaluators)} evaluators"
            )
        results: dict[str, dict] = OrderedDict()
        for index, name in enumerate(names):
            data_loader = cls.build_test_loader(cfg, name)
            if evaluators is not None:
                evaluator = evaluators[index]
            else:
                try:
                    evaluator = cls.build_evaluator(cfg, name)
                except NotImplementedError as error:
                    logger.warning("%s is not evaluated. %s", name, error)
                    results[name] = {}
                    continue
            results[name] = inference_on_dataset(model, data_loader, evaluator)
            if comm.is_main_process():
                assert isinstance(results[name], dict), (
                    f"Evaluator must return a dict on the main process. Got {results[name]}"
                )
                logger.info("Evaluation results for %s in csv format:", name)
                print_csv_format(results[name])
        return next(iter(results.values())) if len(results) == 1 else results

    @staticmethod
    def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
        """Adapt a schedule that was made for another number of processes.

        Batch size and learning rate grow with the number of processes, numbers of iterations
        shrink (Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.1).

        Args:
            cfg: made for SOLVER.REFERENCE_WORLD_SIZE processes; 0 turns scaling off.
            num_workers: processes that there are.

        Returns:
            A new config, or ``cfg`` itself when there is nothing to do.
        """
        reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
        if reference in (0, num_workers):
            return cfg
        was_frozen = cfg.is_frozen()
        cfg = cfg.clone()
        cfg.defrost()
        solver = cfg.SOLVER
        assert solver.IMS_PER_BATCH % reference == 0, (
            f"SOLVER.IMS_PER_BATCH={solver.IMS_PER_BATCH} does not divide by "
            f"SOLVER.REFERENCE_WORLD_SIZE={reference}"
        )
        scale = num_workers / reference

        def shorter(iterations: int) -> int:
            return round(iterations / scale)

        solver.IMS_PER_BATCH = round(solver.IMS_PER_BATCH * scale)
        solver.BASE_LR = solver.BASE_LR * scale
        solver.MAX_ITER = shorter(solver.MAX_ITER)
        solver.WARMUP_ITERS = shorter(solver.WARMUP_ITERS)
        solver.STEPS = tuple(shorter(step) for step in solver.STEPS)
        solver.CHECKPOINT_PERIOD = shorter(solver.CHECKPOINT_PERIOD)
        cfg.TEST.EVAL_PERIOD = shorter(cfg.TEST.EVAL_PERIOD)
        solver.REFERENCE_WORLD_SIZE = num_workers
        logging.getLogger(__name__).info(
            "Config scaled from %d to %d processes: IMS_PER_BATCH=%d, BASE_LR=%g, MAX_ITER=%d, "
            "WARMUP_ITERS=%d",
            reference,
            num_workers,
            solver.IMS_PER_BATCH,
            solver.BASE_LR,
            solver.MAX_ITER,
            solver.WARMUP_ITERS,
        )
        if was_frozen:
            cfg.freeze()
        return cfg
