"""Released VPSNet files, key by key: early MMDetection's names and orders -> Detectron2's.

``extra_neck.*``, ``panopticFPN.*`` and ``track_head.*`` have the same names here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

BOX_NUMBERS = 4  # rows of a box regression that belong to one class


def background_last(rows: Tensor) -> Tensor:
    """(1 + K, ...) with background first -> (K + 1, ...) with background last."""
    return rows.roll(-1, dims=0)


def without_background(rows: Tensor) -> Tensor:
    """(1 + K, ...) with background first -> (K, ...)."""
    return rows[1:]


def boxes_without_background(rows: Tensor) -> Tensor:
    """(4 + 4K, ...) with background first -> (4K, ...)."""
    return rows[BOX_NUMBERS:]


def _shifted(pattern: str, first: int, replacement: str) -> list[tuple[str, str]]:
    """Numbers that count from 0 in the file and from ``first`` here, in place of ``#``."""
    return [
        (pattern.replace("#", str(i)), replacement.replace("#", str(i + first))) for i in range(4)
    ]


BODY = r"backbone\.bottom_up"
# (pattern, replacement or None to leave out, change of the tensor or None)
RULES: tuple[tuple[str, str | None, Callable[[Tensor], Tensor] | None], ...] = (
    # The flow network is not a part of the model here; see MODEL.VPSNET.FLOW.
    (r"flownet2\..*", None, None),
    # torchvision's names of a ResNet.
    (r"backbone\.conv1\.(.*)", r"backbone.bottom_up.stem.conv1.\1", None),
    (r"backbone\.bn1\.(.*)", r"backbone.bottom_up.stem.conv1.norm.\1", None),
    *(
        (old, new, None)
        for old, new in _shifted(
            r"backbone\.layer#\.(\d+)\.(.*)", 1, r"backbone.bottom_up.res#.\1.\2"
        )
    ),
    (r"backbone\.layer4\.(\d+)\.(.*)", r"backbone.bottom_up.res5.\1.\2", None),
    (rf"({BODY}\.res\d\.\d+)\.bn(\d)\.(.*)", r"\1.conv\2.norm.\3", None),
    (rf"({BODY}\.res\d\.\d+)\.downsample\.0\.(.*)", r"\1.shortcut.\2", None),
    (rf"({BODY}\.res\d\.\d+)\.downsample\.1\.(.*)", r"\1.shortcut.norm.\2", None),
    # Feature pyramid: levels are called by the logarithm of their stride.
    *(
        (old, new, None)
        for kind, name in (("lateral_convs", "fpn_lateral"), ("fpn_convs", "fpn_output"))
        for old, new in _shifted(rf"neck\.{kind}\.#\.conv\.(.*)", 2, rf"backbone.{name}#.\1")
    ),
    (r"rpn_head\.rpn_conv\.(.*)", r"proposal_generator.rpn_head.conv.\1", None),
    (r"rpn_head\.rpn_cls\.(.*)", r"proposal_generator.rpn_head.objectness_logits.\1", None),
    (r"rpn_head\.rpn_reg\.(.*)", r"proposal_generator.rpn_head.anchor_deltas.\1", None),
    *(
        (old, new, None)
        for old, new in _shifted(r"bbox_head\.shared_fcs\.#\.(.*)", 1, r"roi_heads.box_head.fc#.\1")
    ),
    (r"bbox_head\.fc_cls\.(.*)", r"roi_heads.box_predictor.cls_score.\1", background_last),
    (r"bbox_head\.fc_reg\.(.*)", r"roi_heads.box_predictor.bbox_pred.\1", boxes_without_background),
    *(
        (old, new, None)
        for old, new in _shifted(
            r"mask_head\.convs\.#\.conv\.(.*)", 1, r"roi_heads.mask_head.mask_fcn#.\1"
        )
    ),
    (r"mask_head\.upsample\.(.*)", r"roi_heads.mask_head.deconv.\1", None),
    (r"mask_head\.conv_logits\.(.*)", r"roi_heads.mask_head.predictor.\1", without_background),
)
