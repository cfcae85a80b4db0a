"""Config -> parts. Below this file nothing has seen a config."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import build_backbone

from dvps_d2.d2.build_depth import (
    build_depth_activation,
    build_depth_decoder,
    build_depth_loss,
    build_depth_supervision,
    depth_upsampling,
    refuse_decoder_keys,
)
from dvps_d2.d2.choices import choose, dataset_metadata
from dvps_d2.losses import (
    SAMPLINGS,
    DenseSampling,
    HungarianMatcher,
    LossWeights,
    PointSampling,
    SetCriterion,
)
from dvps_d2.panoptic import ClipFusion, FrameFusion, FusionSettings, TaskFusion
from dvps_d2.pipeline import DVPSPipeline
from dvps_d2.refiner import TemporalRefiner
from dvps_d2.segmenter import MaskedAttentionDecoder, PixelDecoder, QuerySegmenter
from dvps_d2.tracker import FixedSlots, QueryMatching, ReferringTracker
from dvps_d2.tracker.depth_slots import DepthInFixedSlots

ASSOCIATIONS = {"query_matching": QueryMatching, "fixed_slots": FixedSlots}
FUSIONS = {"frame": FrameFusion, "clip": ClipFusion}


def build_pipeline(cfg: Any) -> DVPSPipeline:
    """Segmenter, association and fusion of a query system."""
    tracker = choose("MODEL.DVPS.ASSOCIATION", cfg.MODEL.DVPS.ASSOCIATION, ASSOCIATIONS)()
    if not cfg.MODEL.DVPS.DEPTH.FOLLOW_TRACKS:
        tracker = DepthInFixedSlots(tracker)
    return DVPSPipeline(build_segmenter(cfg), tracker, fusion=build_fusion(cfg))


def build_segmenter(cfg: Any, *, with_depth: bool = True) -> QuerySegmenter:
    """Backbone, pixel decoder, query decoder, and depth decoder if depth is enabled.

    Args:
        cfg: the config.
        with_depth: False leaves the depth decoder out in any case.
    """
    head, former = cfg.MODEL.SEM_SEG_HEAD, cfg.MODEL.MASK_FORMER
    backbone = build_backbone(cfg)
    shapes = backbone.output_shape()
    encoder_levels = head.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES
    pixel_decoder = PixelDecoder(
        {name: shape.channels for name, shape in shapes.items()},
        {name: shape.stride for name, shape in shapes.items()},
        hidden_dim=head.CONVS_DIM,
        mask_dim=head.MASK_DIM,
        encoder_layers=head.TRANSFORMER_ENC_LAYERS,
        num_heads=head.DEFORMABLE_TRANSFORMER_ENCODER_N_HEADS,
        feedforward_dim=head.TRANSFORMER_ENC_FEEDFORWARD,
        num_points=head.DEFORMABLE_TRANSFORMER_ENCODER_N_POINTS,
        encoder_levels=encoder_levels,
        fpn_levels=head.FPN_IN_FEATURES,
        offset_noise=head.OFFSET_INIT_NOISE,
        full_precision=head.ENCODER_FLOAT32,
    )
    shared = {
        "hidden_dim": former.HIDDEN_DIM,
        "num_queries": former.NUM_OBJECT_QUERIES,
        "num_layers": former.DEC_LAYERS - 1,
        "num_heads": former.NHEADS,
        "feedforward_dim": former.DIM_FEEDFORWARD,
        "mask_dim": head.MASK_DIM,
        "num_levels": len(encoder_levels),
        "in_channels": head.CONVS_DIM,
    }
    decoder = MaskedAttentionDecoder(
        num_classes=head.NUM_CLASSES,
        coarse_auxiliary=cfg.MODEL.DVPS.COARSE_AUXILIARY,
        denoising=former.DENOISING.GROUPS > 0,
        **shared,
    )
    with_depth = with_depth and cfg.MODEL.DVPS.DEPTH.ENABLED
    depth_decoder = build_depth_decoder(cfg, shared) if with_depth else None
    return QuerySegmenter(backbone, pixel_decoder, decoder, depth_decoder)


def build_referring_tracker(cfg: Any, *, memory_for_refiner: bool = False) -> ReferringTracker:
    """The tracker of ``MODEL.TRACKER``, as wide as the query decoder."""
    refuse_decoder_keys(cfg)
    return ReferringTracker(
        num_layers=cfg.MODEL.TRACKER.DECODER_LAYERS,
        legacy_inverse_match=cfg.MODEL.TRACKER.LEGACY_INVERSE_MATCH,
        memory_for_refiner=memory_for_refiner,
        **_sizes_of_tracks(cfg),
    )


def build_temporal_refiner(cfg: Any) -> TemporalRefiner:
    """The refiner of ``MODEL.REFINER``, as wide as the query decoder."""
    return TemporalRefiner(
        num_layers=cfg.MODEL.REFINER.DECODER_LAYERS,
        feature_store=cfg.MODEL.REFINER.FEATURE_STORE,
        **_sizes_of_tracks(cfg),
    )


def _sizes_of_tracks(cfg: Any) -> dict[str, Any]:
    return {
        "hidden_dim": cfg.MODEL.MASK_FORMER.HIDDEN_DIM,
        "num_classes": cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        "mask_dim": cfg.MODEL.SEM_SEG_HEAD.MASK_DIM,
        "num_heads": cfg.MODEL.MASK_FORMER.NHEADS,
        "feedforward_dim": cfg.MODEL.MASK_FORMER.DIM_FEEDFORWARD,
        "depth": cfg.MODEL.DVPS.DEPTH.ENABLED,
    }


def build_fusion(cfg: Any) -> FrameFusion | ClipFusion | TaskFusion:
    """Panoptic fusion in the scope of ``MODEL.DVPS.FUSION.SCOPE``, with further tasks if asked for.

    Raises:
        ValueError: an unknown scope, or all tasks are off.
    """
    test = cfg.MODEL.MASK_FORMER.TEST
    settings = FusionSettings(
        thing_ids=frozenset(dataset_metadata(cfg).thing_ids),
        score_threshold=test.OBJECT_MASK_THRESHOLD,
        overlap_threshold=test.OVERLAP_THRESHOLD,
        class_memory=cfg.MODEL.DVPS.FUSION.CLASS_MEMORY,
        depth=build_depth_activation(cfg) if cfg.MODEL.DVPS.DEPTH.ENABLED else None,
        depth_upsampling=depth_upsampling(cfg),
    )
    fusion = choose("MODEL.DVPS.FUSION.SCOPE", cfg.MODEL.DVPS.FUSION.SCOPE, FUSIONS)(settings)
    if test.PANOPTIC_ON and not (test.SEMANTIC_ON or test.INSTANCE_ON):
        return fusion
    return TaskFusion(
        fusion,
        cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        draw_panoptic=test.PANOPTIC_ON,
        draw_semantic=test.SEMANTIC_ON,
        max_instances=test.MAX_NUM if test.INSTANCE_ON else 0,
    )


def build_criterion(cfg: Any, *, scope: str = "frame", keep_absent: bool = False) -> SetCriterion:
    """Matching and losses of ``MODEL.MASK_FORMER`` and ``MODEL.DVPS.DEPTH``.

    Args:
        cfg: the config.
        scope: what is matched, see :class:`dvps_d2.losses.HungarianMatcher`.
        keep_absent: see :meth:`dvps_d2.losses.FrameTargets.from_clips`.
    """
    former, depth = cfg.MODEL.MASK_FORMER, cfg.MODEL.DVPS.DEPTH
    sampling = build_mask_sampling(cfg)
    matcher = HungarianMatcher(
        former.CLASS_WEIGHT,
        former.MASK_WEIGHT,
        former.DICE_WEIGHT,
        sampling=sampling,
        scope=scope,
    )
    return SetCriterion(
        cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        matcher,
        weights=LossWeights(
            classification=former.CLASS_WEIGHT,
            mask=former.MASK_WEIGHT,
            dice=former.DICE_WEIGHT,
            depth=depth.WEIGHT,
            global_depth=depth.GLOBAL_WEIGHT,
        ),
        no_object_weight=former.NO_OBJECT_WEIGHT,
        depth_loss=build_depth_loss(cfg) if depth.ENABLED else None,
        depth_supervision=build_depth_supervision(cfg),
        keep_absent=keep_absent,
    )


def build_mask_sampling(cfg: Any) -> PointSampling | DenseSampling:
    """Where mask losses look: ``MODEL.MASK_FORMER.MASK_SAMPLING``."""
    former = cfg.MODEL.MASK_FORMER
    kind = choose("MODEL.MASK_FORMER.MASK_SAMPLING", former.MASK_SAMPLING, SAMPLINGS)
    if kind is not PointSampling:
        return kind()
    return PointSampling(
        former.TRAIN_NUM_POINTS, former.OVERSAMPLE_RATIO, former.IMPORTANCE_SAMPLE_RATIO
    )


def denoising_options(cfg: Any) -> dict[str, Any] | None:
    """Arguments of ``make_denoising`` but the grid, or None when denoising is off."""
    options = cfg.MODEL.MASK_FORMER.DENOISING
    if options.GROUPS == 0:
        return None
    return {
        "num_classes": cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
        "groups": options.GROUPS,
        "label_noise": options.LABEL_NOISE,
        "mask_flip": options.MASK_FLIP,
        "shift": options.SHIFT,
    }
