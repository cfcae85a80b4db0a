"""A stage of DVIS starts with the heads of the stage before it."""

from __future__ import annotations

import logging
from typing import Any, cast

import torch
from torch import nn

from dvps_d2.d2.state_keys import to_published

logger = logging.getLogger(__name__)

# Stage -> module whose norm and heads it may start from.
BEFORE = {"tracker": "segmenter.predictor", "refiner": "tracker"}
HEADS = ("decoder_norm", "class_embed", "mask_embed", "depth_embed")


def start_heads(model: nn.Module, report: Any) -> None:
    """After loading: copy norm and heads to the trained stage if the file had none for it.

    Every stage writes queries that are normalised last and read through one more norm, so the
    heads of the stage before are a better start than noise. The copied tensors stay in the list
    of missing keys, since the file did not have them.

    Args:
        model: has ``pipeline`` and ``trained``, the name of a stage; has just loaded a state.
        report: its missing (and unexpected) keys, published names.
    """
    name = cast(str, model.trained)
    pipeline = cast(nn.Module, model.pipeline)
    stage, source = pipeline.get_submodule(name), pipeline.get_submodule(BEFORE[name])
    missing = set(report.missing_keys)
    if not _keys(name, stage) <= missing or _keys(BEFORE[name], source) & missing:
        return
    copied = [head for head in HEADS if _copy(getattr(source, head, None), getattr(stage, head))]
    logger.info(
        "The weights have no %s: its %s start as copies of those of the stage before "
        "(MODEL.TRACKER.COPY_HEADS)",
        name,
        ", ".join(copied),
    )


def _keys(path: str, module: nn.Module) -> set[str]:
    return {to_published(f"pipeline.{path}.{name}") for name in module.state_dict()}


@torch.no_grad()
def _copy(source: nn.Module | None, target: nn.Module | None) -> bool:
    """Whether ``target`` is now equal to ``source``; both must exist."""
    if source is None or target is None:
        return False
    target.load_state_dict(source.state_dict())
    return True
