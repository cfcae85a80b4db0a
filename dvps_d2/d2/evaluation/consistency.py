"""TC, the temporal consistency of classes along the flow, beside another evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import detection_utils as utils
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import Tensor

from dvps_d2.formats import VOID
from dvps_d2.layers.flow import FlowEstimator, FramePair
from dvps_d2.metrics.consistency import ConsistencyCounts, count_consistency


class SharedFrames(DatasetEvaluator):
    """Several evaluators for a model whose frames can be looped over only once.

    Args:
        evaluators: each is given every frame; their results are merged.
    """

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self.evaluators = list(evaluators)

    def reset(self) -> None:
        """Forget everything that was counted."""
        for evaluator in self.evaluators:
            evaluator.reset()

    def process(self, inputs: Sequence[Mapping], outputs: Sequence[Mapping]) -> None:
        """Hand every frame to every evaluator, one at a time."""
        for output in outputs:
            for frame in output["frames"]:
                for evaluator in self.evaluators:
                    evaluator.process(inputs, [{**output, "frames": [frame]}])

    def evaluate(self) -> dict[str, Any] | None:
        """The results of all; None on other processes than the main one."""
        results = [evaluator.evaluate() for evaluator in self.evaluators]
        if any(result is None for result in results):
            return None
        return {name: scores for result in results for name, scores in result.items()}


@dataclass(frozen=True, eq=False)
class _Seen:
    """The frame before: its number, its picture and the classes predicted there."""

    frame_id: int
    image: Tensor
    class_ids: np.ndarray


class ConsistencyEvaluator(DatasetEvaluator):
    """Mean IoU of each frame's classes with the next frame's, brought back along the flow.

    No ground truth is looked at, so that all frames of a video count.

    Args:
        dataset_name: registered dataset; its records tell where the pictures are.
        flow: estimator for RGB pictures in 0..255.
        device: where flow is estimated.

    Source: Liu et al., "Efficient Semantic Video Segmentation with Per-frame Inference", ECCV 2020.
    Differs from it by: classes are warped to the nearest pixel, those that never occur do not
    count as 0, and the estimator is not given normalised colours.
    """

    def __init__(
        self, dataset_name: str, flow: FlowEstimator, device: str | torch.device = "cpu"
    ) -> None:
        self.flow = flow
        self.device = device
        self._num_classes = len(MetadataCatalog.get(dataset_name).thing_classes)
        self._dataset_name = dataset_name
        self._files: dict[tuple[str, int], str] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything that was counted."""
        self._before: dict[str, _Seen] = {}
        self._counts = ConsistencyCounts.zeros(self._num_classes)

    def process(self, inputs: Sequence[Mapping], outputs: Sequence[Mapping]) -> None:
        """Compare each frame with the one before it; frames of a video come in order."""
        for output in outputs:
            video_id = str(output["video_id"])
            for frame in output["frames"]:
                self._process_frame(video_id, frame)

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """``{"tc": {"all"}}`` in percent on the main process, else None; NaN for single frames."""
        gathered = comm.gather(self._counts)
        if not comm.is_main_process():
            return None
        total = ConsistencyCounts.zeros(self._num_classes)
        for counts in gathered:
            total = total + counts
        return {"tc": {"all": 100 * total.score(absent_as_zero=False)}}

    def _process_frame(self, video_id: str, frame: Mapping[str, Any]) -> None:
        class_ids = _class_map(*frame["panoptic_seg"])
        now = _Seen(frame["frame_id"], self._image(video_id, frame["frame_id"]), class_ids)
        before = self._before.get(video_id)
        self._before[video_id] = now
        if before is None or before.frame_id >= now.frame_id:
            return
        pair = FramePair(video_id, before.frame_id, now.frame_id)
        key, reference = (seen.image.to(self.device).float() for seen in (before, now))
        flow = self.flow(key, reference, [pair])[0].permute(1, 2, 0).cpu().numpy()
        self._counts = self._counts + count_consistency(
            before.class_ids, class_ids, flow, self._num_classes
        )

    def _image(self, video_id: str, frame_id: int) -> Tensor:
        """(1, 3, H, W) uint8 RGB."""
        if self._files is None:
            self._files = {
                (str(record["video_id"]), frame["frame_id"]): frame["file_name"]
                for record in DatasetCatalog.get(self._dataset_name)
                for frame in record["frames"]
            }
        image = utils.read_image(self._files[video_id, frame_id], format="RGB")
        return torch.from_numpy(image.transpose(2, 0, 1).copy()).unsqueeze(0)


def _class_map(ids: Any, segments: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(H, W) ids -> (H, W) uint8 classes, void 255."""
    numbers = torch.as_tensor(ids).cpu().numpy()
    table = np.full(int(numbers.max(initial=0)) + 1, VOID, dtype=np.uint8)
    for segment in segments:
        if segment["id"] < len(table):
            table[segment["id"]] = segment["category_id"]
    return table[numbers]
