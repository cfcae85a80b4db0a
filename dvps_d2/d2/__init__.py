"""The only place that imports Detectron2. Importing it registers models, backbones and datasets.

In a ``DefaultTrainer`` of your own, class methods are all it takes::

    import dvps_d2.d2 as dvps

    class Trainer(DefaultTrainer):
        build_train_loader = classmethod(lambda cls, cfg: dvps.build_clip_train_loader(cfg))
        build_test_loader = classmethod(
            lambda cls, cfg, name: dvps.build_video_test_loader(cfg, name))
        build_evaluator = classmethod(
            lambda cls, cfg, name: dvps.build_evaluator(cfg, name, cfg.OUTPUT_DIR))
        build_optimizer = classmethod(lambda cls, cfg, model: dvps.build_optimizer(cfg, model))
        build_lr_scheduler = classmethod(
            lambda cls, cfg, optimizer: dvps.build_lr_scheduler(cfg, optimizer))

The last two are for configs with AdamW, full-model clipping or our schedules. Detectron2's own
trainer has no mixed precision on CPUs and no averaged weights; ``dvps.Trainer`` has.

A model takes windows of videos and returns, per window, ``{"video_id", "frames"}`` where
``frames`` is an iterable, consumed once, of ``{"frame_id", "panoptic_seg": (ids (H, W) int32,
segments_info), "depth" (H, W) float32 metres}``. A plain Detectron2 image dict gives Detectron2's
own ``{"panoptic_seg", "depth"}``.
"""

try:
    import detectron2  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "detectron2":
        raise
    raise ModuleNotFoundError(
        "dvps_d2.d2 needs Detectron2. In a clone: `make setup` installs the small one in "
        "`embedded/`, `make setup DETECTRON2=official` the official one. Elsewhere: "
        "`pip install --no-build-isolation "
        "git+https://github.com/facebookresearch/detectron2`, or `pip install ./embedded`.",
        name="detectron2",
    ) from error

from . import backbones, swin
from .config import add_dvps_config
from .data import (
    build_clip_train_loader,
    build_video_test_loader,
    register_builtin,
    register_video_dataset,
    register_video_panoptic,
)
from .evaluation import build_evaluator
from .loading import load_config
from .meta_arch import DVIS_offline, DVIS_online, MinDVPS, MinVIS, VideoMetaArch, VPSNet
from .multi_scale import MultiScaleTesting
from .recompute import recompute_activations
from .solver import build_lr_scheduler, build_optimizer
from .trainer import Trainer

register_builtin()

__all__ = [
    "DVIS_offline",
    "DVIS_online",
    "MinDVPS",
    "MinVIS",
    "MultiScaleTesting",
    "Trainer",
    "VPSNet",
    "VideoMetaArch",
    "add_dvps_config",
    "backbones",
    "build_clip_train_loader",
    "build_evaluator",
    "build_lr_scheduler",
    "build_optimizer",
    "build_video_test_loader",
    "load_config",
    "recompute_activations",
    "register_builtin",
    "register_video_dataset",
    "register_video_panoptic",
    "swin",
]
