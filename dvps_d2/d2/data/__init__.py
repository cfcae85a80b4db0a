"""Files -> clips and windows, through Detectron2's catalogs and loaders."""

from .clip_sampling import ClipSampling
from .datasets import (
    metadata_of,
    register_builtin,
    register_video_dataset,
    register_video_panoptic,
    registered,
)
from .loaders import build_clip_train_loader, build_video_test_loader, make_windows, video_records
from .mapper import ClipMapper, WindowMapper
from .sampling import ClipBatchSampler, VideoSampler
from .startup import check_training_data

__all__ = [
    "ClipBatchSampler",
    "ClipMapper",
    "ClipSampling",
    "VideoSampler",
    "WindowMapper",
    "build_clip_train_loader",
    "build_video_test_loader",
    "check_training_data",
    "make_windows",
    "metadata_of",
    "register_builtin",
    "register_video_dataset",
    "register_video_panoptic",
    "registered",
    "video_records",
]
