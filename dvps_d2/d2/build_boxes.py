"""Config -> parts of the box family (VPSNet, SiamTrack)."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import build_backbone
from torch import nn

from dvps_d2.losses.box_criterion import BoxCriterion, BoxLossWeights
from dvps_d2.losses.contrastive import NEGATIVES, ProjectionHead
from dvps_d2.losses.panoptic_head import SEMANTIC_LOSSES
from dvps_d2.losses.siamese import SiameseLosses, SiameseWeights
from dvps_d2.panoptic.box_fusion import BoxFusion, BoxFusionSettings
from dvps_d2.pipeline import BoxPipeline
from dvps_d2.segmenter.boxes import BoxSegmenter, FuseNeck, GatherNeck, SemanticHead
from dvps_d2.tracker import (
    ClassSorting,
    CueWeights,
    DetectionOrder,
    FlowIouMatching,
    RoiTracker,
    TrackHead,
)

from .build_flow import build_flow
from .choices import choose, dataset_metadata
from .detector import build_detector

TRACKERS = {
    "order": lambda cfg: DetectionOrder(),
    "class_sort": lambda cfg: ClassSorting(),
    "flow_iou": lambda cfg: FlowIouMatching(build_flow(cfg)),
    "affinity": lambda cfg: build_roi_tracker(cfg),
}
SIMILARITIES = {"dot": False, "cosine": True}
NECKS = {
    "none": lambda cfg: None,
    "gather": lambda cfg: GatherNeck(cfg.MODEL.VPSNET.GATHER),
    "fuse": lambda cfg: build_fuse_neck(cfg),
}


def build_box_pipeline(cfg: Any) -> BoxPipeline:
    """Segmenter, tracker and fusion of ``MODEL.VPSNET``."""
    tracker = choose("MODEL.VPSNET.TRACKER", cfg.MODEL.VPSNET.TRACKER, TRACKERS)(cfg)
    return BoxPipeline(build_box_segmenter(cfg), tracker, fusion=build_box_fusion(cfg))


def build_box_segmenter(cfg: Any) -> BoxSegmenter:
    """Backbone, extra neck, semantic head and detector."""
    vpsnet = cfg.MODEL.VPSNET
    backbone = build_backbone(cfg)
    neck = choose("MODEL.VPSNET.NECK", vpsnet.NECK, NECKS)(cfg)
    thing_ids = sorted(dataset_metadata(cfg).thing_ids)
    return BoxSegmenter(
        backbone,
        build_detector(cfg, backbone.output_shape(), thing_ids),
        SemanticHead(
            cfg.MODEL.FPN.OUT_CHANNELS,
            cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
            head_channels=vpsnet.SEMANTIC_CHANNELS,
            num_layers=vpsnet.SEMANTIC_LAYERS,
            deformable=vpsnet.SEMANTIC_DEFORMABLE,
        ),
        neck,
        flow=build_flow(cfg) if vpsnet.NECK == "fuse" and vpsnet.ALIGN else None,
        track_on_fused=vpsnet.TRACK_ON_FUSED,
    )


def build_fuse_neck(cfg: Any) -> FuseNeck:
    """The neck that fuses a frame with the one before."""
    vpsnet = cfg.MODEL.VPSNET
    return FuseNeck(
        cfg.MODEL.FPN.OUT_CHANNELS,
        mode=vpsnet.GATHER,
        align=vpsnet.ALIGN,
        attend=vpsnet.ATTEND,
        legacy_warp=vpsnet.LEGACY_WARP,
    )


def build_roi_tracker(cfg: Any) -> RoiTracker:
    """The learned tracker of ``MODEL.VPSNET.TRACK``."""
    track = cfg.MODEL.VPSNET.TRACK
    return RoiTracker(
        TrackHead(
            cfg.MODEL.FPN.OUT_CHANNELS,
            hidden_dim=track.HIDDEN_DIM,
            cosine=choose("MODEL.VPSNET.TRACK.SIMILARITY", track.SIMILARITY, SIMILARITIES),
        ),
        CueWeights(track.SCORE_WEIGHT, track.BOX_WEIGHT, track.CLASS_WEIGHT, track.MASK_WEIGHT),
        track.CAPACITY,
    )


def build_box_fusion(cfg: Any) -> BoxFusion:
    """The rules of ``MODEL.VPSNET.FUSION``."""
    rules = cfg.MODEL.VPSNET.FUSION
    return BoxFusion(
        BoxFusionSettings(
            thing_ids=frozenset(dataset_metadata(cfg).thing_ids),
            stuff_ids=stuff_ids(cfg),
            overlap_threshold=rules.OVERLAP_THRESHOLD,
            stuff_area=rules.STUFF_AREA,
            majority=rules.MAJORITY,
        )
    )


def build_box_criterion(cfg: Any) -> nn.Module:
    """The losses of ``MODEL.VPSNET``."""
    vpsnet = cfg.MODEL.VPSNET
    choose("MODEL.VPSNET.SEMANTIC_LOSS", vpsnet.SEMANTIC_LOSS, dict.fromkeys(SEMANTIC_LOSSES))
    weights = BoxLossWeights(
        vpsnet.SEMANTIC_WEIGHT, vpsnet.PANOPTIC_WEIGHT, vpsnet.TRACK_WEIGHT, vpsnet.SEMANTIC_LOSS
    )
    siamese = build_siamese_losses(cfg) if vpsnet.SIAMESE.ENABLED else None
    return BoxCriterion(stuff_ids(cfg), weights, siamese)


def build_siamese_losses(cfg: Any) -> SiameseLosses:
    """The losses of ``MODEL.VPSNET.SIAMESE``."""
    siamese = cfg.MODEL.VPSNET.SIAMESE
    weights = SiameseWeights(
        siamese.SEMANTIC_WEIGHT,
        siamese.INSTANCE_WEIGHT,
        siamese.WARP_WEIGHT,
        siamese.TUBE_WEIGHT,
        siamese.TEMPERATURE,
        siamese.OCCLUSION,
        siamese.NEGATIVES,
        siamese.NORMALIZE_POOLED,
    )
    choose("MODEL.VPSNET.SIAMESE.NEGATIVES", siamese.NEGATIVES, dict.fromkeys(NEGATIVES))
    projection = None
    if weights.semantic > 0 or weights.instance > 0:
        dim = siamese.PROJECTION_DIM
        projection = ProjectionHead(cfg.MODEL.FPN.OUT_CHANNELS, dim, dim)
    flow = build_flow(cfg) if weights.warp > 0 else None
    things = dataset_metadata(cfg).thing_ids
    return SiameseLosses(weights, things, projection=projection, flow=flow)


def stuff_ids(cfg: Any) -> tuple[int, ...]:
    """Class ids that are not countable, ascending: the order of the panoptic channels."""
    things = set(dataset_metadata(cfg).thing_ids)
    return tuple(i for i in range(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES) if i not in things)
