"""Optimizers, gradient clipping and schedules that Detectron2's core does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from detectron2.projects.deeplab import build_lr_scheduler as build_deeplab_scheduler
from detectron2.solver import LRMultiplier, WarmupParamScheduler
from detectron2.solver.build import maybe_add_gradient_clipping
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    LinearParamScheduler,
)
from torch import nn

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "ADAMW": torch.optim.AdamW,
    "SGD": torch.optim.SGD,
}
NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)
# Parameters that are positions in a table: no decay, as in the published Swin recipes.
UNDECAYED = ("relative_position_bias_table", "absolute_pos_embed")


def parameter_groups(
    model: nn.Module,
    *,
    base_lr: float,
    weight_decay: float,
    weight_decay_norm: float,
    weight_decay_embed: float,
    backbone_multiplier: float,
) -> list[dict[str, Any]]:
    """Trainable parameters with their learning rate and weight decay, equal settings together.

    Args:
        model: any module; parameters below a module called "backbone" get the multiplier.
        base_lr: learning rate.
        weight_decay: for everything but the two kinds below.
        weight_decay_norm: for normalisation layers.
        weight_decay_embed: for ``nn.Embedding``.
        backbone_multiplier: factor of the learning rate of the backbone.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            decay = weight_decay
            if isinstance(module, NORMS):
                decay = weight_decay_norm
            elif isinstance(module, nn.Embedding):
                decay = weight_decay_embed
            elif name in UNDECAYED:
                decay = 0.0
            lr = base_lr * (backbone_multiplier if "backbone" in path.split(".") else 1.0)
            groups.setdefault((lr, decay), []).append(parameter)
    return [
        {"params": params, "lr": lr, "weight_decay": decay}
        for (lr, decay), params in groups.items()
    ]


def build_optimizer(cfg: Any, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``SOLVER.OPTIMIZER`` with the clipping of ``SOLVER.CLIP_GRADIENTS``.

    ``CLIP_TYPE`` "full_model" clips the norm over all parameters at once, as query models do;
    Detectron2's "value" and "norm" clip every parameter by itself.

    Raises:
        ValueError: an optimizer that is not known.
    """
    name = cfg.SOLVER.OPTIMIZER.upper()
    if name not in OPTIMIZERS:
        raise ValueError(
            f"SOLVER.OPTIMIZER={cfg.SOLVER.OPTIMIZER!r} is not one of {', '.join(OPTIMIZERS)}"
        )
    groups = parameter_groups(
        model,
        base_lr=cfg.SOLVER.BASE_LR,
        weight_decay=cfg.SOLVER.WEIGHT_DECAY,
        weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM,
        weight_decay_embed=cfg.SOLVER.WEIGHT_DECAY_EMBED,
        backbone_multiplier=cfg.SOLVER.BACKBONE_MULTIPLIER,
    )
    clip = cfg.SOLVER.CLIP_GRADIENTS
    kind = OPTIMIZERS[name]
    if clip.ENABLED and clip.CLIP_TYPE == "full_model":
        kind = with_full_model_clipping(kind, clip.CLIP_VALUE, clip.NORM_TYPE)
    else:
        kind = maybe_add_gradient_clipping(cfg, kind)
    options = {"momentum": cfg.SOLVER.MOMENTUM} if name == "SGD" else {}
    return kind(groups, cfg.SOLVER.BASE_LR, **options)


def with_full_model_clipping(
    optimizer: type[torch.optim.Optimizer], max_norm: float, norm_type: float = 2.0
) -> type[torch.optim.Optimizer]:
    """A subclass whose ``step`` first clips the norm of all gradients together."""

    class FullModelClip(optimizer):  # type: ignore[misc, valid-type]
        def step(self, closure: Callable[[], float] | None = None) -> Any:
            parameters = [p for group in self.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
            return super().step(closure=closure)

    FullModelClip.__name__ = f"{optimizer.__name__}WithFullModelClip"
    return FullModelClip


def build_lr_scheduler(cfg: Any, optimizer: torch.optim.Optimizer) -> Any:
    """The schedule of ``SOLVER.LR_SCHEDULER_NAME``.

    "WarmupFlatLinearLR" is constant after its warm-up and falls linearly to 0 over the last
    ``SOLVER.LINEAR_DECAY_FRACTION`` of the run; "WarmupPolyLR" is DeepLab's; the others are
    Detectron2's own.
    """
    if cfg.SOLVER.LR_SCHEDULER_NAME != "WarmupFlatLinearLR":
        return build_deeplab_scheduler(cfg, optimizer)
    fraction = cfg.SOLVER.LINEAR_DECAY_FRACTION
    if not 0 < fraction < 1:
        raise ValueError(f"SOLVER.LINEAR_DECAY_FRACTION must lie in (0, 1), got {fraction}")
    flat_then_linear = CompositeParamScheduler(
        [ConstantParamScheduler(1.0), LinearParamScheduler(1.0, 0.0)],
        lengths=[1 - fraction, fraction],
        interval_scaling=["fixed", "rescaled"],
    )
    multiplier = WarmupParamScheduler(
        flat_then_linear,
        cfg.SOLVER.WARMUP_FACTOR,
        min(cfg.SOLVER.WARMUP_ITERS / cfg.SOLVER.MAX_ITER, 1.0),
        cfg.SOLVER.WARMUP_METHOD,
    )
    return LRMultiplier(optimizer, multiplier=multiplier, max_iter=cfg.SOLVER.MAX_ITER)
