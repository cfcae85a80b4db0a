"""Config -> optical flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dvps_d2.layers.flow import FlowEstimator
from dvps_d2.layers.flow_estimators import (
    CachedFlow,
    DisFlow,
    FileFlow,
    FlowNet2Flow,
    RaftFlow,
    RgbFlow,
    ZeroFlow,
)

ESTIMATORS: dict[str, Callable[[Any], FlowEstimator]] = {
    "raft": lambda flow: RaftFlow(weights=flow.WEIGHTS or None),
    "raft_small": lambda flow: RaftFlow(large=False, weights=flow.WEIGHTS or None),
    "flownet2": lambda flow: FlowNet2Flow(flow.WEIGHTS),
    "dis": lambda flow: DisFlow(),
    "files": lambda flow: FileFlow(flow.FOLDER),
    "zero": lambda flow: ZeroFlow(),
}


def build_estimator(flow: Any, name: str) -> FlowEstimator:
    """An estimator for RGB frames in 0..255.

    Args:
        flow: the node ``MODEL.VPSNET.FLOW``.
        name: a key of ``ESTIMATORS``.

    Raises:
        ValueError: there is no such estimator.
    """
    if name not in ESTIMATORS:
        raise ValueError(
            f"MODEL.VPSNET.FLOW.NAME={name!r} is not one of {', '.join(ESTIMATORS)} (also the "
            f"choices of TEST.CONSISTENCY_FLOW)"
        )
    estimator = ESTIMATORS[name](flow)
    return CachedFlow(estimator, flow.CACHE) if flow.CACHE else estimator


def build_flow(cfg: Any) -> RgbFlow:
    """The estimator of ``MODEL.VPSNET.FLOW``, for frames as the model sees them."""
    estimator = build_estimator(cfg.MODEL.VPSNET.FLOW, cfg.MODEL.VPSNET.FLOW.NAME)
    mean, std = cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD
    return RgbFlow(estimator, mean, std, bgr=cfg.INPUT.FORMAT == "BGR")
