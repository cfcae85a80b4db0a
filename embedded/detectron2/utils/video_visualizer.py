"""Drawing the frames of a video so that an object keeps its colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch

from detectron2._subset import outside_subset
from detectron2.structures import Instances

from .colormap import random_color
from .visualizer import (
    ColorMode,
    GenericMask,
    VisImage,
    Visualizer,
    _create_text_labels,
    _PanopticPrediction,
)

__all__ = ["VideoVisualizer"]

_FRAMES_TO_REMEMBER = 8
_MIN_MASK_IOU = 0.5
_MIN_BOX_IOU = 0.6


@dataclass
class _DetectedInstance:
    """An object seen in an earlier frame, or in this one.

    Attributes:
        label: class id.
        bbox: (4,) XYXY, or None.
        mask_rle: COCO RLE, or None.
        color: RGB in 0..1, None before it is chosen.
        ttl: frames that it may stay unseen.
    """

    label: int
    bbox: np.ndarray | None
    mask_rle: dict | None
    color: Sequence[float] | None
    ttl: int


class VideoVisualizer:
    """Draws frames one after another. Objects are recognised by their overlap."""

    def __init__(self, metadata: Any, instance_mode: ColorMode = ColorMode.IMAGE) -> None:
        """
        Args:
            metadata: class names and colours of the data set.
            instance_mode: IMAGE or IMAGE_BW.
        """
        assert instance_mode in (ColorMode.IMAGE, ColorMode.IMAGE_BW), (
            f"instance_mode must be IMAGE or IMAGE_BW, got {instance_mode}"
        )
        self.metadata = metadata
        self._old_instances: list[_DetectedInstance] = []
        self._instance_mode = instance_mode

    def draw_instance_predictions(self, frame: np.ndarray, predictions: Instances) -> VisImage:
        """Draw the output of a detector.

        Args:
            frame: (H, W, 3) RGB in 0..255.
            predictions: see `Visualizer.draw_instance_predictions`.
        """
        visualizer = Visualizer(frame, self.metadata)
        if len(predictions) == 0:
            return visualizer.output
        if predictions.has("pred_keypoints"):
            outside_subset("Drawing keypoints")
        boxes = (
            predictions.pred_boxes.tensor.cpu().numpy() if predictions.has("pred_boxes") else None
        )
        scores = predictions.scores if predictions.has("scores") else None
        classes = predictions.pred_classes.tolist()
        masks = None
        if predictions.has("pred_masks"):
            masks = [
                GenericMask(mask, visualizer.output.height, visualizer.output.width)
                for mask in np.asarray(predictions.pred_masks.cpu())
            ]
        colors = self._assign_colors(
            [
                _DetectedInstance(
                    label,
                    None if boxes is None else boxes[index],
                    None if masks is None else _encode(masks[index].mask),
                    None,
                    _FRAMES_TO_REMEMBER,
                )
                for index, label in enumerate(classes)
            ]
        )
        labels = _create_text_labels(classes, scores, self.metadata.get("thing_classes"))
        alpha = 0.5
        if self._instance_mode == ColorMode.IMAGE_BW:
            found = None if masks is None else np.any([mask.mask for mask in masks], axis=0)
            visualizer.output.reset_image(visualizer._create_grayscale_image(found))
            alpha = 0.3
        return visualizer.overlay_instances(
            boxes=None if masks is not None else boxes,
            masks=masks,
            labels=labels,
            assigned_colors=colors,
            alpha=alpha,
        )

    def draw_sem_seg(
        self, frame: np.ndarray, sem_seg: torch.Tensor, area_threshold: float | None = None
    ) -> VisImage:
        """Draw a map of class ids; see `Visualizer.draw_sem_seg`."""
        visualizer = Visualizer(frame, self.metadata)
        return visualizer.draw_sem_seg(sem_seg, area_threshold=area_threshold)

    def draw_panoptic_seg_predictions(
        self,
        frame: np.ndarray,
        panoptic_seg: torch.Tensor,
        segments_info: list[dict] | None,
        area_threshold: float | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Draw a panoptic map; see `Visualizer.draw_panoptic_seg`."""
        visualizer = Visualizer(frame, self.metadata)
        prediction = _PanopticPrediction(panoptic_seg, segments_info, self.metadata)
        if self._instance_mode == ColorMode.IMAGE_BW:
            grey = visualizer._create_grayscale_image(prediction.non_empty_mask())
            visualizer.output.reset_image(grey)
        for mask, segment in prediction.semantic_masks():
            index = segment["category_id"]
            visualizer.draw_binary_mask(
                mask,
                color=visualizer._metadata_color("stuff_colors", index),
                text=self.metadata.stuff_classes[index],
                alpha=alpha,
                area_threshold=area_threshold,
            )
        things = list(prediction.instance_masks())
        if not things:
            return visualizer.output
        masks, segments = zip(*things, strict=True)
        classes = [segment["category_id"] for segment in segments]
        colors = self._assign_colors(
            [
                _DetectedInstance(label, None, _encode(mask), None, _FRAMES_TO_REMEMBER)
                for label, mask in zip(classes, masks, strict=True)
            ]
        )
        labels = [self.metadata.thing_classes[index] for index in classes]
        return visualizer.overlay_instances(
            masks=list(masks), labels=labels, assigned_colors=colors, alpha=alpha
        )

    def _assign_colors(self, instances: list[_DetectedInstance]) -> list[Sequence[float]]:
        """Colours of this frame's objects; they become the known ones of the next frame.

        Every known object gives its colour to the object of its class that overlaps it most, when
        that is enough. What is left takes a colour that no known object has, as far as there are.
        """
        known = self._old_instances
        overlaps = _overlaps(known, instances)
        unseen = []
        for index, old in enumerate(known):
            match = int(overlaps[index].argmax()) if len(instances) else -1
            if match >= 0 and overlaps[index, match] > 0 and instances[match].color is None:
                instances[match].color = old.color
                continue
            old.ttl -= 1
            if old.ttl > 0:
                unseen.append(old)
        used = [
            tuple(instance.color)
            for instance in [*unseen, *instances]
            if instance.color is not None
        ]
        for instance in instances:
            if instance.color is None:
                instance.color = _unused_color(used)
                used.append(tuple(instance.color))
        self._old_instances = [*instances, *unseen]
        return [instance.color for instance in instances]


