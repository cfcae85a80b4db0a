"""DVIS: a frozen segmenter, a tracker trained on top of it, a refiner trained on top of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from dvps_d2.d2.boundary import Normalizer
from dvps_d2.d2.build import (
    build_criterion,
    build_fusion,
    build_referring_tracker,
    build_segmenter,
    build_temporal_refiner,
    choose,
)
from dvps_d2.d2.build_depth import sky_depth
from dvps_d2.losses import BY_ONE_FRAME
from dvps_d2.pipeline import DVPSPipeline
from dvps_d2.refiner import TemporalRefiner
from dvps_d2.structures import Clip, ClipTargets, FrameQueries, SegmenterOutput
from dvps_d2.tracker import ReferringTracker

from .base import VideoMetaArch
from .heads import start_heads

# MODEL.TRACKER.MATCHING -> scope of the matcher.
MATCHINGS = {name: name for name in BY_ONE_FRAME}


class StagedMetaArch(VideoMetaArch):
    """One stage is trained; the stages before it are frozen.

    Frozen stages have no trainable parameter, run without gradients and stay in eval mode, so
    that nothing in them changes (running statistics included) and dropout and the like are off.
    """

    @configurable
    def __init__(
        self, *, trained: str, guided_iterations: int = 0, copy_heads: bool = False, **parts: Any
    ) -> None:
        """Assemble from ready parts.

        Args:
            trained: the pipeline's child that is trained, "tracker" or "refiner".
            guided_iterations: as long as training has seen fewer, ground truth is matched with
                the predictions of the stage before, which are good from the start.
            copy_heads: start the heads of the trained stage as copies of those of the stage before
                when loaded weights hold only the latter.
            parts: arguments of :class:`VideoMetaArch`.
        """
        super().__init__(**parts)
        self.trained = trained
        self.guided_iterations = guided_iterations
        for module in self.frozen:
            module.requires_grad_(False)
        if copy_heads:
            self.register_load_state_dict_post_hook(start_heads)
        self.train(self.training)

    @property
    def frozen(self) -> list[nn.Module]:
        """The stages that are not trained."""
        return [stage for name, stage in self.pipeline.named_children() if name != self.trained]

    def train(self, mode: bool = True) -> StagedMetaArch:
        """Switch between training and inference; frozen stages are always in eval mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def _guide(self, queries: FrameQueries) -> FrameQueries | None:
        """``queries`` in the guided part of training, None after it.

        The iteration is the event storage's, which a trainer opens and a resumed run continues;
        without one, training is taken to be at its start.
        """
        iteration = get_event_storage().iter if has_event_storage() else 0
        return queries if iteration < self.guided_iterations else None


@META_ARCH_REGISTRY.register()
class DVIS_online(StagedMetaArch):
    """Segmenter and referring tracker; trains the tracker.

    Source: Zhang et al., "DVIS", ICCV 2023; Zhang et al., PVUW 2023 (panoptic), equations 4 and 5.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Config -> constructor arguments."""
        pipeline = DVPSPipeline(
            build_segmenter(cfg, with_depth=False),
            build_referring_tracker(cfg),
            fusion=build_fusion(cfg),
        )
        scope = choose("MODEL.TRACKER.MATCHING", cfg.MODEL.TRACKER.MATCHING, MATCHINGS)
        return _shared(cfg, pipeline, trained="tracker", scope=scope)

    def losses(self, clip: Clip, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Each object belongs to one query from the frame in which it first appears."""
        with torch.no_grad():
            segmented, _ = self.pipeline.segmenter(clip, None)
        tracking, _ = cast(ReferringTracker, self.pipeline.tracker).track(segmented.queries)
        output = SegmenterOutput(tracking.tracks, tracking.auxiliary)
        guide = self._guide(segmented.queries.permute(tracking.order))
        return self.criterion(output, targets, matched_by=guide)


@META_ARCH_REGISTRY.register()
class DVIS_offline(StagedMetaArch):
    """Segmenter, referring tracker and temporal refiner; trains the refiner.

    Source: Zhang et al., "DVIS", ICCV 2023; Zhang et al., PVUW 2023 (panoptic), equations 6 and 7.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Config -> constructor arguments."""
        pipeline = DVPSPipeline(
            build_segmenter(cfg, with_depth=False),
            build_referring_tracker(cfg, memory_for_refiner=True),
            build_temporal_refiner(cfg),
            fusion=build_fusion(cfg),
        )
        return _shared(cfg, pipeline, trained="refiner", scope="clip")

    def losses(self, clip: Clip, targets: Sequence[ClipTargets]) -> dict[str, Tensor]:
        """Tubes are matched and compared as a whole."""
        with torch.no_grad():
            segmented, _ = self.pipeline.segmenter(clip, None)
            tracks, _ = self.pipeline.tracker(segmented.queries, None)
        refinement = cast(TemporalRefiner, self.pipeline.refiner).refine(tracks)
        output = SegmenterOutput(refinement.tracks, refinement.auxiliary)
        return self.criterion(output, targets, matched_by=self._guide(tracks))


def _shared(cfg: CfgNode, pipeline: DVPSPipeline, *, trained: str, scope: str) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        # An absent object is an empty mask, so that its query learns to draw nothing there.
        "criterion": build_criterion(cfg, scope=scope, keep_absent=True),
        "normalizer": Normalizer(cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
        "size_divisibility": cfg.MODEL.MASK_FORMER.SIZE_DIVISIBILITY,
        "sky_depth": sky_depth(cfg),
        "trained": trained,
        "copy_heads": cfg.MODEL.TRACKER.COPY_HEADS,
        "guided_iterations": int(cfg.SOLVER.MAX_ITER * cfg.MODEL.TRACKER.GUIDED_FRACTION),
    }
