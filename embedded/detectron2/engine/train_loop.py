"""The training loop, and the two ways to do one step of it."""

from __future__ import annotations

import concurrent.futures
import logging
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from detectron2.utils import comm
from detectron2.utils.events import EventStorage, get_event_storage
from detectron2.utils.logger import _log_api_usage

__all__ = ["AMPTrainer", "HookBase", "SimpleTrainer", "TrainerBase"]


class HookBase:
    """Something to do at fixed places of the loop.

    ``trainer`` is a weak reference to the loop, set when the hook is registered.
    """

    trainer: TrainerBase = None

    def before_train(self) -> None:
        """Called before the first iteration."""

    def after_train(self) -> None:
        """Called after the last iteration, and also when an error ended the training."""

    def before_step(self) -> None:
        """Called before each iteration."""

    def after_backward(self) -> None:
        """Called when the gradients of an iteration are there."""

    def after_step(self) -> None:
        """Called after each iteration."""

    def state_dict(self) -> dict:
        """What to keep in a checkpoint; hooks with a state also have ``load_state_dict``."""
        return {}


class TrainerBase:
    """A loop over ``run_step``, with hooks around it.

    Attributes:
        iter: the current iteration; ``max_iter`` after a complete run.
        start_iter: the first iteration of this run.
        max_iter: the number of iterations of the whole training.
        storage: where values are logged, while ``train`` runs.
    """

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter: int = 0
        self.start_iter: int = 0
        self.max_iter: int
        self.storage: EventStorage
        _log_api_usage("trainer." + self.__class__.__name__)

    def register_hooks(self, hooks: Iterable[HookBase | None]) -> None:
        """Add hooks, in the order in which they will run; None stands for no hook."""
        hooks = [hook for hook in hooks if hook is not None]
        for hook in hooks:
            assert isinstance(hook, HookBase), f"not a HookBase: {type(hook)}"
            # A strong reference would be a cycle, and keep models and loaders alive.
            hook.trainer = weakref.proxy(self)
        self._hooks.extend(hooks)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run iterations ``start_iter`` to ``max_iter - 1``."""
        logger = logging.getLogger(__name__)
        logger.info("Starting training from iteration %d", start_iter)
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self.before_train()
                for self.iter in range(start_iter, max_iter):
                    self.before_step()
                    self.run_step()
                    self.after_step()
                # Only now, so that after_train can tell a complete run from a broken one.
                self.iter += 1
            except Exception:
                logger.exception("Exception during training:")
                raise
            finally:
                self.after_train()

    def before_train(self) -> None:
        """Run the hooks."""
        for hook in self._hooks:
            hook.before_train()

    def after_train(self) -> None:
        """Run the hooks; what they log belongs to the current iteration."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.after_train()

    def before_step(self) -> None:
        """Run the hooks; from here on values belong to this iteration."""
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.before_step()

    def after_backward(self) -> None:
        """Run the hooks."""
        for hook in self._hooks:
            hook.after_backward()

    def after_step(self) -> None:
        """Run the hooks."""
        for hook in self._hooks:
            hook.after_step()

    def run_step(self) -> None:
        """Do one iteration."""
        raise NotImplementedError

    def state_dict(self) -> dict:
        """Iteration and states of the hooks, by class name; of one class the first counts."""
        state: dict[str, Any] = {"iteration": self.iter}
        hooks: dict[str, dict] = {}
        for hook in self._hooks:
            hook_state = hook.state_dict()
            name = type(hook).__qualname__
            if hook_state and name not in hooks:
                hooks[name] = hook_state
        if hooks:
            state["hooks"] = hooks
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore what ``state_dict`` gave; a state without its hook is a warning."""
        self.iter = state_dict["iteration"]
        for name, hook_state in state_dict.get("hooks", {}).items():
            hook = next((h for h in self._hooks if type(h).__qualname__ == name), None)
            if hook is None:
                logging.getLogger(__name__).warning(
                    "No hook %s here: its state in the checkpoint is ignored", name
                )
            else:
                hook.load_state_dict(hook_state)


class SimpleTrainer(TrainerBase):
    """One batch, one forward, one backward, one optimizer step per iteration.

    The model returns a dict of losses, or one loss.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        """Set up a training; the model goes into training mode, once and for all.

        Args:
            model: takes a batch, returns losses.
            data_loader: yields batches; it must not end before the training does.
            optimizer: steps after each backward pass.
            gather_metric_period: iterations between two collections of values over processes.
            zero_grad_before_forward: clear gradients before the forward pass instead of after it.
            async_write_metrics: collect and log values in a thread.
        """
        super().__init__()
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward
        self.async_write_metrics = async_write_metrics
        self.concurrent_executor = (
            concurrent.futures.ThreadPoolExecutor(max_workers=1) if async_write_metrics else None
        )
        # Made at first use: workers should not start before the training does.
        self._data_loader_iter_obj: Iterator | None = None

    @property
    def _data_loader_iter(self) -> Iterator:
        if self._data_loader_iter_obj is None:
            self._data_loader_iter_obj = iter(self.data_loader)
        return self._data_loader_iter_obj

    def reset_data_loader(self, data_loader_builder) -> None:
        """Replace the loader by what ``data_loader_builder()`` returns."""
        del self.data_loader
        self._data_loader_iter_obj = None
        self.data_loader = data_loader_builder()

    def run_step(self) -> None:
        """One iteration; a loss that is not finite stops the training before it does harm."""
        data, data_time = self._next_batch()
        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        loss_dict, losses = self._forward(data)
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        losses.backward()
        self.after_backward()
        self._log_losses(loss_dict, data_time)
        self.optimizer.step()

    def _next_batch(self) -> tuple[Any, float]:
        """A batch, and the seconds that it took."""
        assert self.model.training, f"[{type(self).__name__}] model was changed to eval mode!"
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        return data, time.perf_counter() - start

    def _forward(self, data: Any) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Losses by name, and their sum."""
        loss_dict = self.model(data)
        if isinstance(loss_dict, torch.Tensor):
            return {"total_loss": loss_dict}, loss_dict
        return loss_dict, sum(loss_dict.values())

    def _log_losses(self, loss_dict: Mapping[str, torch.Tensor], data_time: float) -> None:
        if self.async_write_metrics:
            self.concurrent_executor.submit(
                self._write_metrics, loss_dict, data_time, iter=self.iter
            )
        else:
            self._write_metrics(loss_dict, data_time)

    def _write_metrics(
        self,
        loss_dict: Mapping[str, torch.Tensor],
        data_time: float,
        prefix: str = "",
        iter: int | None = None,
    ) -> None:
        iter = self.iter if iter is None else iter
        if (iter + 1) % self.gather_metric_period != 0:
            return
        try:
            SimpleTrainer.write_metrics(loss_dict, data_time, iter, prefix)
        except Exception:
            logging.getLogger(__name__).exception("Exception in writing metrics:")
            raise

    @staticmethod
    def write_metrics(
        loss_dict: Mapping[str, torch.Tensor],
        data_time: float,
        cur_iter: int,
        prefix: str = "",
    ) -> None:
        """Log losses and loading time of all processes (collective).

        Args:
            loss_dict: losses of this process.
            data_time: seconds this process waited for its batch.
            cur_iter: iteration to log them for.
            prefix: of the names.

        Raises:
            FloatingPointError: the sum of losses is not finite.
        """
        metrics = {name: value.detach().cpu().item() for name, value in loss_dict.items()}
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", data_time, cur_iter=cur_iter)
        everybody = comm.gather({**metrics, "data_time": data_time})
        if not comm.is_main_process():
            return
        # The slowest loader holds up all the others.
        slowest = np.max([one.pop("data_time") for one in everybody])
        storage.put_scalar("data_time", slowest, cur_iter=cur_iter)
        means = {name: np.mean([one[name] for one in everybody]) for name in everybody[0]}
        total = sum(means.values())
        if not np.isfinite(total):
            raise FloatingPointError(
                f"Loss became infinite or NaN at iteration={cur_iter}!\nloss_dict = {means}"
            )
        storage.put_scalar(f"{prefix}total_loss", total, cur_iter=cur_iter)
        if len(means) > 1:
            storage.put_scalars(cur_iter=cur_iter, **means)

    def after_train(self) -> None:
        """Let the writing thread finish, then run the hooks."""
        if self.concurrent_executor is not None:
            self.concurrent_executor.shutdown(wait=True)
        super().after_train()

    def state_dict(self) -> dict:
        """Also the optimizer's state."""
        return {**super().state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Also the optimizer's state."""
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])


