"""Running a model over a dataset, and what an evaluator is."""

from __future__ import annotations

import datetime
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from detectron2.utils.comm import get_world_size, is_main_process
from detectron2.utils.logger import log_every_n_seconds


class DatasetEvaluator:
    """Collects the outputs of a model, then judges them."""

    def reset(self) -> None:
        """Forget everything; called before the first ``process``."""

    def process(self, inputs: Any, outputs: Any) -> None:
        """Take in one batch: what the model got, and what it returned."""

    def evaluate(self) -> dict | None:
        """Results as {"task": {"metric": float}}; may be None outside the main process."""


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators as one."""

    def __init__(self, evaluators: Iterable[DatasetEvaluator]) -> None:
        super().__init__()
        self._evaluators = evaluators

    def reset(self) -> None:
        """Reset all of them."""
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: Any, outputs: Any) -> None:
        """Give the batch to all of them."""
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> dict:
        """The results of all of them in one dict; two may not use the same key."""
        results: dict = OrderedDict()
        for evaluator in self._evaluators:
            result = evaluator.evaluate()
            if is_main_process() and result is not None:
                for key, value in result.items():
                    assert key not in results, f"Different evaluators produce results for {key!r}"
                    results[key] = value
        return results


class _Stopwatch:
    """Seconds spent in each part of the loop, without its first iterations."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.warmup = min(5, total - 1)
        self.reset()

    def reset(self) -> None:
        self.start = time.perf_counter()
        self.seconds = {"data": 0.0, "compute": 0.0, "eval": 0.0}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Count the time of a block for one of the parts."""
        before = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - before

    def log(self, index: int, logger_name: str) -> None:
        """Report the speed, at most every five seconds."""
        done = index + 1 - self.warmup * int(index >= self.warmup)
        per_iter = (time.perf_counter() - self.start) / done
        if index < self.warmup * 2 and self.seconds["compute"] / done <= 5:
            return
        data, compute, judge = (self.seconds[part] / done for part in ("data", "compute", "eval"))
        eta = datetime.timedelta(seconds=int(per_iter * (self.total - index - 1)))
        log_every_n_seconds(
            logging.INFO,
            f"Inference done {index + 1}/{self.total}. Dataloading: {data:.4f} s/iter. "
            f"Inference: {compute:.4f} s/iter. Eval: {judge:.4f} s/iter. "
            f"Total: {per_iter:.4f} s/iter. ETA={eta}",
            n=5,
            name=logger_name,
        )


def inference_on_dataset(
    model: Callable,
    data_loader: Iterable,
    evaluator: DatasetEvaluator | list[DatasetEvaluator] | None,
    callbacks: Mapping[str, Callable[[], Any]] | None = None,
) -> dict:
    """Run a model over a loader, without gradients and in evaluation mode.

    Args:
        model: takes a batch. A module is put back into its mode afterwards.
        data_loader: finite; needs ``len``.
        evaluator: one, several, or None to only run the model (and measure its speed).
        callbacks: on_start, before_inference, after_inference, on_end.

    Returns:
        What ``evaluator.evaluate()`` returns, {} in place of None.
    """
    logger = logging.getLogger(__name__)
    total = len(data_loader)
    logger.info("Start inference on %d batches", total)
    if evaluator is None:
        evaluator = DatasetEvaluators([])
    elif isinstance(evaluator, (list, tuple)):
        evaluator = DatasetEvaluators(evaluator)
    evaluator.reset()

    def call(name: str) -> None:
        (callbacks or {}).get(name, lambda: None)()

    watch = _Stopwatch(total)
    with ExitStack() as stack:
        if isinstance(model, nn.Module):
            stack.enter_context(inference_context(model))
        stack.enter_context(torch.no_grad())
        call("on_start")
        waiting_since = time.perf_counter()
        for index, inputs in enumerate(data_loader):
            watch.seconds["data"] += time.perf_counter() - waiting_since
            if index == watch.warmup:
                watch.reset()
            with watch.measure("compute"):
                call("before_inference")
                outputs = model(inputs)
                call("after_inference")
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            with watch.measure("eval"):
                evaluator.process(inputs, outputs)
            watch.log(index, __name__)
            waiting_since = time.perf_counter()
        call("on_end")

    measured, devices = max(1, total - watch.warmup), get_world_size()
    for what, seconds in (
        ("time", time.perf_counter() - watch.start),
        ("pure compute time", watch.seconds["compute"]),
    ):
        logger.info(
            "Total inference %s: %s (%.6f s / iter per device, on %d devices)",
            what,
            datetime.timedelta(seconds=int(seconds)),
            seconds / measured,
            devices,
        )
    results = evaluator.evaluate()
    return {} if results is None else results


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while. An exception leaves the model in it, as in Detectron2."""
    was_training = model.training
    model.eval()
    yield
    model.train(was_training)
