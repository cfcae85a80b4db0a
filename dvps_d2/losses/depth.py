"""Depth losses of MinDVPS: scale-invariant logarithmic, absolute relative, squared relative.

All of them return one value per frame, a mean over its valid pixels, and 0 for frames without
any; :func:`mean_over_frames` then leaves such frames out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dvps_d2.depth import DepthActivation

from .processes import mean_over_processes

# Inside the square root, whose gradient at 0 is infinite: 1e-6 of relative error is no error.
SQUARE_EPSILON = 1e-12


def scale_invariant_log_loss(
    log_depth: Tensor, target: Tensor, valid: Tensor, variance_focus: float = 1.0
) -> Tensor:
    """mean(g^2) - variance_focus * mean(g)^2 with g = log d - log d*.

    Args:
        log_depth: (F, ...) natural logarithm of the predicted metres.
        target: (F, ...) metres, > 0 where valid.
        valid: (F, ...) bool.
        variance_focus: 1 ignores a common factor of all depths, 0 punishes it in full.

    Returns:
        (F,) >= 0 for a focus in 0..1.

    Source: Eigen et al., 2014, equation 4 (their lambda is 0.5).
    """
    error = log_depth - torch.where(valid, target, 1.0).log()
    mean = frame_mean(error, valid)
    return frame_mean(error.square(), valid) - variance_focus * mean.square()


def unsquared_log_loss(
    log_depth: Tensor, target: Tensor, valid: Tensor, variance_focus: float = 1.0
) -> Tensor:
    """mean(g^2) - variance_focus * mean(g): the mean of g is not squared.

    Not invariant to scale: it is least where every depth is exp(variance_focus / 2) times too far.
    For reproducing that code, not for better depth. Arguments as above.

    Returns:
        (F,) >= -variance_focus^2 / 4.

    Source: public code of Yuan et al., PolyphonicFormer, 2022; its paper has Eigen's form.
    """
    error = log_depth - torch.where(valid, target, 1.0).log()
    return frame_mean(error.square() - variance_focus * error, valid)


def absolute_relative_loss(depth: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """mean(|d - d*| / d*), (F,); arguments as above with ``depth`` in metres."""
    return frame_mean(_relative(depth, target, valid).abs(), valid)


def square_relative_loss(depth: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """sqrt(mean(((d - d*) / d*)^2)), (F,); arguments as above with ``depth`` in metres.

    Source: Qiao et al., ViP-DeepLab, 2021, which takes the root of KITTI's score.
    """
    square = frame_mean(_relative(depth, target, valid).square(), valid)
    return (square + SQUARE_EPSILON).sqrt() - SQUARE_EPSILON**0.5


def mean_square_relative_loss(depth: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """mean(((d - d*) / d*)^2), (F,); arguments as above with ``depth`` in metres.

    Source: Geiger et al., KITTI, 2012, whose benchmark scores depth like that.
    """
    return frame_mean(_relative(depth, target, valid).square(), valid)


def square_over_depth_loss(depth: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """mean((d - d*)^2 / d*) in metres, (F,): divided by the depth once, so that far errors count.

    Source: Eigen et al., 2014, "squared relative difference" among the scores of section 4.
    """
    return frame_mean(_relative(depth, target, valid) * (depth - target), valid)


LOG_FORMS = {"eigen": scale_invariant_log_loss, "polyphonic": unsquared_log_loss}
SQUARE_FORMS = {
    "root": square_relative_loss,
    "kitti": mean_square_relative_loss,
    "eigen": square_over_depth_loss,
}
BEYOND_MAX = ("ignore", "clip")


def frame_mean(values: Tensor, valid: Tensor) -> Tensor:
    """(F,) means of (F, ...) values over valid pixels; 0, with zero gradient, without any."""
    kept = torch.where(valid, values, 0.0).flatten(1).sum(-1)
    return kept / valid.flatten(1).sum(-1).clamp(min=1)


def mean_over_frames(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of (F,) values over frames with any valid pixel (of all processes); 0 without any."""
    counted = valid.flatten(1).any(-1)
    return torch.where(counted, values, 0.0).sum() / mean_over_processes(counted.sum())


def valid_depth(target: Tensor, max_depth: float) -> Tensor:
    """Pixels to learn from: measured (> 0) and nearer than ``max_depth``, where labels are cut."""
    return (target > 0) & (target < max_depth)


def _relative(depth: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    return (depth - target) / torch.where(valid, target, 1.0)


@dataclass(frozen=True)
class DepthLoss:
    """The weighted sum of the three losses, from logits.

    Attributes:
        activation: turns logits into metres.
        si_weight, abs_weight, sq_weight: weights of the terms (lambda_si, lambda_abs, lambda_sq).
        variance_focus: of the scale-invariant term.
        max_depth: metres from which on ``beyond_max`` applies; the activation's by default.
        log_form: key of ``LOG_FORMS``, the scale-invariant term.
        square_form: key of ``SQUARE_FORMS``, the squared relative term.
        beyond_max: ground truth at or beyond ``max_depth`` is left out (``"ignore"``) or taken for
            ``max_depth`` (``"clip"``).

    Raises:
        ValueError: an unknown form.

    Source: Kim et al., MinDVPS, 2023, equation 2, which names the terms and not their formulas.
    """

    activation: DepthActivation = field(default_factory=DepthActivation)
    si_weight: float = 1.0
    abs_weight: float = 1.0
    sq_weight: float = 1.0
    variance_focus: float = 1.0
    max_depth: float | None = None
    log_form: str = "eigen"
    square_form: str = "root"
    beyond_max: str = "ignore"

    def __post_init__(self) -> None:
        for name, choices in (
            ("log_form", LOG_FORMS),
            ("square_form", SQUARE_FORMS),
            ("beyond_max", BEYOND_MAX),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )

    def ground_truth(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Metres of any shape, 0 = none -> metres to compare with, and where to compare (bool)."""
        limit = self.activation.max_depth if self.max_depth is None else self.max_depth
        if self.beyond_max == "clip":
            return target.clamp(max=limit), target > 0
        return target, valid_depth(target, limit)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare (F, h, w) logits with (F, h, w) metres, 0 = none.

        Returns:
            Scalar float32, mean over frames with any valid pixel; 0 if there is none, with zero
            gradient.
        """
        target, valid = self.ground_truth(target)
        depth = self.activation(logits)
        log_depth = self.activation.log_metres(logits)
        focus = self.variance_focus
        per_frame = (
            self.si_weight * LOG_FORMS[self.log_form](log_depth, target, valid, focus)
            + self.abs_weight * absolute_relative_loss(depth, target, valid)
            + self.sq_weight * SQUARE_FORMS[self.square_form](depth, target, valid)
        )
        return mean_over_frames(per_frame, valid)
