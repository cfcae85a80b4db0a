"""The usual hooks: timing, learning rate, checkpoints, evaluation, writing."""

from __future__ import annotations

import datetime
import itertools
import logging
import math
import operator
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from fvcore.common.checkpoint import Checkpointer
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.timer import Timer
from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats
from torch import nn

from detectron2._subset import absent
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter

from .train_loop import HookBase

AutogradProfiler = absent("detectron2.engine.hooks.AutogradProfiler")
TorchMemoryStats = absent("detectron2.engine.hooks.TorchMemoryStats")
TorchProfiler = absent("detectron2.engine.hooks.TorchProfiler")

__all__ = [
    "AutogradProfiler",
    "BestCheckpointer",
    "CallbackHook",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
    "PreciseBN",
    "TorchMemoryStats",
    "TorchProfiler",
]


def _is_period_end(iteration: int, period: int) -> bool:
    """Whether ``period`` iterations, or a multiple of it, are done after this one; 0 is never."""
    return period > 0 and (iteration + 1) % period == 0


class CallbackHook(HookBase):
    """A hook made of functions, each called with the trainer."""

    def __init__(
        self,
        *,
        before_train: Callable | None = None,
        after_train: Callable | None = None,
        before_step: Callable | None = None,
        after_step: Callable | None = None,
    ) -> None:
        self._before_train = before_train
        self._after_train = after_train
        self._before_step = before_step
        self._after_step = after_step

    def _call(self, function: Callable | None) -> None:
        if function is not None:
            function(self.trainer)

    def before_train(self) -> None:
        """Call the function given for this place."""
        self._call(self._before_train)

    def after_train(self) -> None:
        """Call the function given for this place; the last call, so forget all of them."""
        self._call(self._after_train)
        # A function that refers to the trainer would keep it alive.
        self._before_train = self._after_train = None
        self._before_step = self._after_step = None

    def before_step(self) -> None:
        """Call the function given for this place."""
        self._call(self._before_step)

    def after_step(self) -> None:
        """Call the function given for this place."""
        self._call(self._after_step)


class IterationTimer(HookBase):
    """Log the seconds per iteration as ``time``, and a summary at the end.

    Time between ``after_step`` and ``before_step`` (of the hooks that follow this one) counts
    for the total only.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        """Leave the first ``warmup_iter`` iterations out: they are slower."""
        self._warmup_iter = warmup_iter
        self._step_timer = Timer()
        self._start_time = time.perf_counter()
        self._total_timer = Timer()

    def before_train(self) -> None:
        """Start the clock."""
        self._start_time = time.perf_counter()
        self._total_timer.reset()
        self._total_timer.pause()

    def after_train(self) -> None:
        """Say how long it took, and how much of it the hooks took."""
        logger = logging.getLogger(__name__)
        total = time.perf_counter() - self._start_time
        steps = self._total_timer.seconds()
        num_iter = self.trainer.storage.iter + 1 - self.trainer.start_iter - self._warmup_iter
        if num_iter > 0 and steps > 0:
            logger.info(
                "Overall training speed: %d iterations in %s (%.4f s / it)",
                num_iter,
                datetime.timedelta(seconds=int(steps)),
                steps / num_iter,
            )
        logger.info(
            "Total training time: %s (%s on hooks)",
            datetime.timedelta(seconds=int(total)),
            datetime.timedelta(seconds=int(total - steps)),
        )

    def before_step(self) -> None:
        """Start to measure."""
        self._step_timer.reset()
        self._total_timer.resume()

    def after_step(self) -> None:
        """Log the time of this iteration, unless it is one of the first."""
        done = self.trainer.storage.iter - self.trainer.start_iter + 1
        if done >= self._warmup_iter:
            self.trainer.storage.put_scalars(time=self._step_timer.seconds())
        else:
            self._start_time = time.perf_counter()
            self._total_timer.reset()
        self._total_timer.pause()


class PeriodicWriter(HookBase):
    """Let writers write every ``period`` iterations and after the last one.

    It goes last, behind all hooks that log something.
    """

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            assert isinstance(writer, EventWriter), f"not an EventWriter: {type(writer)}"
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        """Write, if it is time."""
        last = self.trainer.iter == self.trainer.max_iter - 1
        if last or _is_period_end(self.trainer.iter, self._period):
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        """Write what other hooks logged at the end, and close."""
        for writer in self._writers:
            writer.write()
            writer.close()


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's ``PeriodicCheckpointer`` (``model_0000019.pth``, ``model_final.pth``) as a hook."""

    def before_train(self) -> None:
        """Learn when the training ends."""
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        """Save, if it is time."""
        self.step(self.trainer.iter)


