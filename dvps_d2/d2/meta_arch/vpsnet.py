"""VPSNet: a box detector and a semantic head per frame, fused over time and tracked by RoIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from dvps_d2.d2.boundary import Normalizer
from dvps_d2.d2.build_boxes import build_box_criterion, build_box_pipeline
from dvps_d2.structures import BoxTargets, Clip, ClipTargets

from .base import VideoMetaArch


@META_ARCH_REGISTRY.register()
class VPSNet(VideoMetaArch):
    """Base, Fuse, Track and FuseTrack by ``MODEL.VPSNET``; SiamTrack is a way to train Track.

    Source: Kim et al., "Video Panoptic Segmentation", CVPR 2020; Woo et al., "Learning to Associate
    Every Segment for Video Panoptic Segmentation", CVPR 2021.
    """

    @configurable
    def __init__(
        self,
        *,
        pairs: bool,
        both: bool,
        key_first: bool = False,
        thing_ids: Sequence[int],
        **parts: Any,
    ) -> None:
        """Assemble from ready parts.

        Args:
            pairs: training clips are pairs of a key frame and a reference frame.
            both: each frame of a pair is the key frame once; otherwise one of them, drawn anew.
            key_first: only the first frame has labels.
            thing_ids: class ids that are countable.
            parts: arguments of :class:`VideoMetaArch`.
        """
        super().__init__(**parts)
        self.pairs = pairs
        self.both = both
        self.key_first = key_first
        self.thing_ids = frozenset(thing_ids)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Config -> constructor arguments; the config goes no further.

        Raises:
            ValueError: the clips of training have another length than the model needs, or losses
                between frames are asked of a model that fuses them.
        """
        vpsnet = cfg.MODEL.VPSNET
        fuses, siamese = vpsnet.NECK == "fuse", vpsnet.SIAMESE.ENABLED
        if fuses and siamese:
            raise ValueError(
                'MODEL.VPSNET.SIAMESE trains frames alone; use it with NECK "none" or "gather"'
            )
        learns, both = vpsnet.TRACKER == "affinity", siamese or vpsnet.SUPERVISE_BOTH
        if cfg.INPUT.UNLABELLED_REFERENCES and (learns or both or not fuses):
            raise ValueError(
                "INPUT.UNLABELLED_REFERENCES is for VPSNet-Fuse: a tracker that is learned, "
                "MODEL.VPSNET.SUPERVISE_BOTH and SIAMESE need the labels of both frames"
            )
        pairs = fuses or both or learns
        if fuses and not (both or learns) and cfg.INPUT.SAMPLING_FRAME_NUM == 1:
            pairs = False  # each image is its own reference frame
        if cfg.INPUT.SAMPLING_FRAME_NUM != (2 if pairs else 1):
            raise ValueError(
                f"INPUT.SAMPLING_FRAME_NUM={cfg.INPUT.SAMPLING_FRAME_NUM}, but this model trains "
                + ("on pairs of frames: 2" if pairs else "on single frames: 1")
            )
        pipeline = build_box_pipeline(cfg)
        return {
            "pipeline": pipeline,
            "criterion": build_box_criterion(cfg),
            "normalizer": Normalizer(cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
            "size_divisibility": cfg.MODEL.MASK_FORMER.SIZE_DIVISIBILITY,
            "sky_depth": {},
            "pairs": pairs,
            "both": both,
            "key_first": cfg.INPUT.UNLABELLED_REFERENCES,
            "thing_ids": pipeline.fusion.settings.thing_ids,
        }

    def losses(self, clip: Clip, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """The detector's losses and the criterion's, of one frame per clip or of both."""
        labels = [
            [BoxTargets.from_clip(target, t, self.thing_ids) for target in targets]
            for t in range(clip.num_frames)
        ]
        pipeline: Any = self.pipeline  # a BoxPipeline
        steps = pipeline.supervise(clip, labels, self._roles())
        criterion: nn.Module = self.criterion
        return criterion(steps, labels, clip, targets)

    def _roles(self) -> list[tuple[int, int]]:
        """Places of (key frame, reference frame) to supervise."""
        if not self.pairs:
            return [(0, 0)]
        if self.key_first:
            return [(0, 1)]
        both = [(0, 1), (1, 0)]
        return both if self.both else [both[int(torch.randint(2, ()))]]
