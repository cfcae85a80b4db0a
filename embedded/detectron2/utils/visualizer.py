"""Drawing detections and segmentations on images, by OpenCV.

The methods are those of the official visualizer, which draws with matplotlib; pictures look
alike, but are not equal pixel by pixel.
"""

from collections.abc import Sequence
from enum import Enum, unique
from typing import Any

import numpy as np
import torch
from PIL import Image

from detectron2._subset import outside_subset
from detectron2.data import MetadataCatalog
from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    PolygonMasks,
)
from detectron2.utils.file_io import PathManager

from ._drawing import Color
from ._painter import Painter, VisImage
from ._segments import GenericMask
from ._segments import PanopticPrediction as _PanopticPrediction
from ._segments import create_text_labels as _create_text_labels
from .colormap import random_color

__all__ = ["ColorMode", "VisImage", "Visualizer"]

_SMALL_OBJECT_AREA_THRESH = (
    1000  # pixels at scale 1; the labels of smaller objects stand beside them
)
_OFF_WHITE = (1.0, 1.0, 240.0 / 255)


@unique
class ColorMode(Enum):
    """What colours mean."""

    IMAGE = 0
    """A random colour for every instance."""
    SEGMENTATION = 1
    """Instances of a class look alike, in the colours of the metadata."""
    IMAGE_BW = 2
    """As IMAGE, on an image that is grey where nothing was found."""


