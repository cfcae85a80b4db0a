"""``MODEL.DVPS.DEPTH`` -> the parts of the depth branch."""

from __future__ import annotations

from typing import Any

from dvps_d2.depth import DepthActivation
from dvps_d2.losses import DepthLoss, DepthSupervision
from dvps_d2.losses.depth import BEYOND_MAX, LOG_FORMS, SQUARE_FORMS
from dvps_d2.losses.depth_supervision import MATCHINGS, RESOLUTIONS
from dvps_d2.panoptic.depth_map import UPSAMPLINGS
from dvps_d2.segmenter import DepthDecoder

from .choices import choose, dataset_metadata

KEY = "MODEL.DVPS.DEPTH."
# Keys that only a depth decoder knows, with the value that says nothing.
DECODER_KEYS = {
    "GLOBAL_QUERY": True,
    "MASKED_ATTENTION": True,
    "FOLLOW_TRACKS": True,
    "HEAD_LAYERS": 3,
    "FEATURE_LAYERS": 0,
}


def build_depth_decoder(cfg: Any, sizes: dict[str, Any]) -> DepthDecoder:
    """The depth decoder.

    Args:
        cfg: the config.
        sizes: what it shares with the segmentation decoder.
    """
    depth = cfg.MODEL.DVPS.DEPTH
    return DepthDecoder(
        global_query=depth.GLOBAL_QUERY,
        masked_attention=depth.MASKED_ATTENTION,
        head_layers=depth.HEAD_LAYERS,
        feature_layers=depth.FEATURE_LAYERS,
        **sizes,
    )


def refuse_decoder_keys(cfg: Any) -> None:
    """For systems that read depth from their tracks (DVIS) and have no depth decoder.

    Raises:
        ValueError: a key of the depth decoder is set.
    """
    for name, usual in DECODER_KEYS.items():
        value = cfg.MODEL.DVPS.DEPTH[name]
        if value != usual:
            raise ValueError(
                f"{KEY}{name}={value} is about the depth decoder, which "
                f"{cfg.MODEL.META_ARCHITECTURE} does not have; leave it at {usual}"
            )


def build_depth_activation(cfg: Any) -> DepthActivation:
    """Depth logits -> metres, by ``MODEL.DVPS.DEPTH``."""
    depth = cfg.MODEL.DVPS.DEPTH
    return DepthActivation(depth.ACTIVATION, depth.MIN, depth.MAX)


def build_depth_loss(cfg: Any) -> DepthLoss:
    """What errors of depth cost.

    Raises:
        ValueError: an unknown form.
    """
    depth = cfg.MODEL.DVPS.DEPTH
    for name, choices in (
        ("SI_FORM", LOG_FORMS),
        ("SQ_FORM", SQUARE_FORMS),
        ("BEYOND_MAX", BEYOND_MAX),
    ):
        choose(KEY + name, depth[name], dict.fromkeys(choices))
    return DepthLoss(
        build_depth_activation(cfg),
        si_weight=depth.SI_WEIGHT,
        abs_weight=depth.ABS_WEIGHT,
        sq_weight=depth.SQ_WEIGHT,
        variance_focus=depth.SI_LAMBDA,
        log_form=depth.SI_FORM,
        square_form=depth.SQ_FORM,
        beyond_max=depth.BEYOND_MAX,
    )


def build_depth_supervision(cfg: Any) -> DepthSupervision:
    """Which depth query answers where, by ``MODEL.DVPS.DEPTH``.

    Raises:
        ValueError: an unknown choice, or choices that exclude each other.
    """
    depth = cfg.MODEL.DVPS.DEPTH
    if depth.GLOBAL_WEIGHT > 0 and not depth.GLOBAL_QUERY:
        raise ValueError(
            f"MODEL.DVPS.DEPTH.GLOBAL_WEIGHT={depth.GLOBAL_WEIGHT} weighs the depth of the global "
            "query, but GLOBAL_QUERY is False; set GLOBAL_WEIGHT 0.0"
        )
    choose(KEY + "MATCHING", depth.MATCHING, dict.fromkeys(MATCHINGS))
    choose(KEY + "LOSS_RESOLUTION", depth.LOSS_RESOLUTION, dict.fromkeys(RESOLUTIONS))
    return DepthSupervision(
        matching=depth.MATCHING,
        resolution=depth.LOSS_RESOLUTION,
        every_layer=depth.DEEP_SUPERVISION,
    )


def depth_upsampling(cfg: Any) -> str:
    """How depth comes from the mask grid to the output.

    Raises:
        ValueError: an unknown choice.
    """
    wanted = cfg.MODEL.DVPS.DEPTH.UPSAMPLING
    choose(KEY + "UPSAMPLING", wanted, UPSAMPLINGS)
    return wanted


def sky_depth(cfg: Any) -> dict[int, float]:
    """Class id of the sky -> metres that are shown there; empty without the sky rule."""
    if not (cfg.MODEL.DVPS.DEPTH.ENABLED and cfg.MODEL.DVPS.DEPTH.SKY_RULE):
        return {}
    names = dataset_metadata(cfg).thing_classes
    return {names.index("sky"): cfg.MODEL.DVPS.DEPTH.MAX} if "sky" in names else {}
