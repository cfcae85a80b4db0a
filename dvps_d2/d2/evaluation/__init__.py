"""Evaluators in Detectron2's sense: scores of videos during training and with ``--eval-only``."""

from __future__ import annotations

from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator

from dvps_d2.d2.build_flow import build_estimator
from dvps_d2.metrics import get_protocol

from .consistency import ConsistencyEvaluator, SharedFrames
from .video_panoptic import VideoPanopticEvaluator

# evaluator_type in the metadata -> protocol, and what is computed beside what it publishes.
PROTOCOL_OF_TYPE: dict[str, tuple[str, tuple[str, ...]]] = {
    "cityscapes_vps": ("cityscapes_vps", ("vpq", "stq")),
    "cityscapes_dvps": ("cityscapes_dvps", ("vpq", "dvpq", "stq", "depth")),
    "viper": ("viper", ("vpq", "stq")),
    "vipseg": ("vipseg", ("vpq", "stq")),
    "semkitti_dvps": ("semkitti_dvps", ("vpq", "dvpq", "stq", "depth")),
    "semkitti_dstq": ("semkitti_dstq", ("stq", "dstq")),
    "kitti_step": ("kitti_step", ("stq", "dstq")),
}


def build_evaluator(cfg: Any, dataset_name: str, output_dir: str | None = None) -> DatasetEvaluator:
    """The evaluator of a registered dataset.

    Args:
        cfg: configuration, whose ``TEST.CONSISTENCY_FLOW`` adds the temporal consistency (TC);
            None: without.
        dataset_name: registered name. Its metadata has ``evaluator_type`` (a key of
            ``PROTOCOL_OF_TYPE``), ``reader`` (a key of ``formats.READERS``, which also holds the
            classes) and optionally ``eval_classes``, the class ids that enter the averages.
        output_dir: folder for the results as JSON; None = write nothing.

    Raises:
        KeyError: ``evaluator_type`` is not one of those known.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", None)
    if kind not in PROTOCOL_OF_TYPE:
        raise KeyError(
            f"dataset {dataset_name!r} has evaluator_type {kind!r}; "
            f"known: {', '.join(sorted(PROTOCOL_OF_TYPE))}"
        )
    name, metrics = PROTOCOL_OF_TYPE[kind]
    chosen = MetadataCatalog.get(dataset_name).get("eval_classes", None)
    protocol = get_protocol(
        name, metrics=metrics, eval_classes=None if chosen is None else tuple(chosen)
    )
    evaluator = VideoPanopticEvaluator(dataset_name, protocol, output_dir)
    if cfg is None or not cfg.TEST.CONSISTENCY_FLOW:
        return evaluator
    flow = build_estimator(cfg.MODEL.VPSNET.FLOW, cfg.TEST.CONSISTENCY_FLOW)
    consistency = ConsistencyEvaluator(dataset_name, flow, cfg.MODEL.DEVICE)
    return SharedFrames([evaluator, consistency])


__all__ = [
    "PROTOCOL_OF_TYPE",
    "ConsistencyEvaluator",
    "SharedFrames",
    "VideoPanopticEvaluator",
    "build_evaluator",
]
