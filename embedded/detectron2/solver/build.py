"""Optimizer and schedule from a config."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import torch
from fvcore.common.param_scheduler import (
    CosineParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from .lr_scheduler import LRMultiplier, WarmupParamScheduler

logger = logging.getLogger(__name__)

# Their weights and biases take WEIGHT_DECAY_NORM. SyncBatchNorm is one of torch's _BatchNorm.
_NORM_TYPES = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


class GradientClipType(Enum):
    """Values of ``SOLVER.CLIP_GRADIENTS.CLIP_TYPE``; both look at one parameter at a time."""

    VALUE = "value"
    NORM = "norm"


def _create_gradient_clipper(cfg) -> Callable[[nn.Parameter], Any]:
    """A function that clips the gradient of one parameter, from SOLVER.CLIP_GRADIENTS."""
    kind, limit, norm_type = GradientClipType(cfg.CLIP_TYPE), cfg.CLIP_VALUE, cfg.NORM_TYPE
    if kind is GradientClipType.VALUE:
        return lambda parameter: nn.utils.clip_grad_value_(parameter, limit)
    return lambda parameter: nn.utils.clip_grad_norm_(parameter, limit, norm_type)


def _with_gradient_clip(
    optimizer: type[torch.optim.Optimizer], clip: Callable[[nn.Parameter], Any]
) -> type[torch.optim.Optimizer]:
    """A subclass whose ``step`` first clips every parameter."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                clip(parameter)
        return super(clipped, self).step(closure)

    clipped = type(optimizer.__name__ + "WithGradientClip", (optimizer,), {"step": step})
    return clipped


def maybe_add_gradient_clipping(
    cfg, optimizer: torch.optim.Optimizer | type[torch.optim.Optimizer]
) -> torch.optim.Optimizer | type[torch.optim.Optimizer]:
    """Clip gradients in every step, if ``cfg.SOLVER.CLIP_GRADIENTS.ENABLED``.

    Args:
        cfg: the config. CLIP_TYPE "full_model" is not for this function: a project that wants it
            clips in its own optimizer.
        optimizer: a class, for which a subclass comes back; or an instance, which becomes one of
            that subclass.

    Raises:
        ValueError: unknown CLIP_TYPE.
    """
    if not cfg.SOLVER.CLIP_GRADIENTS.ENABLED:
        return optimizer
    is_instance = isinstance(optimizer, torch.optim.Optimizer)
    base = type(optimizer) if is_instance else optimizer
    assert issubclass(base, torch.optim.Optimizer), f"{base} is not an optimizer"
    clipped = _with_gradient_clip(base, _create_gradient_clipper(cfg.SOLVER.CLIP_GRADIENTS))
    if not is_instance:
        return clipped
    optimizer.__class__ = clipped
    return optimizer


