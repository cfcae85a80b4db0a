"""Training hooks: cost, best weights, pictures of fixed validation frames, memory."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.engine.hooks import HookBase
from detectron2.utils import comm
from torch import nn

logger = logging.getLogger(__name__)


class TrainingCost(HookBase):
    """Write what the training steps cost (evaluation left out) to ``training.json``.

    The file holds ``{"iterations", "seconds", "cpu_seconds"}``; CPU seconds are those of this
    process, loader workers not included. Logs ``memory/rss_mb``, the peak so far.

    Args:
        folder: where to.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.cost = {"iterations": 0, "seconds": 0.0, "cpu_seconds": 0.0}

    def before_step(self) -> None:
        """Start the clocks."""
        self._start = time.perf_counter(), time.process_time()

    def after_step(self) -> None:
        """Stop the clocks; this hook stands first, so that evaluation is not counted."""
        wall, cpu = self._start
        self.cost["iterations"] += 1
        self.cost["seconds"] += time.perf_counter() - wall
        self.cost["cpu_seconds"] += time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.trainer.storage.put_scalar("memory/rss_mb", peak, smoothing_hint=False)

    def after_train(self) -> None:
        """Write the file."""
        if comm.is_main_process():
            with open(os.path.join(self.folder, "training.json"), "w") as file:
                json.dump(self.cost, file)

    def state_dict(self) -> dict[str, float]:
        """The cost so far, so that a resumed run counts on."""
        return self.cost

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue counting."""
        self.cost = dict(state)


class BestWeights(HookBase):
    """Keep the weights that scored best, as ``model_best.pth``.

    Unlike Detectron2's ``BestCheckpointer`` it never touches ``last_checkpoint``, so ``--resume``
    continues from where training was, and it remembers the best score over a resume.

    Args:
        metrics: names in the event storage, e.g. ``"dvpq/all"``; the first that exists counts.
        model: what was evaluated.
        folder: where to.
    """

    def __init__(self, metrics: Sequence[str], model: Callable[[], nn.Module], folder: str) -> None:
        self.metrics = metrics
        self.model = model
        self.folder = folder
        self.best = -math.inf
        self._seen: float = -1

    def after_step(self) -> None:
        """Look for a score that has just been written."""
        self._look()

    def after_train(self) -> None:
        """The last evaluation comes after the last step."""
        self._look()

    def _look(self) -> None:
        latest = self.trainer.storage.latest()
        name = next((m for m in self.metrics if m in latest), None)
        if name is None:
            return
        value, iteration = latest[name]
        if iteration == self._seen:
            return
        self._seen = iteration
        if not math.isfinite(value) or value <= self.best:
            return
        self.best = value
        path = os.path.join(self.folder, "model_best.pth")
        torch.save({"model": self.model().state_dict(), name: value, "iteration": iteration}, path)
        logger.info("Best %s so far: %.3f, saved to %s", name, value, path)

    def state_dict(self) -> dict[str, float]:
        """The best score so far."""
        return {"best": self.best, "seen": self._seen}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Remember the best score over a resume."""
        self.best, self._seen = state["best"], state["seen"]


class ValidationPictures(HookBase):
    """Show predictions of fixed validation frames in TensorBoard after every evaluation.

    Args:
        period: iterations between evaluations; 0 shows the end of training only.
        draw: makes name -> (H, W, 3) uint8 RGB pictures.
    """

    def __init__(self, period: int, draw: Callable[[], dict[str, Any]]) -> None:
        self.period = period
        self.draw = draw

    def after_step(self) -> None:
        """Draw when an evaluation is due, but for the last, which :meth:`after_train` does."""
        done = self.trainer.iter + 1
        if self.period > 0 and done % self.period == 0 and done != self.trainer.max_iter:
            self._show()

    def after_train(self) -> None:
        """Draw the result of a run that was completed."""
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._show()

    def _show(self) -> None:
        for name, picture in self.draw().items():
            image = torch.from_numpy(picture).permute(2, 0, 1)
            self.trainer.storage.put_image(f"validation/{name}", image)