class BestCheckpointer(HookBase):
    """Save the model whenever a metric is better than ever; goes behind ``EvalHook``.

    Saving rewrites ``last_checkpoint``, so a later resume goes on from the best model. The best
    value itself is not in any checkpoint.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Checkpointer,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        """Watch a metric.

        Args:
            eval_period: that of ``EvalHook``.
            checkpointer: saves.
            val_metric: name as in the storage, e.g. ``vpq/all``.
            mode: "max" or "min".
            file_prefix: name of the file, without ``.pth``.
        """
        assert mode in ("max", "min"), (
            f'Mode "{mode}" to `{type(self).__name__}` is unknown. '
            "It should be one of ('max', 'min')."
        )
        self._logger = logging.getLogger(__name__)
        self._period = eval_period
        self._val_metric = val_metric
        self._is_better = operator.gt if mode == "max" else operator.lt
        self._checkpointer = checkpointer
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def after_step(self) -> None:
        """Compare after an evaluation; the last one is for ``after_train``."""
        next_iter = self.trainer.iter + 1
        if _is_period_end(self.trainer.iter, self._period) and next_iter != self.trainer.max_iter:
            self._compare()

    def after_train(self) -> None:
        """Compare, if the training is complete."""
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._compare()

    def _compare(self) -> None:
        metric_and_iter = self.trainer.storage.latest().get(self._val_metric)
        if metric_and_iter is None:
            self._logger.warning(
                "No metric %s in the storage: no best model is saved", self._val_metric
            )
            return
        metric, iteration = metric_and_iter
        if not math.isfinite(metric):
            return
        if self.best_metric is not None and not self._is_better(metric, self.best_metric):
            self._logger.info(
                "Not saving: %s is %.5f; the best is %.5f, at iteration %d",
                self._val_metric,
                metric,
                self.best_metric,
                self.best_iter,
            )
            return
        self._logger.info(
            "Saving the best model: %s is %.5f at iteration %d (before: %s)",
            self._val_metric,
            metric,
            iteration,
            self.best_metric,
        )
        self.best_metric, self.best_iter = metric, iteration
        self._checkpointer.save(self._file_prefix, iteration=iteration)


class LRScheduler(HookBase):
    """Step a torch schedule in every iteration, and log the rate as ``lr``."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    ) -> None:
        """By default take ``optimizer`` and ``scheduler`` of the trainer."""
        self._optimizer = optimizer
        self._scheduler = scheduler

    def before_train(self) -> None:
        """Find the group whose rate stands for all."""
        self._optimizer = self._optimizer or self.trainer.optimizer
        self._best_param_group_id = self.get_best_param_group_id(self._optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: torch.optim.Optimizer) -> int:
        """Index of the group with most parameters; among groups of one, the commonest rate."""
        groups = optimizer.param_groups
        sizes = [len(group["params"]) for group in groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        """Log the rate that was used, then step."""
        lr = self._optimizer.param_groups[self._best_param_group_id]["lr"]
        self.trainer.storage.put_scalar("lr", lr, smoothing_hint=False)
        self.scheduler.step()

    @property
    def scheduler(self) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule."""
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict:
        """State of the schedule, if it is one of torch's."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.LRScheduler):
            return self.scheduler.state_dict()
        return {}

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore the schedule."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.LRScheduler):
            logging.getLogger(__name__).info("Loading the learning-rate schedule ...")
            self.scheduler.load_state_dict(state_dict)


class EvalHook(HookBase):
    """Evaluate now and then; every process must have this hook."""

    def __init__(
        self,
        eval_period: int,
        eval_function: Callable[[], Mapping[str, Any] | None],
        eval_after_train: bool = True,
    ) -> None:
        """Set the times.

        Args:
            eval_period: iterations between evaluations; 0 for none before the end.
            eval_function: returns a nested dict of numbers, which are logged as "task/metric".
            eval_after_train: also evaluate when the training is complete.
        """
        self._period = eval_period
        self._func = eval_function
        self._eval_after_train = eval_after_train

    def _do_eval(self) -> None:
        results = self._func()
        if results:
            assert isinstance(results, dict), (
                f"Eval function must return a dict. Got {results} instead."
            )
            flat = flatten_results_dict(results)
            for name, value in flat.items():
                try:
                    flat[name] = float(value)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        "[EvalHook] eval_function should return a nested dict of float. "
                        f"Got '{name}: {value}' instead."
                    ) from error
            self.trainer.storage.put_scalars(**flat, smoothing_hint=False)
        # Some processes may evaluate longer than the next iteration would wait for them.
        comm.synchronize()

    def after_step(self) -> None:
        """Evaluate, if it is time; the last iteration is for ``after_train``."""
        next_iter = self.trainer.iter + 1
        if _is_period_end(self.trainer.iter, self._period) and next_iter != self.trainer.max_iter:
            self._do_eval()

    def after_train(self) -> None:
        """Evaluate, if the training is complete; then let go of what the function holds."""
        if self._eval_after_train and self.trainer.iter + 1 >= self.trainer.max_iter:
            self._do_eval()
        del self._func


class PreciseBN(HookBase):
    """Before each evaluation, replace the statistics of batch norms by true averages.

    Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3.
    """

    def __init__(self, period: int, model: nn.Module, data_loader: Iterable, num_iter: int) -> None:
        """Set the times; goes in front of ``EvalHook``.

        Args:
            period: iterations between updates; 0 for only one, at the end.
            model: its norms in training mode are updated.
            data_loader: yields training batches.
            num_iter: batches to average over.
        """
        self._logger = logging.getLogger(__name__)
        if not get_bn_modules(model):
            self._logger.info("PreciseBN has nothing to do: no batch norm is in training mode")
            self._disabled = True
            return
        self._disabled = False
        self._period = period
        self._model = model
        self._data_loader = data_loader
        self._num_iter = num_iter
        self._data_iter = None

    def after_step(self) -> None:
        """Update, if it is time, and after the last iteration."""
        if self._disabled:
            return
        last = self.trainer.iter + 1 == self.trainer.max_iter
        if last or _is_period_end(self.trainer.iter, self._period):
            self.update_stats()

    def update_stats(self) -> None:
        """Average over ``num_iter`` batches now."""
        if self._disabled:
            return
        if self._data_iter is None:
            self._data_iter = iter(self._data_loader)
        self._logger.info("Running precise-BN for %d iterations", self._num_iter)
        # The model logs while it runs; that does not belong to the training.
        with EventStorage():
            update_bn_stats(
                self._model, itertools.islice(self._data_iter, self._num_iter), self._num_iter
            )
