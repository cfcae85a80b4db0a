"""Checkpoint keys as the field publishes them.

Inside, modules are named after the pipeline (``pipeline.segmenter.pixel_decoder...``); outside,
checkpoints of Mask2Former, MinVIS and DVIS say ``sem_seg_head.pixel_decoder...``. Two state-dict
hooks translate, so that ``model.state_dict()`` has the published keys, and published files load
without any conversion of our own modules.
"""

from __future__ import annotations

from typing import Any

from torch import nn

# (inside, outside), the longest inside prefix first.
PREFIXES = (
    ("pipeline.segmenter.backbone.", "backbone."),
    # VPSNet: Detectron2's names for its detector, published ones for the rest.
    ("pipeline.segmenter.detector.proposal_generator.", "proposal_generator."),
    ("pipeline.segmenter.detector.roi_heads.", "roi_heads."),
    ("pipeline.segmenter.extra_neck.", "extra_neck."),
    ("pipeline.segmenter.semantic_head.", "panopticFPN."),
    ("pipeline.tracker.head.", "track_head."),
    ("pipeline.segmenter.", "sem_seg_head."),
    ("pipeline.", ""),
)


def to_published(key: str) -> str:
    """Module path -> checkpoint key."""
    for inside, outside in PREFIXES:
        if key.startswith(inside):
            return outside + key[len(inside) :]
    return key


def published_module(module: nn.Module, name: str) -> nn.Module | None:
    """The part of a meta-architecture that checkpoints call ``name``, or None.

    Checkpointers walk along the dots of a key to find the module that it belongs to.

    Args:
        module: has a ``pipeline`` child, or is still under construction.
        name: first part of a published key, e.g. "sem_seg_head".
    """
    pipeline = module.__dict__.get("_modules", {}).get("pipeline")
    if pipeline is None:
        return None
    for inside, outside in PREFIXES:
        path = inside if outside == f"{name}." else f"{inside}{name}." if not outside else ""
        parts = dict(pipeline.named_modules(prefix="pipeline")) if path else {}
        if path[:-1] in parts:
            return parts[path[:-1]]
    return None


def publish_state_keys(module: nn.Module) -> None:
    """Make a meta-architecture save and load published keys.

    Args:
        module: has a ``pipeline`` child; gets hooks on ``state_dict`` and ``load_state_dict``.
    """
    module.register_state_dict_post_hook(_rename_saved)
    module.register_load_state_dict_pre_hook(_rename_loaded)
    module.register_load_state_dict_post_hook(_rename_report)


def _rename_saved(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]
) -> None:
    for key in [key for key in state_dict if key.startswith(prefix + "pipeline.")]:
        state_dict[prefix + to_published(key[len(prefix) :])] = state_dict.pop(key)


def _rename_loaded(module: nn.Module, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    # Which inside key a published key means is decided by what the module really has.
    inside = {to_published(key): key for key in _module_keys(module)}
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if name in inside and inside[name] != name:
            state_dict[prefix + inside[name]] = state_dict.pop(key)


def _rename_report(module: nn.Module, incompatible_keys: Any) -> None:
    for keys in (incompatible_keys.missing_keys, incompatible_keys.unexpected_keys):
        keys[:] = [to_published(key) for key in keys]


def _module_keys(module: nn.Module) -> list[str]:
    """Keys of the module's own tensors, before any renaming."""
    keys = []
    for path, child in module.named_modules():
        dot = f"{path}." if path else ""
        keys += [dot + name for name in child._parameters]
        keys += [
            dot + name for name in child._buffers if name not in child._non_persistent_buffers_set
        ]
    return keys
