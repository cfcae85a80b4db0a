"""Activation checkpointing: blocks forget what they computed and compute it again when needed.

Memory of training goes down, time goes up by about one more forward pass of the chosen parts.
Losses and gradients stay the same; so do names of parameters, and inference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from detectron2.layers import CNNBlockBase
from torch import is_grad_enabled, nn
from torch.utils.checkpoint import checkpoint

from dvps_d2.layers import CrossAttentionLayer, FeedForwardLayer, SelfAttentionLayer
from dvps_d2.layers.deformable import DeformableEncoderLayer
from dvps_d2.layers.resnet import BasicBlock
from dvps_d2.layers.swin import PatchMerging, SwinBlock

logger = logging.getLogger(__name__)

BLOCKS = (
    BasicBlock,
    CNNBlockBase,
    CrossAttentionLayer,
    DeformableEncoderLayer,
    FeedForwardLayer,
    PatchMerging,
    SelfAttentionLayer,
    SwinBlock,
)
# Name in the config -> modules below the pipeline.
PARTS = {
    "backbone": ("segmenter.backbone",),
    "encoder": ("segmenter.pixel_decoder",),
    "decoder": ("segmenter.predictor", "segmenter.depth_predictor"),
    "tracker": ("tracker",),
    "refiner": ("refiner",),
}
_MADE: dict[type[nn.Module], type[nn.Module]] = {}


def recompute_activations(model: nn.Module, parts: Sequence[str]) -> int:
    """Let the blocks of some parts recompute their activations in the backward pass.

    Args:
        model: a :class:`~dvps_d2.d2.meta_arch.VideoMetaArch`, changed in place.
        parts: keys of ``PARTS``.

    Returns:
        How many blocks do so now.

    Raises:
        ValueError: a name that is not known, or a part without such blocks in this model.
    """
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise ValueError(f"SOLVER.RECOMPUTE has {unknown[0]!r}; there are {', '.join(PARTS)}")
    found = {name: list(_blocks(model, name)) for name in PARTS}
    count = 0
    for name in parts:
        if not found[name]:
            there = ", ".join(key for key, blocks in found.items() if blocks)
            raise ValueError(
                f"SOLVER.RECOMPUTE has {name!r}, but {type(model).__name__} has no blocks there "
                f"that can recompute; it has some in {there}"
            )
        for block in found[name]:
            block.__class__ = _recomputing(type(block))
        count += len(found[name])
    if count:
        logger.info("%d blocks of %s recompute their activations", count, ", ".join(parts))
    return count


def _blocks(model: nn.Module, part: str) -> Iterator[nn.Module]:
    """Blocks of a part that are in no other block."""
    for path in PARTS[part]:
        root = model.pipeline
        for name in path.split("."):
            root = getattr(root, name, None)
        if isinstance(root, nn.Module):
            yield from _outermost(root)


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, BLOCKS):
        yield module
        return
    for child in module.children():
        yield from _outermost(child)


def _recomputing(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass, so that copies of a module and the names of its parameters stay what they are."""
    if issubclass(kind, _Recomputing):
        return kind
    if kind not in _MADE:
        _MADE[kind] = type(f"Recomputing{kind.__name__}", (_Recomputing, kind), {})
    return _MADE[kind]


class _Recomputing(nn.Module):
    def forward(self, *arguments: Any, **options: Any) -> Any:
        if not (self.training and is_grad_enabled()):
            return super().forward(*arguments, **options)
        return checkpoint(
            super().forward,
            *arguments,
            use_reentrant=False,
            context_fn=self._contexts,
            **options,
        )

    def _contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_at_rest(self)


@contextmanager
def _statistics_at_rest(module: nn.Module) -> Iterator[None]:
    """Batch norms below a module do not count a batch: it was counted the first time."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    before = [None if count is None else count.clone() for count in counts]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for count, value in zip(counts, before, strict=True):
            if count is not None:
                count.copy_(value)
