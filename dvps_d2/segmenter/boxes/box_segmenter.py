"""Frames -> detections and semantic logits: VPSNet without its tracker.

Source: Kim et al., "Video Panoptic Segmentation" (VPSNet), CVPR 2020, section 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dvps_d2.layers.flow import FlowEstimator, FramePair, resize_flow
from dvps_d2.structures import BoxTargets, Clip, Detector, FrameSegments

from .supervision import Pyramid, SupervisedFrames
from .temporal_fusion import FuseNeck, GatherNeck, gather

SEMANTIC_LEVELS = 4  # the coarsest level of five serves the detector alone


@dataclass(frozen=True, eq=False)
class FrameMemory:
    """The frame before, which the next one is fused with.

    Attributes:
        gathered: (C, h, w) its pyramid, merged; not fused.
        image: (3, H, W) as in the clip.
        frame_id: its number.
    """

    gathered: Tensor
    image: Tensor
    frame_id: int


class BoxSegmenter(nn.Module):
    """Backbone, extra neck, semantic head and detector.

    Args:
        backbone: images (N, 3, H, W) -> pyramid, finest (stride 4) first.
        detector: boxes and masks of things.
        semantic_head: the four finest levels -> logits at stride 4.
        extra_neck: a :class:`GatherNeck`, a :class:`FuseNeck` (which makes this a segmenter with
            memory), or None.
        flow: between frames as the clip holds them; a :class:`FuseNeck` that aligns needs it.
        track_on_fused: let association read the fused features ("Disjoined" in the paper reads
            the others).

    Raises:
        ValueError: a neck that aligns came without flow.
    """

    def __init__(
        self,
        backbone: nn.Module,
        detector: Detector,
        semantic_head: nn.Module,
        extra_neck: GatherNeck | FuseNeck | None = None,
        *,
        flow: FlowEstimator | None = None,
        track_on_fused: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.detector = detector
        self.semantic_head = semantic_head
        self.extra_neck = extra_neck
        self.flow = flow
        self.track_on_fused = track_on_fused
        if self._aligns and flow is None:
            raise ValueError("a neck that aligns frames needs a flow estimator, got flow=None")

    @property
    def fuses(self) -> bool:
        """Whether a frame is seen together with the one before."""
        return isinstance(self.extra_neck, FuseNeck)

    @property
    def _aligns(self) -> bool:
        return self.fuses and self.extra_neck.liteflownet is not None

    def forward(
        self, clip: Clip, state: FrameMemory | None
    ) -> tuple[list[FrameSegments], FrameMemory | None]:
        """Segment the frames of one window.

        Args:
            clip: one clip (B = 1).
            state: the frame before; None starts a video, whose first frame then refers to itself.

        Returns:
            Per frame, detections and semantic logits; and the last frame, if frames are fused.

        Raises:
            ValueError: more than one clip.
        """
        if clip.batch_size != 1:
            raise ValueError(f"one video is segmented at a time, got {clip.batch_size} clips")
        plain = self.backbone(clip.images[0])
        fused, state = self._fuse_window(plain, clip, state)
        semantic = self._semantic(fused)
        found, _ = self.detector(fused, [clip.valid_sizes[0]] * clip.num_frames)
        tracking = fused if self.track_on_fused else plain
        frames = [
            FrameSegments(
                **found[t],
                semantic_logits=semantic[t],
                pyramid={name: level[t] for name, level in tracking.items()},
            )
            for t in range(clip.num_frames)
        ]
        return frames, state

    def _fuse_window(
        self, plain: Pyramid, clip: Clip, state: FrameMemory | None
    ) -> tuple[Pyramid, FrameMemory | None]:
        """Each frame of a window with the one before; all at once."""
        if not self.fuses:
            return self.fuse(plain), None
        images, ids = clip.images[0], clip.frame_ids[0]
        gathered = self.gather(plain)
        before = state or FrameMemory(gathered[0], images[0], ids[0])
        references = torch.cat([before.gathered[None], gathered[:-1]])
        reference_images = torch.cat([before.image[None], images[:-1]])
        reference_ids = (before.frame_id, *ids[:-1])
        pairs = [FramePair(clip.video_ids[0], *p) for p in zip(ids, reference_ids, strict=True)]
        flow = self.find_flow(images, reference_images, pairs)
        fused = self.fuse(plain, references, flow)
        return fused, FrameMemory(gathered[-1], images[-1], ids[-1])

    def gather(self, pyramid: Pyramid) -> Tensor:
        """(N, C, h, w): a pyramid merged as the extra neck does it."""
        return gather(list(pyramid.values()), self.extra_neck.mode)

    def find_flow(
        self, images: Tensor, references: Tensor, pairs: Sequence[FramePair]
    ) -> Tensor | None:
        """(N, 2, H, W) pixels from frames to their references; None where nothing is aligned."""
        return self.flow(images, references, pairs) if self._aligns else None

    def fuse(
        self, pyramid: Pyramid, reference: Tensor | None = None, flow: Tensor | None = None
    ) -> Pyramid:
        """The pyramid that the heads see.

        Args:
            pyramid: level -> (N, C, h_l, w_l).
            reference: (N, C, h, w) merged pyramids of the reference frames, if frames are fused.
            flow: (N, 2, H, W) pixels of the full frames, key to reference, if they are aligned.
        """
        if self.extra_neck is None:
            return pyramid
        if not self.fuses:
            return self.extra_neck(pyramid)
        if flow is not None:
            flow = resize_flow(flow, tuple(reference.shape[-2:]))
        return self.extra_neck(pyramid, reference, flow)

    def supervise(
        self,
        plain: Pyramid,
        fused: Pyramid,
        image_sizes: Sequence[tuple[int, int]],
        targets: Sequence[BoxTargets],
    ) -> SupervisedFrames:
        """Run the heads of training on one frame of each clip.

        Args:
            plain: level -> (B, C, h_l, w_l) as from the backbone.
            fused: the same after the extra neck.
            image_sizes: (height, width) of each frame without padding.
            targets: one per frame.
        """
        wanted: list[dict[str, Any]] = [
            {"boxes": t.boxes, "class_ids": t.class_ids, "masks": t.masks} for t in targets
        ]
        samples, losses = self.detector(fused, image_sizes, wanted)
        boxes, class_ids = [t.boxes for t in targets], [t.class_ids for t in targets]
        return SupervisedFrames(
            pyramid=fused,
            tracking_pyramid=fused if self.track_on_fused else plain,
            semantic_logits=self._semantic(fused),
            mask_logits=self.detector.draw(fused, boxes, class_ids),
            samples=samples,
            losses=losses,
        )

    def _semantic(self, pyramid: Pyramid) -> Tensor:
        return self.semantic_head(list(pyramid.values())[:SEMANTIC_LEVELS])
