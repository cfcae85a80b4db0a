"""The polynomial schedule."""

from __future__ import annotations

from torch.optim import Optimizer

from detectron2.solver.lr_scheduler import _get_warmup_factor_at_iter, _WarmupLR


class WarmupPolyLR(_WarmupLR):
    """``base * warmup * (1 - iteration / max_iters) ** power``.

    Source: Chen et al., DeepLab, 2017, section 4.1.2.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_iters: int,
        warmup_factor: float = 0.001,
        warmup_iters: int = 1000,
        warmup_method: str = "linear",
        last_epoch: int = -1,
        power: float = 0.9,
        constant_ending: float = 0.0,
    ) -> None:
        """Reach 0 after ``max_iters`` iterations.

        Args:
            optimizer: its groups give the initial rates.
            max_iters: number of iterations.
            warmup_factor: where the warm-up starts.
            warmup_iters: its length.
            warmup_method: "linear" or "constant".
            last_epoch: the last iteration done.
            power: exponent.
            constant_ending: stay at this fraction of the initial rate once the polynomial is
                below it (and the warm-up over); 0 for never.
        """
        self.max_iters = max_iters
        self.power = power
        self.constant_ending = constant_ending
        super().__init__(optimizer, warmup_factor, warmup_iters, warmup_method, last_epoch)

    def _factor(self) -> float:
        warmup = _get_warmup_factor_at_iter(
            self.warmup_method, self.last_epoch, self.warmup_iters, self.warmup_factor
        )
        decay = (1.0 - self.last_epoch / self.max_iters) ** self.power
        if warmup == 1.0 and decay < self.constant_ending:
            return self.constant_ending
        return warmup * decay
