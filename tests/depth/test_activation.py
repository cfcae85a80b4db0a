"""Depth activations: ranges, middles, inverse, extreme logits."""

import math

import pytest
import torch

from dvps_d2.depth import DepthActivation

LINEAR = DepthActivation("linear", 2.0, 10.0)
LOG = DepthActivation("log", 1.0, 100.0)
FROM_ZERO = DepthActivation("linear", 0.0, 80.0)


@pytest.mark.parametrize(
    ("activation", "low", "middle", "high"),
    [
        pytest.param(LINEAR, 2.0, 6.0, 10.0, id="linear: arithmetic middle"),
        pytest.param(LOG, 1.0, 10.0, 100.0, id="log: geometric middle"),
        pytest.param(FROM_ZERO, 0.0, 40.0, 80.0, id="linear from 0"),
    ],
)
def test_range_and_middle(activation, low, middle, high):
    metres = activation(torch.tensor([-1e4, 0.0, 1e4]))
    torch.testing.assert_close(metres, torch.tensor([low, middle, high]))


@pytest.mark.parametrize("activation", [LINEAR, LOG, FROM_ZERO], ids=lambda a: a.kind)
def test_inverse(activation):
    logits = torch.linspace(-8, 8, 33, dtype=torch.float64)
    torch.testing.assert_close(activation.logit(activation(logits)), logits)


@pytest.mark.parametrize("activation", [LINEAR, LOG, FROM_ZERO], ids=lambda a: a.kind)
def test_metres_outside_the_range_have_finite_logits(activation):
    logits = activation.logit(torch.tensor([0.0, 1e6]))
    assert logits.isfinite().all()
    assert logits[0] < -10 < 10 < logits[1]


@pytest.mark.parametrize("activation", [LINEAR, LOG, FROM_ZERO], ids=lambda a: a.kind)
def test_logarithm_of_metres(activation):
    logits = torch.linspace(-5, 5, 11, dtype=torch.float64)
    torch.testing.assert_close(activation.log_metres(logits), activation(logits).log())


@pytest.mark.parametrize("activation", [LINEAR, LOG, FROM_ZERO], ids=lambda a: a.kind)
def test_logarithm_and_gradient_are_finite_for_extreme_logits(activation):
    logits = torch.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
    value = activation.log_metres(logits)
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()


def test_half_precision_becomes_float32():
    assert LOG(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert LINEAR.log_metres(torch.zeros(1, dtype=torch.float16)).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubic", 1.0, 2.0), "kind must be one of .*'cubic'"),
        (("linear", 5.0, 5.0), "min_depth < max_depth, got 5.0 and 5.0"),
        (("linear", 1.0, math.inf), "max_depth"),
        (("log", 0.0, 80.0), "no logarithm"),
    ],
)
def test_refuses_impossible_ranges(arguments, message):
    with pytest.raises(ValueError, match=message):
        DepthActivation(*arguments)
