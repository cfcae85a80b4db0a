"""Results of the box family (VPSNet, SiamTrack), and the detector that they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from torch import Tensor

from .checks import check_shape


@dataclass(frozen=True, eq=False)
class FrameSegments:
    """Detections and semantic logits of one frame.

    Attributes:
        boxes: (N, 4) float, x0 y0 x1 y1 in pixels of the padded frame.
        scores: (N,) in 0..1.
        class_ids: (N,) int64 contiguous class ids of things.
        mask_logits: (N, m, m) inside the boxes.
        semantic_logits: (K, h, w).
        pyramid: level name -> (C, h_l, w_l) features that association reads, finest first.
        roi_embeds: (N, C) for association, or None.
    """

    boxes: Tensor
    scores: Tensor
    class_ids: Tensor
    mask_logits: Tensor
    semantic_logits: Tensor
    pyramid: Mapping[str, Tensor]
    roi_embeds: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("boxes", self.boxes, (None, 4), "(N, 4)")
        count = self.boxes.shape[0]
        check_shape("scores", self.scores, (count,), "(N,)")
        check_shape("class_ids", self.class_ids, (count,), "(N,)")
        check_shape("mask_logits", self.mask_logits, (count, None, None), "(N, m, m)")
        check_shape("semantic_logits", self.semantic_logits, (None, None, None), "(K, h, w)")
        if self.roi_embeds is not None:
            check_shape("roi_embeds", self.roi_embeds, (count, None), "(N, C)")


@dataclass(frozen=True, eq=False)
class TrackedSegments(FrameSegments):
    """Detections of one frame with identities.

    Attributes:
        track_ids: (N,) int64; with the class id, the identity of a detection in its stream.
    """

    track_ids: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.track_ids is None:
            raise ValueError("TrackedSegments needs track_ids (N,)")
        check_shape("track_ids", self.track_ids, (self.boxes.shape[0],), "(N,)")

    @classmethod
    def from_frame(cls, frame: FrameSegments, track_ids: Tensor) -> TrackedSegments:
        """Give the detections of a frame their identities."""
        parts = {f.name: getattr(frame, f.name) for f in fields(FrameSegments)}
        return cls(**parts, track_ids=track_ids)


class Detector(Protocol):
    """Boxes and masks of things from a feature pyramid, one entry per image.

    The one place where a host framework's region proposal network and RoI heads enter a model:
    stages see plain tensors only.
    """

    def __call__(
        self,
        pyramid: Mapping[str, Tensor],
        image_sizes: Sequence[tuple[int, int]],
        targets: Sequence[Mapping[str, Tensor]] | None = None,
    ) -> tuple[list[Mapping[str, Any]], dict[str, Tensor]]:
        """Detect.

        Args:
            pyramid: level name -> (N, C, h_l, w_l).
            image_sizes: (height, width) of each image without padding.
            targets: in training, per image ``boxes`` (G, 4), ``class_ids`` (G,) and ``masks``
                (G, H, W).

        Returns:
            Per image a mapping, and the losses (empty outside training). Outside training it has
            ``boxes``, ``scores``, ``class_ids`` and ``mask_logits`` (as in
            :class:`FrameSegments`); in training the sampled ``boxes`` (P, 4), and ``matched``
            (P,) int64, the target that each of them shows or -1 for background.
        """
        ...

    def draw(
        self, pyramid: Mapping[str, Tensor], boxes: Sequence[Tensor], class_ids: Sequence[Tensor]
    ) -> list[Tensor]:
        """Mask logits inside given boxes.

        Args:
            pyramid: level name -> (N, C, h_l, w_l).
            boxes: per image (G, 4).
            class_ids: per image (G,), whose masks are wanted.

        Returns:
            Per image (G, m, m).
        """
        ...