def build_optimizer(cfg, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with the groups that ``cfg.SOLVER`` asks for."""
    solver = cfg.SOLVER
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    optimizer = torch.optim.SGD(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
        foreach=True,
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float | None = None,
    weight_decay: float | None = None,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float | None = 1.0,
    weight_decay_bias: float | None = None,
    lr_factor_func: Callable[[str], float] | None = None,
    overrides: dict[str, dict[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: weights, norms and biases.

    Args:
        model: frozen parameters are left out, shared ones appear once.
        base_lr: learning rate; None leaves it to the optimizer.
        weight_decay: of all others; None leaves it to the optimizer.
        weight_decay_norm: of weight and bias of normalisation layers.
        bias_lr_factor: on the rate of parameters called exactly ``bias``.
        weight_decay_bias: of parameters called ``bias``; beats ``weight_decay_norm``.
        lr_factor_func: full parameter name -> factor on the rate.
        overrides: last part of the parameter name -> options of its group.

    Returns:
        Groups of equal options, in order of first appearance.

    Raises:
        ValueError: a factor without ``base_lr``, or "bias" in ``overrides`` beside bias options.
    """
    defaults = {"lr": base_lr, "weight_decay": weight_decay}
    defaults = {name: value for name, value in defaults.items() if value is not None}
    by_name = dict(overrides or {})
    bias_options = {}
    if bias_lr_factor is not None and bias_lr_factor != 1.0:
        if base_lr is None:
            raise ValueError("bias_lr_factor requires base_lr")
        bias_options["lr"] = base_lr * bias_lr_factor
    if weight_decay_bias is not None:
        bias_options["weight_decay"] = weight_decay_bias
    if bias_options:
        if "bias" in by_name:
            raise ValueError("Conflicting overrides for 'bias'")
        by_name["bias"] = bias_options
    if lr_factor_func is not None and base_lr is None:
        raise ValueError("lr_factor_func requires base_lr")

    groups = []
    for module, prefix, name, parameter in _trainable_parameters(model):
        options = dict(defaults)
        if isinstance(module, _NORM_TYPES) and weight_decay_norm is not None:
            options["weight_decay"] = weight_decay_norm
        if lr_factor_func is not None:
            options["lr"] *= lr_factor_func(f"{prefix}.{name}")
        options.update(by_name.get(name, {}))
        groups.append({"params": [parameter], **options})
    return reduce_param_groups(groups)


def _trainable_parameters(
    model: nn.Module,
) -> Iterator[tuple[nn.Module, str, str, nn.Parameter]]:
    """(owner, its full name, own name, parameter), each parameter once."""
    seen = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield module, prefix, name, parameter


def reduce_param_groups(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge groups with equal options: fewer groups make optimizers faster.

    Args:
        params: groups; ``params`` of each is a list of parameters.

    Returns:
        One group per distinct set of options, in order of first appearance.
    """
    merged: dict[tuple, list] = {}
    for group in params:
        options = tuple(sorted((k, v) for k, v in group.items() if k != "params"))
        merged.setdefault(options, []).extend(group["params"])
    return [{**dict(options), "params": members} for options, members in merged.items()]


def build_lr_scheduler(cfg, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """The schedule named by ``cfg.SOLVER.LR_SCHEDULER_NAME``, with its warm-up.

    Steps beyond MAX_ITER are dropped with a warning; a step equal to it is an error.

    Raises:
        ValueError: unknown name, or steps that do not fit.
    """
    solver = cfg.SOLVER
    name = solver.LR_SCHEDULER_NAME
    if name not in _SCHEDULES:
        raise ValueError(f"Unknown LR scheduler: {name}")
    schedule = WarmupParamScheduler(
        _SCHEDULES[name](solver),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
        solver.RESCALE_INTERVAL,
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)


def _multi_step(solver) -> ParamScheduler:
    steps = [step for step in solver.STEPS if step <= solver.MAX_ITER]
    if len(steps) != len(solver.STEPS):
        logger.warning(
            "SOLVER.STEPS %s: those beyond SOLVER.MAX_ITER=%d are ignored",
            tuple(solver.STEPS),
            solver.MAX_ITER,
        )
    return MultiStepParamScheduler(
        values=[solver.GAMMA**k for k in range(len(steps) + 1)],
        milestones=steps,
        num_updates=solver.MAX_ITER,
    )


def _cosine(solver) -> ParamScheduler:
    end = solver.BASE_LR_END / solver.BASE_LR
    assert 0.0 <= end <= 1.0, (
        f"SOLVER.BASE_LR_END={solver.BASE_LR_END} must be within 0..BASE_LR={solver.BASE_LR}"
    )
    return CosineParamScheduler(1, end)


def _fixed_gamma(solver) -> ParamScheduler:
    return StepWithFixedGammaParamScheduler(
        base_value=1.0,
        gamma=solver.GAMMA,
        num_decays=solver.NUM_DECAYS,
        num_updates=solver.MAX_ITER,
    )


_SCHEDULES = {
    "WarmupMultiStepLR": _multi_step,
    "WarmupCosineLR": _cosine,
    "WarmupStepWithFixedGammaLR": _fixed_gamma,
}
