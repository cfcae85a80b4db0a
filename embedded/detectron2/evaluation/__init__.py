"""Judging models on datasets."""

from detectron2._subset import absent

from .evaluator import (
    DatasetEvaluator,
    DatasetEvaluators,
    inference_context,
    inference_on_dataset,
)
from .sem_seg_evaluation import SemSegEvaluator
from .testing import print_csv_format, verify_results

COCOEvaluator = absent("detectron2.evaluation.COCOEvaluator")
COCOPanopticEvaluator = absent("detectron2.evaluation.COCOPanopticEvaluator")
CityscapesInstanceEvaluator = absent("detectron2.evaluation.CityscapesInstanceEvaluator")
CityscapesSemSegEvaluator = absent("detectron2.evaluation.CityscapesSemSegEvaluator")
LVISEvaluator = absent("detectron2.evaluation.LVISEvaluator")
PascalVOCDetectionEvaluator = absent("detectron2.evaluation.PascalVOCDetectionEvaluator")
RotatedCOCOEvaluator = absent("detectron2.evaluation.RotatedCOCOEvaluator")

__all__ = [
    "COCOEvaluator",
    "COCOPanopticEvaluator",
    "CityscapesInstanceEvaluator",
    "CityscapesSemSegEvaluator",
    "DatasetEvaluator",
    "DatasetEvaluators",
    "LVISEvaluator",
    "PascalVOCDetectionEvaluator",
    "RotatedCOCOEvaluator",
    "SemSegEvaluator",
    "inference_context",
    "inference_on_dataset",
    "print_csv_format",
    "verify_results",
]