class AMPTrainer(SimpleTrainer):
    """``SimpleTrainer`` with automatic mixed precision; CUDA only, like Detectron2's."""

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: torch.optim.Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
        grad_scaler: torch.amp.GradScaler | None = None,
        precision: torch.dtype = torch.float16,
        log_grad_scaler: bool = False,
        async_write_metrics: bool = False,
    ) -> None:
        """Set up a training; what is not explained here is as in ``SimpleTrainer``.

        Args:
            model: takes a batch, returns losses; on one device per process.
            data_loader: yields batches.
            optimizer: steps after each backward pass.
            gather_metric_period: iterations between two collections of values.
            zero_grad_before_forward: clear gradients before the forward pass.
            grad_scaler: a new one by default.
            precision: of the forward pass under autocast.
            log_grad_scaler: also log the scale.
            async_write_metrics: accepted, and without effect, as in Detectron2.
        """
        if isinstance(model, DistributedDataParallel):
            several = model.device_ids is not None and len(model.device_ids) > 1
        else:
            several = isinstance(model, DataParallel)
        assert not several, "AMPTrainer does not support a model on several devices in one process"
        super().__init__(
            model, data_loader, optimizer, gather_metric_period, zero_grad_before_forward
        )
        if grad_scaler is None:
            grad_scaler = torch.amp.GradScaler("cuda", enabled=torch.cuda.is_available())
        self.grad_scaler = grad_scaler
        self.precision = precision
        self.log_grad_scaler = log_grad_scaler

    def run_step(self) -> None:
        """One iteration, with a scaled loss."""
        assert torch.cuda.is_available(), "[AMPTrainer] CUDA is required for AMP training!"
        data, data_time = self._next_batch()
        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        with torch.autocast("cuda", dtype=self.precision):
            loss_dict, losses = self._forward(data)
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        self.grad_scaler.scale(losses).backward()
        if self.log_grad_scaler:
            get_event_storage().put_scalar("[metric]grad_scaler", self.grad_scaler.get_scale())
        self.after_backward()
        self._log_losses(loss_dict, data_time)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def state_dict(self) -> dict:
        """Also the scaler's state."""
        return {**super().state_dict(), "grad_scaler": self.grad_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Also the scaler's state."""
        super().load_state_dict(state_dict)
        self.grad_scaler.load_state_dict(state_dict["grad_scaler"])
