"""Published checkpoints, as they are: one table of renamings per family.

A file is recognised by its keys, renamed, and only then compared with the model, so that a head
of another class count is left out with a report and not an exception. It happens whenever a
video meta-architecture loads a state, so ``MODEL.WEIGHTS``, ``DefaultPredictor`` and
``DetectionCheckpointer`` take published files without conversion.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from dvps_d2.d2.loading import load_config
from dvps_d2.d2.vpsnet_weights import RULES as VPSNET_RULES

logger = logging.getLogger(__name__)

# Tensors that follow from the config; the model's own are kept, whatever a file says.
COMPUTED = re.compile(r"criterion\.empty_weight|.*\.relative_position_index")
# Tensors that a model does without: they come with some kinds of normalisation layers only.
OPTIONAL = re.compile(r".*\.num_batches_tracked")
# The last linear layers of the classes, in the segmenter, the tracker and the refiner.
CLASS_HEADS = re.compile(r"(sem_seg_head\.predictor|tracker|refiner)\.class_embed\.(weight|bias)")


@dataclass(frozen=True)
class Rule:
    """Rename the keys that ``pattern`` matches from end to end; None leaves them out.

    ``change`` is applied to their tensors.
    """

    pattern: str
    replacement: str | None
    change: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Family:
    """Files that one code base writes.

    Attributes:
        name: for the report.
        mark: a file with a key that this matches from end to end belongs to the family.
        rules: applied to every key in order; all that match count, the second to the result of
            the first.
    """

    name: str
    mark: str
    rules: tuple[Rule, ...]


MASK2FORMER_RULES = (
    # The released files call the learned query content by its older name.
    Rule(r"(sem_seg_head\.predictor)\.static_query\.weight", r"\1.query_feat.weight"),
    # Very old files lack the level of the pixel decoder.
    Rule(
        r"sem_seg_head\.((?:adapter_\d|layer_\d|input_proj|transformer|mask_features)\..*)",
        r"sem_seg_head.pixel_decoder.\1",
    ),
)
FAMILIES = (
    Family(
        "DVIS",
        r"(tracker|refiner|offline_tracker)\..*",
        (*MASK2FORMER_RULES, Rule(r"offline_tracker\.(.*)", r"refiner.\1")),
    ),
    Family("VPSNet", r"bbox_head\.fc_cls\.weight", tuple(Rule(*rule) for rule in VPSNET_RULES)),
    # Mask2Former for images, and MinVIS, whose keys are the same.
    Family("Mask2Former", r"sem_seg_head\..*", MASK2FORMER_RULES),
    Family(
        "Swin on ImageNet",
        r"patch_embed\.proj\.weight",
        (
            # The classifier, the norm before it and masks that are worked out anew. The norms of
            # the feature maps (norm0 to norm3) are not in these files.
            Rule(r"(head|norm)\.(weight|bias)|layers\.\d+\.blocks\.\d+\.attn_mask", None),
            Rule(r"((?:patch_embed|layers)\..*|absolute_pos_embed)", r"backbone.\1"),
        ),
    ),
)


@dataclass(frozen=True)
class Conversion:
    """A file's weights under the keys of this package.

    Attributes:
        weights: key -> tensor.
        family: name of the family, or None when no table applies.
        renamed: new key -> key in the file, where they differ.
        left_out: keys of the file that have no place in any model here.
    """

    weights: dict[str, Tensor]
    family: str | None
    renamed: dict[str, str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Fit:
    """What of a file a model takes.

    Attributes:
        weights: key -> tensor, all of the model's shapes.
        dropped: key -> why it is not loaded, for keys that the model has too.
        leftover: keys of the file that the model does not have.
        new: keys of the model that the file does not give.
    """

    weights: dict[str, Tensor]
    dropped: dict[str, str] = field(default_factory=dict)
    leftover: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


def find_family(keys: Iterable[str]) -> Family | None:
    """The family that a file's keys belong to, or None."""
    keys = list(keys)
    for family in FAMILIES:
        if any(re.fullmatch(family.mark, key) for key in keys):
            return family
    return None


def convert_keys(weights: Mapping[str, Tensor]) -> Conversion:
    """Rename a file's weights; keys that are right already stay as they are.

    Args:
        weights: key -> tensor as in the file.

    Raises:
        ValueError: two keys of the file become one.
    """
    family = find_family(weights)
    converted: dict[str, Tensor] = {}
    renamed: dict[str, str] = {}
    left_out = []
    for old, stored in weights.items():
        new, tensor = _apply(old, stored, family.rules if family else ())
        if new is None:
            left_out.append(old)
            continue
        if new in converted:
            raise ValueError(
                f"both {renamed.get(new, new)!r} and {old!r} of the file are {new!r} here; the "
                f"file mixes two versions of a model"
            )
        converted[new] = tensor
        if new != old:
            renamed[new] = old
    return Conversion(converted, family.name if family else None, renamed, tuple(left_out))


