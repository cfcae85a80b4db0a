"""A trained run on recorded videos, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import build_model
from torch import nn

from dvps_d2.formats.records import FrameRecord

from .allocator import keep_freed_memory
from .checkpoint import ModelCheckpointer
from .data import WindowMapper, make_windows
from .loading import load_config


def load_run(
    run: str | Path, weights: str | Path | None = None, options: Sequence[str] = ()
) -> tuple[Any, nn.Module]:
    """The config and model of a training run, ready for inference.

    Args:
        run: OUTPUT_DIR of the run.
        weights: a checkpoint; by default the run's averaged weights, else its final ones.
        options: further keys and values, alternating.

    Raises:
        FileNotFoundError: the folder holds no config or no checkpoint.
    """
    run = Path(run)
    config = run / "config.yaml"
    if not config.is_file():
        raise FileNotFoundError(f"{config} is missing; {run} is not the folder of a training run")
    candidates = (
        [Path(weights)] if weights else [run / "model_average.pth", run / "model_final.pth"]
    )
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise FileNotFoundError(f"no checkpoint: {', '.join(map(str, candidates))} do not exist")
    return load_model(config, str(found[0]), options)


def load_model(
    config_file: str | Path, weights: str = "", options: Sequence[str] = ()
) -> tuple[Any, nn.Module]:
    """The config and model of a config file, ready for inference.

    Args:
        config_file: a YAML.
        weights: a checkpoint with every tensor of the model; MODEL.WEIGHTS by default.
        options: further keys and values, alternating.

    Raises:
        FileNotFoundError: config or checkpoint do not exist.
        ValueError: no checkpoint is named, or an option is no key of the config.
    """
    cfg = load_config(config_file, options)
    if weights:
        cfg.MODEL.WEIGHTS = weights
    if not cfg.MODEL.WEIGHTS:
        raise ValueError(f"{config_file} names no MODEL.WEIGHTS: say which checkpoint to use")
    cfg.freeze()
    keep_freed_memory()
    model = build_model(cfg)
    ModelCheckpointer(model, complete=True).load(cfg.MODEL.WEIGHTS)
    return cfg, model.eval()


def predict_video(
    cfg: Any, model: nn.Module, record: Mapping[str, Any]
) -> Iterator[tuple[FrameRecord, dict[str, Any]]]:
    """Stream one video through a model.

    Args:
        cfg: config of the model.
        model: in eval mode.
        record: a dataset dict.

    Yields:
        Per frame, in order: its record, and the output ``{"frame_id", "panoptic_seg", "depth"}``.
    """
    mapper = WindowMapper.from_config(cfg)
    frames = iter(record["frames"])
    for window in make_windows([dict(record)], cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE):
        with torch.no_grad():
            (output,) = model([mapper(window)])
        for prediction in output["frames"]:
            yield next(frames), prediction
