"""Intersection over union of semantic segmentations."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager

from .evaluator import DatasetEvaluator

logger = logging.getLogger(__name__)


def load_image_into_numpy_array(filename: str, dtype: type | None = None) -> np.ndarray:
    """Read a label map (H, W) with PIL."""
    with PathManager.open(filename, "rb") as file:
        return np.asarray(Image.open(file), dtype=dtype)


class SemSegEvaluator(DatasetEvaluator):
    """mIoU, frequency-weighted IoU, mean and pixel accuracy, in percent.

    Source: Long et al., Fully Convolutional Networks, 2015, section 5. Boundary IoU, which the
    official evaluator adds where OpenCV is present, is left out.
    """

    def __init__(
        self,
        dataset_name: str,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        sem_seg_loading_fn: Callable[..., np.ndarray] = load_image_into_numpy_array,
        num_classes: int | None = None,
        ignore_label: int | None = None,
    ) -> None:
        """Find the truth in the catalog.

        Args:
            dataset_name: records with file_name and sem_seg_file_name, metadata with
                stuff_classes and ignore_label.
            distributed: collect counts from all processes.
            output_dir: for predictions (JSON, run-length coded) and results.
            sem_seg_loading_fn: (file name, dtype=) -> (H, W) labels.
            num_classes: deprecated, as is the next: both come from the metadata.
            ignore_label: see there.
        """
        for name, value in (("num_classes", num_classes), ("ignore_label", ignore_label)):
            if value is not None:
                logger.warning("SemSegEvaluator(%s=) is deprecated: set the metadata", name)
        self._dataset_name = dataset_name
        self._distributed = distributed
        self._output_dir = output_dir
        self._load = sem_seg_loading_fn
        self._truth_of = {
            record["file_name"]: record["sem_seg_file_name"]
            for record in DatasetCatalog.get(dataset_name)
        }
        meta = MetadataCatalog.get(dataset_name)
        to_contiguous = meta.get("stuff_dataset_id_to_contiguous_id") or {}
        self._dataset_id = {own: outside for outside, own in to_contiguous.items()}
        self._class_names = meta.stuff_classes
        self._num_classes = len(meta.stuff_classes)
        if num_classes is not None:
            assert self._num_classes == num_classes, (
                f"num_classes={num_classes}, but the metadata has {self._num_classes}"
            )
        self._ignore_label = ignore_label if ignore_label is not None else meta.ignore_label
        self.reset()

    def reset(self) -> None:
        """Forget all counts."""
        # Rows are predictions, columns truths; the last of each stands for ignored pixels.
        side = self._num_classes + 1
        self._counts = np.zeros((side, side), dtype=np.int64)
        self._predictions: list[dict] = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Count.

        Args:
            inputs: with file_name.
            outputs: with sem_seg (K, H, W) scores.
        """
        side = self._num_classes + 1
        for item, output in zip(inputs, outputs, strict=True):
            predicted = output["sem_seg"].argmax(dim=0).cpu().numpy().astype(np.int64)
            truth = self._load(self._truth_of[item["file_name"]], dtype=int).copy()
            truth[truth == self._ignore_label] = self._num_classes
            pairs = np.bincount((side * predicted + truth).reshape(-1), minlength=side * side)
            self._counts += pairs.reshape(side, side)
            self._predictions.extend(self.encode_json_sem_seg(predicted, item["file_name"]))

    def evaluate(self) -> dict | None:
        """{"sem_seg": metrics} on the main process, None elsewhere."""
        if self._distributed:
            comm.synchronize()
            counts, predictions = comm.gather(self._counts), comm.gather(self._predictions)
            if not comm.is_main_process():
                return None
            self._counts = sum(counts)
            self._predictions = list(itertools.chain(*predictions))
        results = OrderedDict(sem_seg=self._metrics())
        if self._output_dir:
            PathManager.mkdirs(self._output_dir)
            path = os.path.join(self._output_dir, "sem_seg_predictions.json")
            with PathManager.open(path, "w") as file:
                json.dump(self._predictions, file)
            path = os.path.join(self._output_dir, "sem_seg_evaluation.pth")
            with PathManager.open(path, "wb") as file:
                torch.save(results["sem_seg"], file)
        logger.info(results)
        return results

    def _metrics(self) -> dict[str, float]:
        """Percentages; classes that never occur are nan and stay out of the means."""
        counts = self._counts[:-1, :-1].astype(float)
        hits, truths = counts.diagonal(), counts.sum(axis=0)
        # A pixel without truth is no false positive.
        predictions = counts.sum(axis=1)
        union = truths + predictions - hits
        present, met = truths > 0, (truths > 0) & (union > 0)
        accuracy = np.full(self._num_classes, np.nan)
        iou = np.full(self._num_classes, np.nan)
        accuracy[present] = hits[present] / truths[present]
        iou[met] = hits[met] / union[met]
        total = truths.sum()

        result = OrderedDict(
            mIoU=100 * iou[met].mean() if met.any() else np.nan,
            fwIoU=100 * (iou[met] * truths[met]).sum() / total,
        )
        result.update({f"IoU-{n}": 100 * v for n, v in zip(self._class_names, iou, strict=True)})
        result["mACC"] = 100 * accuracy[present].mean() if present.any() else np.nan
        result["pACC"] = 100 * hits.sum() / total
        result.update(
            {f"ACC-{n}": 100 * v for n, v in zip(self._class_names, accuracy, strict=True)}
        )
        return result

    def encode_json_sem_seg(self, sem_seg: np.ndarray, input_file_name: str) -> list[dict]:
        """One run-length coded mask per class of an (H, W) prediction."""
        encoded = []
        for label in np.unique(sem_seg).tolist():
            mask = np.asfortranarray(sem_seg == label, dtype=np.uint8)
            rle = coco_mask.encode(mask)
            rle["counts"] = rle["counts"].decode("utf-8")  # bytes are not JSON
            encoded.append(
                {
                    "file_name": input_file_name,
                    "category_id": self._dataset_id.get(label, label),
                    "segmentation": rle,
                }
            )
        return encoded
