"""Learning-rate schedules per iteration."""

from __future__ import annotations

import bisect
import logging
import math

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger(__name__)


class WarmupParamScheduler(CompositeParamScheduler):
    """A schedule on [0, 1] with a warm-up before it."""

    def __init__(
        self,
        scheduler: ParamScheduler,
        warmup_factor: float,
        warmup_length: float,
        warmup_method: str = "linear",
        rescale_interval: bool = False,
    ) -> None:
        """Put a warm-up in front.

        Args:
            scheduler: the schedule after the warm-up.
            warmup_factor: where the warm-up starts, as a fraction of ``scheduler(0)``.
            warmup_length: its length, as a fraction of the whole training.
            warmup_method: "linear", to where the schedule takes over; or "constant".
            rescale_interval: squeeze the whole schedule into the time after the warm-up, rather
                than cut off its beginning.

        Raises:
            ValueError: unknown method.
        """
        end_value = scheduler(0.0 if rescale_interval else warmup_length)
        start_value = warmup_factor * scheduler(0.0)
        if warmup_method == "linear":
            warmup = LinearParamScheduler(start_value, end_value)
        elif warmup_method == "constant":
            warmup = ConstantParamScheduler(start_value)
        else:
            raise ValueError(f"Unknown warmup method: {warmup_method}")
        super().__init__(
            [warmup, scheduler],
            interval_scaling=["rescaled", "rescaled" if rescale_interval else "fixed"],
            lengths=[warmup_length, 1 - warmup_length],
        )


class LRMultiplier(LRScheduler):
    """Multiply the initial rate of every group by a schedule on [0, 1]; step it per iteration.

    The schedule itself is not in the state dict: only ``base_lrs`` and ``last_epoch`` are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        multiplier: ParamScheduler,
        max_iter: int,
        last_iter: int = -1,
    ) -> None:
        """Attach to an optimizer.

        Args:
            optimizer: its groups give the initial rates.
            multiplier: fraction of training done -> factor.
            max_iter: number of iterations of the training.
            last_iter: the last iteration done, -1 for none.

        Raises:
            ValueError: ``multiplier`` is no ParamScheduler.
        """
        if not isinstance(multiplier, ParamScheduler):
            raise ValueError(
                f"multiplier must be an fvcore ParamScheduler, got {type(multiplier).__name__}"
            )
        self._multiplier = multiplier
        self._max_iter = max_iter
        super().__init__(optimizer, last_epoch=last_iter)

    def state_dict(self) -> dict:
        """The initial rates and the number of steps."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}

    def get_lr(self) -> list[float]:
        """The rate of every group for the current iteration."""
        factor = self._multiplier(self.last_epoch / self._max_iter)
        return [base * factor for base in self.base_lrs]


class _WarmupLR(LRScheduler):
    """A factor on the initial rates that starts with a warm-up; parent of such schedules."""

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_factor: float,
        warmup_iters: int,
        warmup_method: str,
        last_epoch: int,
    ) -> None:
        self.warmup_factor = warmup_factor
        self.warmup_iters = warmup_iters
        self.warmup_method = warmup_method
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        """The factor in iteration ``last_epoch``."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rate of every group for the current iteration."""
        factor = self._factor()
        return [base * factor for base in self.base_lrs]

    def _compute_values(self) -> list[float]:
        return self.get_lr()


class _DecayWithWarmup(_WarmupLR):
    """Old style: the product of warm-up and a schedule that starts at once."""

    def __init__(self, *args) -> None:
        logger.warning(
            "%s is deprecated: use LRMultiplier with an fvcore ParamScheduler",
            type(self).__name__,
        )
        super().__init__(*args)

    def _decay(self) -> float:
        raise NotImplementedError

    def _factor(self) -> float:
        return self._decay() * _get_warmup_factor_at_iter(
            self.warmup_method, self.last_epoch, self.warmup_iters, self.warmup_factor
        )


class WarmupMultiStepLR(_DecayWithWarmup):
    """Warm-up times a step schedule."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: list[int],
        gamma: float = 0.1,
        warmup_factor: float = 0.001,
        warmup_iters: int = 1000,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        """Multiply by ``gamma`` at each of ``milestones``.

        Raises:
            ValueError: milestones do not increase.
        """
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones must increase, got {milestones}")
        self.milestones = milestones
        self.gamma = gamma
        super().__init__(optimizer, warmup_factor, warmup_iters, warmup_method, last_epoch)

    def _decay(self) -> float:
        return self.gamma ** bisect.bisect_right(self.milestones, self.last_epoch)


class WarmupCosineLR(_DecayWithWarmup):
    """Warm-up times half a cosine wave that ends at 0."""

    def __init__(
        self,
        optimizer: Optimizer,
        max_iters: int,
        warmup_factor: float = 0.001,
        warmup_iters: int = 1000,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        """Reach 0 after ``max_iters`` iterations."""
        self.max_iters = max_iters
        super().__init__(optimizer, warmup_factor, warmup_iters, warmup_method, last_epoch)

    def _decay(self) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * self.last_epoch / self.max_iters))


def _get_warmup_factor_at_iter(
    method: str, iter: int, warmup_iters: int, warmup_factor: float
) -> float:
    """Factor on the learning rate in iteration ``iter``; 1 once the warm-up is over.

    Raises:
        ValueError: ``method`` is neither "constant" nor "linear".
    """
    if iter >= warmup_iters:
        return 1.0
    if method == "constant":
        return warmup_factor
    if method == "linear":
        done = iter / warmup_iters
        return warmup_factor * (1 - done) + done
    raise ValueError(f"Unknown warmup method: {method}")
