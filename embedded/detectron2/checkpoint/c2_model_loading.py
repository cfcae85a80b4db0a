"""Matching weights whose names differ: Caffe2's names, and names that lack a prefix."""

from __future__ import annotations

import logging
import re

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# Ends of Caffe2's names.
_ENDS = (
    (r"_w", ".weight"),
    (r"_b", ".bias"),
    (r"_(?:bn|gn)_(?:s|gamma)", ".norm.weight"),
    (r"_(?:bn|gn)_(?:b|bias|beta)", ".norm.bias"),
    (r"_bn_(?:rm|running_mean)", ".norm.running_mean"),
    (r"_bn_(?:riv|running_var)", ".norm.running_var"),
)
# What stands before the end: ResNet, and its classifier.
_BASIC = (
    (r"(?:res_)?conv1", "stem.conv1"),
    (r"res(\d)_(\d+)_branch1", r"res\1.\2.shortcut"),
    (r"res(\d)_(\d+)_branch2a", r"res\1.\2.conv1"),
    (r"res(\d)_(\d+)_branch2b", r"res\1.\2.conv2"),
    (r"res(\d)_(\d+)_branch2c", r"res\1.\2.conv3"),
    (r"pred", "linear"),
)
# FPN, RPN and the heads of Mask R-CNN.
_DETECTOR = (
    (r"fpn_inner_res(\d)_\d+_sum(?:_lateral)?", r"fpn_lateral\1"),
    (r"fpn_res(\d)_\d+_sum", r"fpn_output\1"),
    (r"conv_rpn(?:_fpn\d)?", "proposal_generator.rpn_head.conv"),
    (r"rpn_cls_logits(?:_fpn\d)?", "proposal_generator.rpn_head.objectness_logits"),
    (r"rpn_bbox_pred(?:_fpn\d)?", "proposal_generator.rpn_head.anchor_deltas"),
    (r"fc6", "box_head.fc1"),
    (r"fc7", "box_head.fc2"),
    (r"head_conv(\d)", r"box_head.conv\1"),
    (r"_\[mask\]_fcn(\d)", r"mask_head.mask_fcn\1"),
    (r"conv5_mask", "mask_head.deconv"),
    (r"mask_fcn_logits", "mask_head.predictor"),
)


def _rename(name: str, bodies: tuple[tuple[str, str], ...]) -> str:
    """Translate body and end of one name; a part that no rule knows stays as it is."""
    end = ""
    # The longest end counts: "_bn_b" before "_b".
    for pattern, replacement in reversed(_ENDS):
        match = re.fullmatch(f"(.+?){pattern}", name)
        if match:
            name, end = match.group(1), replacement
            break
    for pattern, replacement in bodies:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement) + end
    return name + end


def convert_basic_c2_names(original_keys: list[str]) -> list[str]:
    """Caffe2's names of ResNet weights -> ours, in the same order."""
    return [_rename(key, _BASIC) for key in original_keys]


def convert_c2_detectron_names(
    weights: dict[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Caffe2's names of a detector -> ours, with background as the last class.

    Caffe2 has background first: its box and mask regressors are dropped, and its row of the
    classifier moves to the end.

    Args:
        weights: name -> tensor.

    Returns:
        Weights by new name, and new name -> old name.

    Raises:
        ValueError: two names become one.
    """
    converted: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for old, value in weights.items():
        new = _rename(old, _BASIC + _DETECTOR)
        if new in converted:
            raise ValueError(f"both {origin[new]!r} and {old!r} are called {new!r} here")
        owner = new.rpartition(".")[0]
        if owner == "bbox_pred":
            value = value[4:]
        elif owner == "cls_score":
            value = torch.cat([value[1:], value[:1]])
        elif owner == "mask_head.predictor":
            value = value[1:]
        converted[new] = value
        origin[new] = old
    return converted, origin


def align_and_update_state_dicts(
    model_state_dict: dict[str, Tensor],
    ckpt_state_dict: dict[str, Tensor],
    c2_conversion: bool = True,
) -> dict[str, Tensor]:
    """Give weights of a file the names that the model has for them.

    A key of the model takes the key of the file that equals it or is its longest dotted suffix:
    ``backbone.bottom_up.stem.conv1.weight`` takes ``stem.conv1.weight``.

    Args:
        model_state_dict: what the model has.
        ckpt_state_dict: what the file has.
        c2_conversion: first translate Caffe2's names.

    Returns:
        The weights of the file, those that match by the model's name, the others by their own.

    Raises:
        ValueError: one key of the file fits several keys of the model.
    """
    if c2_conversion:
        ckpt_state_dict, _ = convert_c2_detectron_names(ckpt_state_dict)
    matched: dict[str, str] = {}  # key of the file -> key of the model
    for key, value in sorted(model_state_dict.items()):
        source = _longest_suffix(key, ckpt_state_dict)
        if source is None:
            continue
        shape = tuple(ckpt_state_dict[source].shape)
        if shape != tuple(value.shape):
            logger.warning(
                "%s is not loaded: %s in the file, %s in the model (as %s)",
                source,
                shape,
                tuple(value.shape),
                key,
            )
            continue
        if source in matched:
            logger.error("%s of the file fits both %s and %s", source, matched[source], key)
            raise ValueError("Cannot match one checkpoint key to multiple keys in the model.")
        matched[source] = key
    if not matched:
        logger.warning("No weights in checkpoint matched with model.")
        return ckpt_state_dict
    logger.info("%d of %d weights matched by name", len(matched), len(model_state_dict))
    return {matched.get(key, key): value for key, value in ckpt_state_dict.items()}


def _longest_suffix(key: str, names: dict[str, Tensor]) -> str | None:
    """``key``, or the longest of its dotted suffixes that is among ``names``."""
    while key not in names:
        _, dot, key = key.partition(".")
        if not dot:
            return None
    return key
