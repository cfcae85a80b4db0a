"""Detectron2's dictionaries <-> our carriers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from pycocotools import mask as run_lengths
from torch import Tensor, nn

from dvps_d2.structures import Clip, ClipTargets, PanopticTube

from .data.segments import SegmentMaps


class Normalizer(nn.Module):
    """(x - mean) / std per channel, and the device that a model lives on.

    Args:
        mean: three numbers in the range of the images (0..255).
        std: three numbers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(3, H, W) of any type, on any device -> float on the model's device."""
        return (image.to(self.mean) - self.mean) / self.std


def is_image_item(item: Mapping[str, Any]) -> bool:
    """Whether an item is Detectron2's plain image dict rather than a window of a video."""
    return "frames" not in item


def make_clip(items: Sequence[Mapping[str, Any]], normalize: Normalizer, divisibility: int) -> Clip:
    """Batch training items or windows into a clip.

    Args:
        items: one per clip, ``{"video_id", "frames": [{"image" (3, H, W), "frame_id", ...}]}``.
        normalize: applied to every frame.
        divisibility: padded sizes are multiples of it.

    Raises:
        ValueError: an item without frames, or items of different length.
    """
    for item in items:
        if not item["frames"]:
            raise ValueError(
                f"video {item.get('video_id')!r}: a window without frames; every item needs at "
                f"least one"
            )
    return Clip.from_frames(
        [[normalize(frame["image"]) for frame in item["frames"]] for item in items],
        divisibility=divisibility,
        original_sizes=[_output_size(item) for item in items],
        frame_ids=[[frame["frame_id"] for frame in item["frames"]] for item in items],
        video_ids=[item["video_id"] for item in items],
    )


def make_targets(
    items: Sequence[Mapping[str, Any]], clip: Clip, device: torch.device
) -> list[ClipTargets]:
    """The items' targets (`ClipTargets` or `SegmentMaps`), padded like the clip's images.

    Raises:
        KeyError: an item without "targets": it was made for inference.
    """
    targets = []
    for item in items:
        if "targets" not in item:
            raise KeyError(
                f"video {item.get('video_id')!r}: no 'targets' in a training item; build the "
                f"loader with build_clip_train_loader"
            )
        found = item["targets"]
        if isinstance(found, SegmentMaps):
            found = found.expand(device)
        targets.append(found.to(device).pad(*clip.padded_size))
    return targets


def image_as_window(item: Mapping[str, Any]) -> dict[str, Any]:
    """A plain image dict as a video of one frame."""
    height, width = item["image"].shape[-2:]
    frame = {
        "image": item["image"],
        "frame_id": 0,
        "height": item.get("height", height),
        "width": item.get("width", width),
    }
    return {"video_id": str(item.get("image_id", "")), "frames": [frame]}


def describe_frames(
    tube: PanopticTube, frame_ids: Sequence[int], *, panoptic: bool = True
) -> Iterator[dict[str, Any]]:
    """A tube as the output dictionaries of its frames, lazily.

    Args:
        tube: what was drawn.
        frame_ids: numbers of its frames.
        panoptic: False where no panoptic tube was asked for.

    Yields:
        ``{"frame_id", "panoptic_seg": (ids (H, W) int32, segments_info), "depth",
        "semantic_map": (H, W) int32 class ids}``; only the segments seen in a frame are listed,
        what was not computed is missing.
    """
    for t, frame_id in enumerate(frame_ids):
        frame: dict[str, Any] = {"frame_id": frame_id}
        if panoptic:
            frame["panoptic_seg"] = _panoptic_seg(tube, t)
        if tube.depth is not None:
            frame["depth"] = tube.depth[t]
        if tube.semantic is not None:
            frame["semantic_map"] = tube.semantic[t]
        yield frame


def describe_image(
    frame: dict[str, Any], found: Sequence[Mapping[str, Any]] | None, num_classes: int
) -> dict[str, Any]:
    """The only frame of a video in the form of Detectron2's own models.

    Args:
        frame: from :func:`describe_frames`.
        found: the instances of the video, None where none were asked for.
        num_classes: K.

    Returns:
        ``panoptic_seg`` and ``depth`` as they are; ``sem_seg`` (K, H, W) float, 1 for the class of
        a pixel and 0 for the others; ``instances`` with ``pred_masks``, ``pred_classes`` and
        ``scores``.
    """
    image: dict[str, Any] = {k: frame[k] for k in ("panoptic_seg", "depth") if k in frame}
    if "semantic_map" in frame:
        one_hot = F.one_hot(frame["semantic_map"].long(), num_classes)
        image["sem_seg"] = one_hot.permute(2, 0, 1).float()
    if found is not None:
        masks = [run_lengths.decode(instance["segmentations"][0]) for instance in found]
        size = masks[0].shape if masks else (0, 0)
        instances = Instances(size)
        instances.pred_masks = torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, *size))
        instances.pred_classes = torch.tensor([i["category_id"] for i in found], dtype=torch.int64)
        instances.scores = torch.tensor([i["score"] for i in found], dtype=torch.float32)
        image["instances"] = instances
    return image


def _panoptic_seg(tube: PanopticTube, t: int) -> tuple[Tensor, list[dict[str, Any]]]:
    """Frame ``t`` of a tube as Detectron2 says it: ids, and the segments seen in the frame."""
    ids = tube.ids[t]
    seen = [number for number in torch.unique(ids).tolist() if number != 0]
    info = [
        {
            "id": number,
            "category_id": tube.segments[number].class_id,
            "isthing": tube.segments[number].is_thing,
            "score": tube.segments[number].score,
        }
        for number in seen
    ]
    return ids, info


def _output_size(item: Mapping[str, Any]) -> tuple[int, int]:
    frame = item["frames"][0]
    height, width = frame["image"].shape[-2:]
    return frame.get("height", height), frame.get("width", width)
