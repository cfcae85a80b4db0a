"""MinVIS and MinDVPS: a per-frame query segmenter, tracked by matching its queries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from dvps_d2.d2.boundary import Normalizer
from dvps_d2.d2.build import build_criterion, build_pipeline, denoising_options
from dvps_d2.d2.build_depth import sky_depth
from dvps_d2.losses import make_denoising
from dvps_d2.segmenter import QuerySegmenter
from dvps_d2.structures import Clip, ClipTargets, StreamState

from .base import VideoMetaArch

logger = logging.getLogger(__name__)

# Where the decoders are in checkpoints.
DECODER = "sem_seg_head.predictor."
DEPTH_DECODER = "sem_seg_head.depth_predictor."

# Denoising masks are made on this grid, the finest that attention looks at: on a finer one, flipped
# cells would open most of the coarse grids after max-pooling.
NOISE_STRIDE = 8


class QueryMetaArch(VideoMetaArch):
    """Training and construction of systems whose segmenter alone is trained, frame by frame."""

    @configurable
    def __init__(
        self,
        *,
        denoising: dict[str, Any] | None = None,
        copy_decoder: bool = False,
        **parts: Any,
    ) -> None:
        """Assemble from ready parts.

        Args:
            denoising: keyword arguments of :func:`dvps_d2.losses.make_denoising`, or None.
            copy_decoder: start the depth decoder as a copy of the segmentation decoder whenever
                weights without a depth decoder are loaded.
            parts: arguments of :class:`VideoMetaArch`.
        """
        super().__init__(**parts)
        self.denoising = denoising
        if copy_decoder:
            self.register_load_state_dict_post_hook(start_depth_decoder)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Config -> constructor arguments; the config goes no further."""
        return {
            "pipeline": build_pipeline(cfg),
            "criterion": build_criterion(cfg),
            "normalizer": Normalizer(cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
            "size_divisibility": cfg.MODEL.MASK_FORMER.SIZE_DIVISIBILITY,
            "sky_depth": sky_depth(cfg),
            "denoising": denoising_options(cfg),
            "copy_decoder": cfg.MODEL.DVPS.DEPTH.ENABLED and cfg.MODEL.DVPS.DEPTH.COPY_DECODER,
        }

    def losses(self, clip: Clip, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Every frame is an independent image: no temporal loss (MinDVPS, section 3.2)."""
        noised, plan = None, None
        if self.denoising is not None:
            height, width = clip.padded_size
            grid = (height // NOISE_STRIDE, width // NOISE_STRIDE)
            noised, plan = make_denoising(targets, grid=grid, **self.denoising)
        output, _ = self.pipeline.raw(clip, StreamState(), noised)
        criterion: nn.Module = self.criterion
        return criterion(output.segmented, targets, plan)


def start_depth_decoder(model: VideoMetaArch, report: Any) -> None:
    """After loading: copy the segmentation decoder if it was in the file and depth was not.

    The copied tensors stay in the list of missing keys, since the file did not have them.

    Args:
        model: has just loaded a state.
        report: its missing (and unexpected) keys, published names.
    """
    segmenter = cast(QuerySegmenter, model.pipeline.segmenter)
    missing = set(report.missing_keys)
    depth = {DEPTH_DECODER + name for name in segmenter.depth_predictor.state_dict()}
    decoder = {DECODER + name for name in segmenter.predictor.state_dict()}
    if depth <= missing and not decoder <= missing:
        segmenter.depth_predictor.copy_from(segmenter.predictor)
        logger.info(
            "The weights have no depth decoder: it starts as a copy of the segmentation decoder "
            "(MODEL.DVPS.DEPTH.COPY_DECODER)"
        )


@META_ARCH_REGISTRY.register()
class MinVIS(QueryMetaArch):
    """Video panoptic segmentation without video training.

    Source: Huang, Yu and Anandkumar, "MinVIS", NeurIPS 2022.
    """


@META_ARCH_REGISTRY.register()
class MinDVPS(QueryMetaArch):
    """MinVIS with a depth decoder beside the segmentation decoder.

    Source: Kim Ji-Yeon et al., "MinDVPS: Minimal Model for Depth-aware Video Panoptic
    Segmentation".
    """

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """As for MinVIS.

        Raises:
            ValueError: the config switches depth off; MinVIS is that model.
        """
        if not cfg.MODEL.DVPS.DEPTH.ENABLED:
            raise ValueError(
                "MODEL.META_ARCHITECTURE is MinDVPS but MODEL.DVPS.DEPTH.ENABLED is False; "
                "enable depth, or choose MinVIS"
            )
        return super().from_config(cfg)
