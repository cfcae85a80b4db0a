"""Segmentations in the forms that are drawn: masks, outlines, segments with labels."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_util
import torch

from detectron2.structures import polygons_to_bitmask


class GenericMask:
    """A mask of any form: polygons, RLE or pixels; other forms are made when asked for."""

    def __init__(self, mask_or_polygons: Any, height: int, width: int) -> None:
        """
        Args:
            mask_or_polygons: an RLE dict, a list of flat polygons, or an (H, W) array.
            height: of the image.
            width: of the image.
        """
        self.height, self.width = height, width
        self._mask: np.ndarray | None = None
        self._polygons: list[np.ndarray] | None = None
        self._has_holes: bool | None = None
        form = mask_or_polygons
        if isinstance(form, dict):
            if isinstance(form["counts"], list):  # uncompressed
                form = mask_util.frPyObjects(form, *form["size"])
            form = mask_util.decode(form)
        if isinstance(form, list):
            self._polygons = [np.asarray(polygon).reshape(-1) for polygon in form]
            self._has_holes = False
        elif isinstance(form, np.ndarray):
            assert form.shape == (height, width), f"{form.shape} is not {(height, width)}"
            self._mask = form.astype("uint8")
        else:
            raise ValueError(
                f"a mask must be an RLE dict, a list of polygons or an array, got {type(form)}"
            )

    @property
    def mask(self) -> np.ndarray:
        """(H, W) uint8, 0 or 1."""
        if self._mask is None:
            self._mask = self.polygons_to_mask(self._polygons)
        return self._mask

    @property
    def polygons(self) -> list[np.ndarray]:
        """Flat arrays x0, y0, x1, y1, ...; holes are not taken out."""
        if self._polygons is None:
            self._polygons, self._has_holes = self.mask_to_polygons(self._mask)
        return self._polygons

    @property
    def has_holes(self) -> bool:
        """Whether polygons cannot show the mask."""
        if self._has_holes is None:
            self._polygons, self._has_holes = self.mask_to_polygons(self._mask)
        return self._has_holes

    def mask_to_polygons(self, mask: np.ndarray) -> tuple[list[np.ndarray], bool]:
        """Outlines of a mask, through pixel centres, and whether it has holes."""
        pixels = np.ascontiguousarray(mask, dtype=np.uint8)
        contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if hierarchy is None:  # empty
            return [], False
        has_holes = bool((hierarchy.reshape(-1, 4)[:, 3] >= 0).any())
        # Three points at least. Indices to positions: the centre of a pixel is at 0.5.
        polygons = [contour.flatten() + 0.5 for contour in contours if contour.size >= 6]
        return polygons, has_holes

    def polygons_to_mask(self, polygons: list[np.ndarray]) -> np.ndarray:
        """(H, W) uint8, 0 or 1."""
        return polygons_to_bitmask(polygons, self.height, self.width).astype(np.uint8)

    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    def bbox(self) -> np.ndarray:
        """(4,) XYXY."""
        codes = mask_util.encode(np.asfortranarray(self.mask))
        box = mask_util.toBbox(codes)
        box[2:] += box[:2]
        return box


class PanopticPrediction:
    """A panoptic map taken apart into masks, large ones first."""

    def __init__(
        self,
        panoptic_seg: torch.Tensor,
        segments_info: list[dict] | None,
        metadata: Any = None,
    ) -> None:
        """
        Args:
            panoptic_seg: (H, W) integers, on the CPU.
            segments_info: dicts with id, isthing, category_id; None reads them off the ids, which
                are class id x label_divisor + instance id, negative for void.
            metadata: with label_divisor and thing_dataset_id_to_contiguous_id, for that case.
        """
        if segments_info is None:
            assert metadata is not None, "segments_info or metadata is needed"
            segments_info = _segments_from_ids(panoptic_seg, metadata)
        self._seg = panoptic_seg
        self._sinfo = {segment["id"]: segment for segment in segments_info}
        ids, areas = torch.unique(panoptic_seg, sorted=True, return_counts=True)
        order = torch.argsort(-areas, stable=True)
        self._seg_ids = ids[order].tolist()
        self._seg_areas = areas[order].numpy()
        for segment_id, area in zip(self._seg_ids, self._seg_areas, strict=True):
            if segment_id in self._sinfo:
                self._sinfo[segment_id]["area"] = float(area)

    def non_empty_mask(self) -> np.ndarray:
        """(H, W) bool: pixels with a segment. At most one id may be no segment (void)."""
        void = [segment_id for segment_id in self._seg_ids if segment_id not in self._sinfo]
        assert len(void) <= 1, f"several ids without a segment: {void}"
        if not void:
            return np.ones(tuple(self._seg.shape), dtype=bool)
        return (self._seg != void[0]).numpy()

    def semantic_masks(self) -> Iterator[tuple[np.ndarray, dict]]:
        """(mask, segment) of stuff."""
        for segment_id in self._seg_ids:
            segment = self._sinfo.get(segment_id)
            if segment is not None and not segment["isthing"]:
                yield (self._seg == segment_id).numpy(), segment

    def instance_masks(self) -> Iterator[tuple[np.ndarray, dict]]:
        """(mask, segment) of things."""
        for segment_id in self._seg_ids:
            segment = self._sinfo.get(segment_id)
            if segment is not None and segment["isthing"]:
                yield (self._seg == segment_id).numpy(), segment


def _segments_from_ids(panoptic_seg: torch.Tensor, metadata: Any) -> list[dict]:
    things = set(metadata.thing_dataset_id_to_contiguous_id.values())
    segments = []
    for panoptic_id in np.unique(panoptic_seg.numpy()):
        if panoptic_id < 0:
            continue
        class_id = int(panoptic_id) // metadata.label_divisor
        segments.append(
            {"id": int(panoptic_id), "category_id": class_id, "isthing": class_id in things}
        )
    return segments


def create_text_labels(
    classes: Sequence[int] | None,
    scores: Sequence[float] | None,
    class_names: Sequence[str] | None,
    is_crowd: Sequence[bool] | None = None,
) -> list[str] | None:
    """Labels such as "car 87%" or "person|crowd", from what is known."""
    labels = None
    if classes is not None:
        named = class_names is not None and len(class_names) > 0
        labels = [class_names[index] if named else str(index) for index in classes]
    if scores is not None:
        percents = [f"{score * 100:.0f}%" for score in scores]
        labels = (
            percents if labels is None else list(map(" ".join, zip(labels, percents, strict=True)))
        )
    if labels is not None and is_crowd is not None:
        labels = [
            f"{label}|crowd" if crowd else label
            for label, crowd in zip(labels, is_crowd, strict=True)
        ]
    return labels
