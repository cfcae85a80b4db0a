"""Training: mixed precision on any device, accumulation, averaged weights, exact resume.

Detectron2's ``DefaultTrainer`` cannot train with several processes on CPUs, needs CUDA for mixed
precision and restarts its data on resume. This one keeps its interface (classmethods to override,
hooks, writers, checkpoints) and replaces what happens inside.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from detectron2.engine import DefaultTrainer, SimpleTrainer, TrainerBase, create_ddp_model, hooks
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .allocator import keep_freed_memory
from .checkpoint import ModelCheckpointer
from .data import build_clip_train_loader, build_video_test_loader, check_training_data
from .evaluation import build_evaluator
from .hooks import BestWeights, TrainingCost, ValidationPictures
from .pictures import validation_sheets
from .recompute import recompute_activations
from .solver import build_lr_scheduler, build_optimizer
from .wandb_writer import WandbWriter, plain

logger = logging.getLogger(__name__)

# Scores by which the best weights are chosen: the first one that an evaluation gives.
BEST_BY = ("dvpq/all", "vpq/all")
PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class ClipTrainer(SimpleTrainer):
    """One optimizer step: forward, backward, step, over one or several batches.

    Args:
        model: returns a dict of weighted losses.
        loader: makes the data loader that continues at a given iteration.
        optimizer: clips gradients inside ``step`` if it clips at all.
        precision: autocast type, or None for the parameters' own.
        accumulation: batches per step; their gradients are averaged.
        seed: with iteration and rank, decides all randomness inside a step.
        folder: where a batch that gives numbers that are not finite is saved.
        average: updated after every step, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Callable[[int], Any],
        optimizer: torch.optim.Optimizer,
        *,
        precision: torch.dtype | None = None,
        accumulation: int = 1,
        seed: int = 0,
        folder: str = ".",
        average: AveragedModel | None = None,
    ) -> None:
        super().__init__(model, data_loader=(), optimizer=optimizer)
        self.make_loader = loader
        self.precision = precision
        self.accumulation = accumulation
        self.seed = seed
        self.folder = folder
        self.average = average
        self.device_type = next(model.parameters()).device.type
        scales = precision is torch.float16 and self.device_type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=scales)
        self._batches: Iterator[Any] | None = None

    def run_step(self) -> None:
        """Train on ``accumulation`` batches and log losses, data time and memory."""
        if self._batches is None:
            self.data_loader = self.make_loader(self.iter)
            self._batches = iter(self.data_loader)
        torch.manual_seed(self.seed + self.iter * comm.get_world_size() + comm.get_rank())
        totals: dict[str, torch.Tensor] = {}
        data_time = 0.0
        for part in range(self.accumulation):
            start = time.perf_counter()
            batch = next(self._batches)
            data_time += time.perf_counter() - start
            with self._sync(last=part == self.accumulation - 1), self._blame(batch):
                losses = self._losses(batch)
                total = torch.stack(list(losses.values())).sum() / self.accumulation
                self._check_finite(losses)
                self.scaler.scale(total).backward()
            for name, value in losses.items():
                totals[name] = totals.get(name, 0) + value.detach() / self.accumulation
        self.after_backward()
        self._write_metrics(totals, data_time)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(bare(self.model))

    def _losses(self, batch: Any) -> dict[str, torch.Tensor]:
        if self.precision is None:
            return self.model(batch)
        with torch.autocast(self.device_type, dtype=self.precision):
            return self.model(batch)

    def _sync(self, *, last: bool) -> Any:
        """Processes exchange gradients once per step, with the last batch."""
        if last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    @contextmanager
    def _blame(self, batch: Any) -> Iterator[None]:
        """Numbers that are not finite: save the batch and name its files."""
        try:
            yield
        except FloatingPointError as error:
            path = os.path.join(self.folder, f"bad_batch_rank{comm.get_rank()}.pth")
            torch.save(batch, path)
            names = [frame["file_name"] for item in batch for frame in item["frames"]]
            raise FloatingPointError(
                f"iteration {self.iter}: {error}. The batch, saved to {path}, came from "
                f"{', '.join(names)}"
            ) from error

    def _check_finite(self, losses: dict[str, torch.Tensor]) -> None:
        bad = {name: value.item() for name, value in losses.items() if not value.isfinite()}
        if bad:
            raise FloatingPointError(f"loss is not finite: {bad}")

    def state_dict(self) -> dict[str, Any]:
        """Detectron2's state, and the gradient scaler and averaged weights."""
        state = super().state_dict()
        state["scaler"] = self.scaler.state_dict()
        if self.average is not None:
            state["average"] = self.average.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state_dict)
        self.scaler.load_state_dict(state_dict["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state_dict["average"])


class Trainer(DefaultTrainer):
    """``DefaultTrainer`` for clips; subclass and override its class methods as usual."""

    def __init__(self, cfg: Any) -> None:
        TrainerBase.__init__(self)
        if not logging.getLogger("detectron2").isEnabledFor(logging.INFO):
            setup_logger()
        if cfg.SOLVER.NUM_THREADS > 0:
            torch.set_num_threads(cfg.SOLVER.NUM_THREADS)
        self.cfg = cfg
        if comm.is_main_process():
            check_training_data(cfg)
        comm.synchronize()
        keep_freed_memory()
        torch.manual_seed(max(cfg.SEED, 0))  # one start for every process and every run
        model = self.build_model(cfg)
        recompute_activations(model, cfg.SOLVER.RECOMPUTE)
        optimizer = self.build_optimizer(cfg, model)
        average = None
        if cfg.SOLVER.EMA_DECAY > 0:
            average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(cfg.SOLVER.EMA_DECAY))
        self._trainer = ClipTrainer(
            distribute(model),
            lambda iteration: self.build_train_loader(cfg, start_iteration=iteration),
            optimizer,
            precision=autocast_precision(cfg),
            accumulation=cfg.SOLVER.ACCUMULATION_STEPS,
            seed=max(cfg.SEED, 0),
            folder=cfg.OUTPUT_DIR,
            average=average,
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = ModelCheckpointer(model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    @property
    def eval_model(self) -> nn.Module:
        """What is evaluated: the averaged weights if they are kept, else the model."""
        average = self._trainer.average
        return self._trainer.model if average is None else average.module

    def build_hooks(self) -> list[Any]:
        """Detectron2's hooks, with evaluation of the averaged weights."""
        built = [hook for hook in super().build_hooks() if not isinstance(hook, hooks.EvalHook)]
        writer = built.pop() if comm.is_main_process() else None
        folder, period = self.cfg.OUTPUT_DIR, self.cfg.TEST.EVAL_PERIOD
        built.insert(0, TrainingCost(folder))
        built.append(hooks.EvalHook(period, self._evaluate))
        if comm.is_main_process():
            built.append(BestWeights(BEST_BY, lambda: bare(self.eval_model), folder))
            if self._trainer.average is not None:
                built.append(hooks.CallbackHook(after_train=self._save_average))
            if self.cfg.TEST.PICTURES > 0 and self.cfg.DATASETS.TEST:
                built.append(ValidationPictures(period, self._draw))
        return [*built, writer]

    def build_writers(self) -> list[Any]:
        """Detectron2's writers, and W&B's before them if ``WANDB.ENABLED``."""
        writers = super().build_writers()
        wandb = self.cfg.WANDB
        if not wandb.ENABLED:
            return writers
        folder = self.cfg.OUTPUT_DIR
        writer = WandbWriter(
            folder,
            project=wandb.PROJECT,
            name=wandb.NAME or os.path.basename(os.path.abspath(folder)),
            mode=wandb.MODE,
            config=plain(self.cfg),
        )
        return [writer, *writers]

    def _draw(self) -> dict[str, Any]:
        return validation_sheets(
            self.cfg,
            bare(self.eval_model),
            self.cfg.DATASETS.TEST[0],
            videos=self.cfg.TEST.PICTURES,
        )

    def _evaluate(self) -> dict[str, Any]:
        self._last_eval_results = self.test(self.cfg, self.eval_model)
        return self._last_eval_results

    def _save_average(self, trainer: Any) -> None:
        path = os.path.join(self.cfg.OUTPUT_DIR, "model_average.pth")
        torch.save({"model": self._trainer.average.module.state_dict()}, path)
        logger.info("Averaged weights (what was evaluated) are in %s", path)

    @classmethod
    def build_optimizer(cls, cfg: Any, model: nn.Module) -> torch.optim.Optimizer:
        """See :func:`dvps_d2.d2.solver.build_optimizer`."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: Any, optimizer: torch.optim.Optimizer) -> Any:
        """See :func:`dvps_d2.d2.solver.build_lr_scheduler`."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: Any, *, start_iteration: int = 0) -> Any:
        """See :func:`dvps_d2.d2.data.build_clip_train_loader`."""
        return build_clip_train_loader(cfg, start_iteration=start_iteration)

    @classmethod
    def build_test_loader(cls, cfg: Any, dataset_name: str) -> Any:
        """See :func:`dvps_d2.d2.data.build_video_test_loader`."""
        return build_video_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: Any, dataset_name: str, output_folder: str | None = None) -> Any:
        """See :func:`dvps_d2.d2.evaluation.build_evaluator`."""
        folder = output_folder or os.path.join(cfg.OUTPUT_DIR, "inference", dataset_name)
        return build_evaluator(cfg, dataset_name, folder)


def distribute(model: nn.Module) -> nn.Module:
    """Wrap for several processes, on GPUs and on CPUs alike."""
    if comm.get_world_size() == 1:
        return model
    on_gpu = next(model.parameters()).is_cuda
    device_ids = [comm.get_local_rank()] if on_gpu else None
    return create_ddp_model(model, broadcast_buffers=False, device_ids=device_ids)


def autocast_precision(cfg: Any) -> torch.dtype | None:
    """The autocast type of ``SOLVER.AMP``, None when it is off.

    Raises:
        ValueError: a precision that is not known, or float16 without CUDA.
    """
    if not cfg.SOLVER.AMP.ENABLED:
        return None
    name = cfg.SOLVER.AMP.PRECISION
    if name not in PRECISIONS:
        raise ValueError(f"SOLVER.AMP.PRECISION={name!r} is not one of {', '.join(PRECISIONS)}")
    if name == "float16" and not cfg.MODEL.DEVICE.startswith("cuda"):
        raise ValueError("SOLVER.AMP.PRECISION float16 needs a CUDA device; use bfloat16 on a CPU")
    return PRECISIONS[name]


def bare(model: nn.Module) -> nn.Module:
    """The model inside its distributed wrapper, if there is one."""
    return model.module if isinstance(model, DistributedDataParallel) else model
