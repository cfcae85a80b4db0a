"""A config file and overrides -> the config of a run, with errors that name what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config

from .config import add_dvps_config
from .data.datasets import register_own_data

logger = logging.getLogger(__name__)


def load_config(config_file: str | Path, overrides: Sequence[Any] = ()) -> CN:
    """Detectron2's defaults, the keys of this package, a file, and overrides.

    Own data of ``DATASETS.OWN`` is registered. ``MODEL.DEVICE`` "cuda" becomes "cpu" where there
    is no GPU, with one line in the log.

    Args:
        config_file: YAML.
        overrides: keys and values, alternating.

    Returns:
        The config, not frozen.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file or the overrides name a key that does not exist or a value of another
            type.
    """
    if not Path(config_file).is_file():
        raise FileNotFoundError(f"config {config_file} does not exist")
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    try:
        cfg.merge_from_file(str(config_file))
    except (KeyError, ValueError, yaml.YAMLError) as error:  # yacs: unknown key, other type
        raise ValueError(f"{config_file}: {error}") from error
    except (AttributeError, TypeError) as error:  # a text, a list or nothing at all
        raise ValueError(
            f"{config_file} is no config: expected KEY: VALUE lines in YAML, such as those in "
            f"configs/experiments/street/mindvps_compact.yaml"
        ) from error
    _merge_overrides(cfg, list(overrides))
    register_own_data(cfg.DATASETS.OWN)
    wanted = cfg.MODEL.DEVICE
    cfg.MODEL.DEVICE = resolve_device(wanted)
    if cfg.MODEL.DEVICE != wanted:
        logger.info("MODEL.DEVICE is %s but there is no GPU: computing on the CPU", wanted)
    return cfg


def _merge_overrides(cfg: CN, overrides: list[Any]) -> None:
    """Pair by pair, so that a mistake is told with its own key and value."""
    if len(overrides) % 2:
        given = " ".join(map(str, overrides))
        raise ValueError(f"config overrides come in pairs of KEY and VALUE, got {given!r}")
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        try:
            cfg.merge_from_list([key, value])
        except (AssertionError, KeyError, ValueError) as error:
            wants_float = "<class 'float'> vs. <class 'int'>" in str(error)
            remedy = f"; write {value}.0" if wants_float else ""
            raise ValueError(f"config override '{key} {value}': {error}{remedy}") from error


def resolve_device(name: str) -> str:
    """The device of a config; "cuda" becomes "cpu" where there is no GPU."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        return "cpu"
    return name
