"""Depth losses worked out by hand, and the cases in which there is nothing to learn."""

import math

import pytest
import torch

from dvps_d2.depth import DepthActivation
from dvps_d2.losses import (
    DepthLoss,
    absolute_relative_loss,
    scale_invariant_log_loss,
    square_relative_loss,
)
from dvps_d2.losses.depth import (
    mean_over_frames,
    mean_square_relative_loss,
    square_over_depth_loss,
    unsquared_log_loss,
    valid_depth,
)

# Two pixels 10 % and 50 % too far, and one without ground truth.
DEPTH = torch.tensor([[11.0, 6.0, 70.0]])
TRUTH = torch.tensor([[10.0, 4.0, 0.0]])
VALID = TRUTH > 0


def test_absolute_relative_by_hand():
    assert absolute_relative_loss(DEPTH, TRUTH, VALID).item() == pytest.approx((0.1 + 0.5) / 2)


def test_square_relative_by_hand():
    expected = math.sqrt((0.1**2 + 0.5**2) / 2)
    assert square_relative_loss(DEPTH, TRUTH, VALID).item() == pytest.approx(expected, abs=1e-5)


def test_other_forms_of_the_square_by_hand():
    square = mean_square_relative_loss(DEPTH, TRUTH, VALID)
    assert square.item() == pytest.approx((0.1**2 + 0.5**2) / 2)
    over_depth = square_over_depth_loss(DEPTH, TRUTH, VALID)
    assert over_depth.item() == pytest.approx((1 / 10 + 4 / 4) / 2)


def test_unsquared_logarithm_by_hand():
    a, b = math.log(1.1), math.log(1.5)
    loss = unsquared_log_loss(DEPTH.log(), TRUTH, VALID, 0.5)
    assert loss.item() == pytest.approx((a * a + b * b) / 2 - 0.5 * (a + b) / 2, abs=1e-6)
    # Least at g = 1/2 for a focus of 1, where it is -1/4.
    least = unsquared_log_loss((TRUTH.clamp(min=1)).log() + 0.5, TRUTH, VALID)
    assert least.item() == pytest.approx(-0.25, abs=1e-6)


@pytest.mark.parametrize("focus", [0.0, 0.5, 0.85, 1.0])
def test_scale_invariant_by_hand(focus):
    a, b = math.log(1.1), math.log(1.5)
    expected = (a * a + b * b) / 2 - focus * ((a + b) / 2) ** 2
    loss = scale_invariant_log_loss(DEPTH.log(), TRUTH, VALID, focus)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_common_factor_is_free_at_full_focus():
    log_depth = (3 * TRUTH.clamp(min=1)).log()
    assert scale_invariant_log_loss(log_depth, TRUTH, VALID, 1.0).item() == pytest.approx(
        0, abs=1e-6
    )
    expected = 0.15 * math.log(3) ** 2
    loss = scale_invariant_log_loss(log_depth, TRUTH, VALID, 0.85)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_ground_truth_at_the_limit_and_missing_ones_are_not_valid():
    truth = torch.tensor([0.0, -1.0, 0.5, 79.9, 80.0, 100.0])
    assert valid_depth(truth, 80.0).tolist() == [False, False, True, True, False, False]


def test_frames_without_ground_truth_do_not_dilute_the_mean():
    valid = torch.tensor([[True, True], [False, False], [True, False]])
    assert mean_over_frames(torch.tensor([1.0, 99.0, 4.0]), valid).item() == 2.5
    assert mean_over_frames(torch.tensor([1.0, 99.0, 4.0]), valid & False).item() == 0


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_perfect_prediction_costs_nothing_and_has_a_finite_gradient(kind):
    activation = DepthActivation(kind, 1.0, 80.0)
    truth = torch.tensor([[[2.0, 9.0], [40.0, 0.0]]])
    logits = activation.logit(truth.clamp(min=1)).requires_grad_()
    loss = DepthLoss(activation)(logits, truth)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad.isfinite().all()