def fit_to_model(weights: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> Fit:
    """Compare weights with the tensors of a model.

    Args:
        weights: key -> tensor, renamed already.
        model: key -> tensor of the model, or anything with a ``shape``.

    Returns:
        What fits. Tensors that no file decides, or that normalisation layers may lack, are never
        new or left over.
    """
    taken, dropped, leftover = {}, {}, []
    for key, tensor in weights.items():
        if key not in model:
            if not OPTIONAL.fullmatch(key):
                leftover.append(key)
        elif COMPUTED.fullmatch(key):
            continue
        elif tuple(tensor.shape) != tuple(model[key].shape):
            here = tuple(model[key].shape)
            dropped[key] = f"{tuple(tensor.shape)} in the file, {here} in the model"
        else:
            taken[key] = tensor
    new = [key for key in model if key not in taken and not _is_given(key)]
    return Fit(taken, dropped, tuple(leftover), tuple(new))


def accept_published_weights(module: nn.Module) -> None:
    """Make a module translate published keys whenever it loads a state.

    Tensors of the wrong shape are left out with a warning; in a strict load they are then missing,
    which PyTorch reports as an error.

    Args:
        module: its ``state_dict()`` has the published keys (:mod:`dvps_d2.d2.state_keys`); call
            this before the hooks of that module are registered.
    """
    module.register_load_state_dict_pre_hook(_translate)


def reorder_classes(weights: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
    """Bring class heads into the class order of a dataset.

    Args:
        weights: key -> tensor, renamed already.
        order: class ``order[i]`` of the dataset is row i of the file (``things_first()`` of a
            class table for the VIPSeg models of DVIS). "No object" stays last.

    Returns:
        The weights with permuted class heads.

    Raises:
        ValueError: there is no class head, or one of another class count.
    """
    rows = torch.tensor([*order, len(order)]).argsort()
    heads = [key for key in weights if CLASS_HEADS.fullmatch(key)]
    if not heads:
        raise ValueError("no class head among the weights: nothing to reorder")
    for key in heads:
        if len(weights[key]) != len(rows):
            raise ValueError(
                f"{key} has {len(weights[key])} rows, but the class order has {len(order)} "
                f'classes and "no object"; is the file of this dataset?'
            )
    return {key: t[rows] if key in heads else t for key, t in weights.items()}


def outline_of_model(config_file: str) -> dict[str, Tensor]:
    """Keys and shapes of a config's model, without the memory and time of building it.

    Args:
        config_file: a YAML file.

    Returns:
        Published key -> tensor on the "meta" device.
    """
    cfg = load_config(config_file)
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).state_dict()


def _is_given(key: str) -> bool:
    """Whether a model has a value of its own for this tensor when a file has none."""
    return bool(COMPUTED.fullmatch(key) or OPTIONAL.fullmatch(key))


def _apply(key: str, tensor: Tensor, rules: Sequence[Rule]) -> tuple[str | None, Tensor]:
    """The new key, or None where a rule leaves it out, and the tensor that belongs there."""
    for rule in rules:
        match = re.fullmatch(rule.pattern, key)
        if match is None:
            continue
        if rule.replacement is None:
            return None, tensor
        key = match.expand(rule.replacement)
        if rule.change is not None:
            tensor = rule.change(tensor)
    return key, tensor


def _translate(
    module: nn.Module,
    state_dict: dict[str, Any],
    prefix: str,
    *args: Any,
) -> None:
    if prefix:  # inside a wrapper, which only ever loads what it saved
        return
    own = module.state_dict()
    conversion = convert_keys(state_dict)
    fit = fit_to_model(conversion.weights, own)
    given = [key for key in own if _is_given(key)] if fit.weights else []
    state_dict.clear()
    state_dict.update({key: own[key] for key in given})
    state_dict.update(fit.weights)
    state_dict.update({key: conversion.weights[key] for key in fit.leftover})
    report(conversion, fit)


def report(conversion: Conversion, fit: Fit) -> None:
    """Log what a file gave to a model, shortly; what was dropped is named one by one."""
    logger.info(
        "Weights (%s): %d tensors loaded, %d of them renamed; %d new in the model, %d of the file "
        "not used",
        conversion.family or "no published family",
        len(fit.weights),
        len(conversion.renamed),
        len(fit.new),
        len(fit.dropped) + len(fit.leftover) + len(conversion.left_out),
    )
    for key, reason in fit.dropped.items():
        logger.warning("%s is not loaded: %s", key, reason)
