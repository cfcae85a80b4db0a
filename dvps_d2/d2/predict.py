"""A trained run on recorded videos, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config
from torch import nn

from .build import resolve_device
from .checkpoint import ModelCheckpointer
from .config import add_dvps_config
from .data import WindowMapper, make_windows


def load_run(run: str | Path, weights: str | Path | None = None) -> tuple[Any, nn.Module]:
    """The config and model of a training run, ready for inference.

    Args:
        run: OUTPUT_DIR of the run.
        weights: a checkpoint; by default the run's averaged weights, else its final ones.

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
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(config))
    cfg.MODEL.DEVICE = resolve_device(cfg.MODEL.DEVICE)
    cfg.freeze()
    model = build_model(cfg)
    ModelCheckpointer(model, complete=True).load(str(found[0]))
    return cfg, model.eval()


def predict_video(
    cfg: Any, model: nn.Module, record: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
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