class Visualizer(Painter):
    """Draws on an image. Every ``draw_*`` method adds to `output` and returns it."""

    def __init__(
        self,
        img_rgb: np.ndarray,
        metadata: Any = None,
        scale: float = 1.0,
        instance_mode: ColorMode = ColorMode.IMAGE,
        font_size_scale: float = 1.0,
    ) -> None:
        """
        Args:
            img_rgb: (H, W, C) RGB in 0..255.
            metadata: class names and colours of the data set, if known.
            scale: factor of the picture's size on the image's.
            instance_mode: what colours mean.
            font_size_scale: factor on the size of letters.
        """
        self.img = np.asarray(img_rgb).clip(0, 255).astype(np.uint8)
        self.metadata = MetadataCatalog.get("__nonexist__") if metadata is None else metadata
        self.output = VisImage(self.img, scale=scale)
        self.cpu_device = torch.device("cpu")
        sides = self.output.height * self.output.width
        self._default_font_size = max(np.sqrt(sides) // 90, 10) * font_size_scale
        self._instance_mode = instance_mode

    # ------------------------------------------------------------------ whole predictions

    def draw_instance_predictions(self, predictions: Instances, jittering: bool = True) -> VisImage:
        """Draw the output of a detector.

        Args:
            predictions: any of pred_boxes, pred_masks ((N, H, W)), pred_classes, scores.
            jittering: whether colours of a class differ a little in SEGMENTATION mode.
        """
        if predictions.has("pred_keypoints"):
            outside_subset("Drawing keypoints")
        boxes = predictions.pred_boxes if predictions.has("pred_boxes") else None
        scores = predictions.scores if predictions.has("scores") else None
        classes = predictions.pred_classes.tolist() if predictions.has("pred_classes") else None
        labels = _create_text_labels(classes, scores, self.metadata.get("thing_classes"))
        masks = None
        if predictions.has("pred_masks"):
            masks = [
                GenericMask(mask, self.output.height, self.output.width)
                for mask in np.asarray(predictions.pred_masks.cpu())
            ]
        colors, alpha = None, 0.5
        if self._instance_mode == ColorMode.SEGMENTATION and self.metadata.get("thing_colors"):
            colors = [self._metadata_color("thing_colors", index) for index in classes or []]
            colors = [self._jitter(color) for color in colors] if jittering else colors
            alpha = 0.8
        if self._instance_mode == ColorMode.IMAGE_BW:
            found = None if masks is None else np.any([mask.mask for mask in masks], axis=0)
            self.output.reset_image(self._create_grayscale_image(found))
            alpha = 0.3
        return self.overlay_instances(
            masks=masks, boxes=boxes, labels=labels, assigned_colors=colors, alpha=alpha
        )

    def draw_sem_seg(
        self,
        sem_seg: torch.Tensor | np.ndarray,
        area_threshold: float | None = None,
        alpha: float = 0.8,
        draw_text: bool = True,
        edge_color: Color = _OFF_WHITE,
    ) -> VisImage:
        """Draw a map of class ids.

        Args:
            sem_seg: (H, W) integers; ids beyond ``stuff_classes`` are left out.
            area_threshold: parts of fewer pixels are not drawn.
            alpha: opacity.
            draw_text: whether to write class names.
            edge_color: of outlines.
        """
        if isinstance(sem_seg, torch.Tensor):
            sem_seg = sem_seg.cpu().numpy()
        names = self.metadata.stuff_classes
        labels, areas = np.unique(sem_seg, return_counts=True)
        for label in labels[np.argsort(-areas)]:
            if 0 <= label < len(names):
                self.draw_binary_mask(
                    sem_seg == label,
                    color=self._metadata_color("stuff_colors", label),
                    edge_color=edge_color,
                    text=names[label] if draw_text else None,
                    alpha=alpha,
                    area_threshold=area_threshold,
                )
        return self.output

    def draw_panoptic_seg(
        self,
        panoptic_seg: torch.Tensor,
        segments_info: list[dict] | None,
        area_threshold: float | None = None,
        alpha: float = 0.7,
    ) -> VisImage:
        """Draw a panoptic map.

        Args:
            panoptic_seg: (H, W) segment ids, on the CPU.
            segments_info: dicts with id, isthing, category_id, and maybe score and iscrowd; None:
                see `_PanopticPrediction`.
            area_threshold: parts of stuff of fewer pixels are not drawn.
            alpha: opacity.
        """
        prediction = _PanopticPrediction(panoptic_seg, segments_info, self.metadata)
        if self._instance_mode == ColorMode.IMAGE_BW:
            grey = self._create_grayscale_image(prediction.non_empty_mask())
            self.output.reset_image(grey)
        for mask, segment in prediction.semantic_masks():
            index = segment["category_id"]
            text = self.metadata.stuff_classes[index]
            self.draw_binary_mask(
                mask,
                color=self._metadata_color("stuff_colors", index),
                edge_color=_OFF_WHITE,
                text=text.removesuffix("-merged").removesuffix("-other"),
                alpha=alpha,
                area_threshold=area_threshold,
            )
        things = list(prediction.instance_masks())
        if not things:
            return self.output
        masks, segments = zip(*things, strict=True)
        classes = [segment["category_id"] for segment in segments]
        has_scores = all("score" in segment for segment in segments)
        labels = _create_text_labels(
            classes,
            [segment["score"] for segment in segments] if has_scores else None,
            self.metadata.thing_classes,
            [segment.get("iscrowd", 0) for segment in segments],
        )
        colors = None
        if self.metadata.get("thing_colors"):
            colors = [
                self._jitter(self._metadata_color("thing_colors", index)) for index in classes
            ]
        return self.overlay_instances(
            masks=list(masks), labels=labels, assigned_colors=colors, alpha=alpha
        )

    draw_panoptic_seg_predictions = draw_panoptic_seg  # name of earlier versions

    def draw_dataset_dict(self, dic: dict) -> VisImage:
        """Draw the annotations of a record.

        Args:
            dic: any of annotations, sem_seg or sem_seg_file_name, pan_seg_file_name with
                segments_info.
        """
        annotations = dic.get("annotations")
        if annotations:
            self._draw_annotations(annotations)
        sem_seg = dic.get("sem_seg")
        if sem_seg is None and "sem_seg_file_name" in dic:
            with PathManager.open(dic["sem_seg_file_name"], "rb") as file:
                sem_seg = np.asarray(Image.open(file), dtype="uint8")
        if sem_seg is not None:
            self.draw_sem_seg(sem_seg, area_threshold=0, alpha=0.5)
        pan_seg = dic.get("pan_seg")
        if pan_seg is None and "pan_seg_file_name" in dic:
            with PathManager.open(dic["pan_seg_file_name"], "rb") as file:
                digits = np.asarray(Image.open(file).convert("RGB"), dtype=np.int64)
            pan_seg = torch.from_numpy(digits @ np.array([1, 256, 256**2]))
        if pan_seg is not None:
            self.draw_panoptic_seg(pan_seg, dic["segments_info"], area_threshold=0, alpha=0.5)
        return self.output

    def _draw_annotations(self, annotations: list[dict]) -> None:
        if any("keypoints" in annotation for annotation in annotations):
            outside_subset("Drawing keypoints")
        masks = None
        if "segmentation" in annotations[0]:
            masks = [annotation["segmentation"] for annotation in annotations]
        boxes = [
            BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
            for annotation in annotations
        ]
        classes = [annotation["category_id"] for annotation in annotations]
        colors = None
        by_class = self._instance_mode == ColorMode.SEGMENTATION
        if by_class and self.metadata.get("thing_colors"):
            colors = [
                self._jitter(self._metadata_color("thing_colors", index)) for index in classes
            ]
        labels = _create_text_labels(
            classes,
            None,
            self.metadata.get("thing_classes"),
            [annotation.get("iscrowd", 0) for annotation in annotations],
        )
        self.overlay_instances(labels=labels, boxes=boxes, masks=masks, assigned_colors=colors)

    def overlay_instances(
        self,
        *,
        boxes: Any = None,
        labels: Sequence[str] | None = None,
        masks: Any = None,
        keypoints: Any = None,
        assigned_colors: Sequence[Color] | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Draw instances, large ones first.

        Args:
            boxes: Boxes or (N, 4).
            labels: one text per instance.
            masks: PolygonMasks, BitMasks, or a sequence of what `GenericMask` takes.
            keypoints: outside the embedded subset unless None.
            assigned_colors: one per instance; random by default.
            alpha: opacity of masks.
        """
        if keypoints is not None:
            outside_subset("Drawing keypoints")
        boxes = None if boxes is None else self._convert_boxes(boxes)
        masks = None if masks is None else self._convert_masks(masks)
        given = [values for values in (boxes, masks, labels) if values is not None]
        count = len(given[0]) if given else 0
        for values in given:
            assert len(values) == count, f"{len(values)} values for {count} instances"
        if assigned_colors is None:
            assigned_colors = [random_color(rgb=True, maximum=1) for _ in range(count)]
        if count == 0:
            return self.output
        areas = np.zeros(count)
        if boxes is not None:
            areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        elif masks is not None:
            areas = np.array([mask.area() for mask in masks])
        for index in np.argsort(-areas):
            color = assigned_colors[index]
            if boxes is not None:
                self.draw_box(boxes[index], edge_color=color)
            if masks is not None:
                self._draw_mask_of_instance(masks[index], color, alpha)
            if labels is not None:
                self._label_instance(
                    labels[index],
                    None if boxes is None else boxes[index],
                    None if masks is None else masks[index],
                    color,
                )
        return self.output

    def _draw_mask_of_instance(self, mask: GenericMask, color: Color, alpha: float) -> None:
        if mask.has_holes:
            self.draw_binary_mask(mask.mask, color, alpha=alpha, area_threshold=0)
            return
        for polygon in mask.polygons:
            self.draw_polygon(polygon.reshape(-1, 2), color, alpha=alpha)

    def _label_instance(
        self, label: str, box: np.ndarray | None, mask: GenericMask | None, color: Color
    ) -> None:
        """Write the label of an instance: at its box, or in the middle of its mask."""
        if box is not None:
            position, alignment, extent = box[:2], "left", box
            is_small = np.prod(box[2:] - box[:2]) < _SMALL_OBJECT_AREA_THRESH * self.output.scale
            if is_small and box[3] < self.output.height - 5:
                position = (box[0], box[3])
        elif mask is not None:
            rows, columns = mask.mask.nonzero()
            if len(rows) == 0:
                return
            position, alignment, extent = (
                (np.median(columns), np.median(rows)),
                "center",
                mask.bbox(),
            )
        else:
            return
        share = (extent[3] - extent[1]) / np.sqrt(self.output.height * self.output.width)
        size = np.clip((share - 0.02) / 0.08 + 1, 1.2, 2) * 0.5 * self._default_font_size
        self.draw_text(
            label,
            position,
            color=self._change_color_brightness(color, brightness_factor=0.7),
            horizontal_alignment=alignment,
            font_size=size,
        )

    def overlay_rotated_instances(self, *args: Any, **kwargs: Any) -> VisImage:
        """Outside the embedded subset."""
        outside_subset("Visualizer.overlay_rotated_instances")

    def _metadata_color(self, key: str, index: int) -> list[float] | None:
        """Colour of a class in 0..1, None when the metadata has none."""
        colors = self.metadata.get(key)
        if colors is None or index >= len(colors):
            return None
        return [value / 255 for value in colors[index]]

    def _jitter(self, color: Sequence[float]) -> tuple[float, ...]:
        """A colour near another, drawn with ``np.random``; all in 0..1."""
        direction = np.random.rand(3)
        direction = (direction / np.linalg.norm(direction) - 0.5) * 0.3
        return tuple(np.clip(np.asarray(color)[:3] + direction, 0, 1))

    def _create_grayscale_image(self, mask: np.ndarray | None = None) -> np.ndarray:
        """The image in grey, with its colours where the mask is set."""
        grey = np.repeat(self.img.astype("f4").mean(axis=2, keepdims=True), 3, axis=2)
        if mask is not None and np.shape(mask) == grey.shape[:2]:
            grey[mask.astype(bool)] = self.img[mask.astype(bool)]
        return grey

    def _convert_boxes(self, boxes: Any) -> np.ndarray:
        """(N, 4) array of Boxes or anything like it."""
        if isinstance(boxes, Boxes):
            return boxes.tensor.detach().cpu().numpy()
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)

    def _convert_masks(self, masks_or_polygons: Any) -> list[GenericMask]:
        """Masks of any form as GenericMask."""
        if isinstance(masks_or_polygons, PolygonMasks):
            masks_or_polygons = masks_or_polygons.polygons
        if isinstance(masks_or_polygons, BitMasks):
            masks_or_polygons = masks_or_polygons.tensor
        if isinstance(masks_or_polygons, torch.Tensor):
            masks_or_polygons = masks_or_polygons.cpu().numpy()
        return [
            mask
            if isinstance(mask, GenericMask)
            else GenericMask(mask, self.output.height, self.output.width)
            for mask in masks_or_polygons
        ]