def test_terms_add_up_with_their_weights():
    activation = DepthActivation("linear", 0.0, 20.0)
    truth = torch.tensor([[[10.0]]])
    logits = activation.logit(torch.tensor([[[15.0]]]))  # 50 % too far

    def loss(si, absolute, square):
        terms = {"si_weight": si, "abs_weight": absolute, "sq_weight": square}
        return DepthLoss(activation, **terms, variance_focus=0.0)(logits, truth).item()

    assert loss(1, 0, 0) == pytest.approx(math.log(1.5) ** 2, abs=1e-5)
    assert loss(0, 1, 0) == pytest.approx(0.5, abs=1e-5)
    assert loss(0, 0, 1) == pytest.approx(0.5, abs=1e-5)
    assert loss(3, 2, 4) == pytest.approx(3 * math.log(1.5) ** 2 + 3, abs=1e-4)


def test_forms_are_chosen_by_name():
    activation = DepthActivation("linear", 0.0, 20.0)
    truth = torch.tensor([[[10.0, 10.0]]])
    logits = activation.logit(torch.tensor([[[15.0, 10.0]]]))  # 50 % too far, right

    def loss(**options):
        terms = {"si_weight": 0.0, "abs_weight": 0.0, "sq_weight": 0.0, **options}
        return DepthLoss(activation, **terms)(logits, truth).item()

    half, log = 0.5, math.log(1.5)
    assert loss(sq_weight=1.0) == pytest.approx(math.sqrt(half**2 / 2), abs=1e-5)
    assert loss(sq_weight=1.0, square_form="kitti") == pytest.approx(half**2 / 2, abs=1e-5)
    assert loss(sq_weight=1.0, square_form="eigen") == pytest.approx(25 / 10 / 2, abs=1e-4)
    assert loss(si_weight=1.0) == pytest.approx(log**2 / 2 - (log / 2) ** 2, abs=1e-5)
    assert loss(si_weight=1.0, log_form="polyphonic") == pytest.approx(
        log**2 / 2 - log / 2, abs=1e-5
    )


def test_ground_truth_beyond_the_limit_is_ignored_or_clipped():
    activation = DepthActivation("linear", 0.0, 80.0)
    truth = torch.tensor([[[60.0, 80.0, 100.0, 0.0]]])
    logits = activation.logit(torch.tensor([[[60.0, 40.0, 40.0, 40.0]]]))
    ignore = DepthLoss(activation, si_weight=0.0, sq_weight=0.0)
    assert ignore(logits, truth).item() == pytest.approx(0, abs=1e-5)
    clip = DepthLoss(activation, si_weight=0.0, sq_weight=0.0, beyond_max="clip")
    assert clip(logits, truth).item() == pytest.approx((0 + 0.5 + 0.5) / 3, abs=1e-5)
    target, valid = clip.ground_truth(truth)
    assert target.tolist() == [[[60.0, 80.0, 80.0, 0.0]]]
    assert valid.tolist() == [[[True, True, True, False]]]


@pytest.mark.parametrize(
    ("name", "value"),
    [("log_form", "silog"), ("square_form", "square"), ("beyond_max", "drop")],
)
def test_unknown_forms_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got '{value}'"):
        DepthLoss(**{name: value})


@pytest.mark.parametrize("kind", ["linear", "log"])
@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(torch.zeros(2, 2, 2), id="no measurement"),
        pytest.param(torch.full((2, 2, 2), 200.0), id="all beyond the limit"),
        pytest.param(torch.tensor([[[5.0, 0], [0, 0]], [[0, 0], [0, 0]]]), id="one pixel"),
    ],
)
@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_gradients_are_finite(kind, truth, value):
    logits = torch.full((2, 2, 2), value, requires_grad=True)
    loss = DepthLoss(DepthActivation(kind, 0.5, 80.0))(logits, truth)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert not logits.grad[1].any()