def _encode(mask: np.ndarray) -> dict:
    """COCO RLE of an (H, W) mask."""
    return mask_util.encode(np.asfortranarray(mask, dtype=np.uint8))


def _overlaps(known: list[_DetectedInstance], instances: list[_DetectedInstance]) -> np.ndarray:
    """(K, N) IoU; 0 between classes and where it is too low for the same object."""
    if not known or not instances:
        return np.zeros((len(known), len(instances)))
    crowd = [False] * len(instances)
    if all(instance.mask_rle is not None for instance in [*known, *instances]):
        codes = [[item.mask_rle for item in items] for items in (known, instances)]
        overlaps, lowest = mask_util.iou(*codes, crowd), _MIN_MASK_IOU
    elif all(instance.bbox is not None for instance in [*known, *instances]):
        boxes = [np.array([_to_xywh(item.bbox) for item in items]) for items in (known, instances)]
        overlaps, lowest = mask_util.iou(*boxes, crowd), _MIN_BOX_IOU
    else:
        return np.zeros((len(known), len(instances)))
    same_class = np.equal.outer([old.label for old in known], [new.label for new in instances])
    return np.where(same_class & (overlaps > lowest), overlaps, 0.0)


def _to_xywh(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:2], box[2:] - box[:2]]).astype(np.float64)


def _unused_color(used: list[tuple[float, ...]], tries: int = 20) -> np.ndarray:
    """A random colour, different from the used ones if that works out soon."""
    for _ in range(tries):
        color = random_color(rgb=True, maximum=1)
        if tuple(color) not in used:
            break
    return color
