"""Mask losses: published numbers, values worked out by hand, safe gradients."""

import json
import math
from pathlib import Path

import pytest
import torch

from dvps_d2.losses import dice_loss, pairwise_dice, pairwise_sigmoid_bce, sigmoid_bce_loss
from dvps_d2.losses.mask import softplus

RECORD = json.loads((Path(__file__).parents[1] / "data" / "mask_losses.json").read_text())


def wave(shape, phase, scale=1.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.37 * k**1.1 + phase)).reshape(shape)


LOGITS = wave((3, 50), 0, 3.0)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        pytest.param(dice_loss, "dice_loss", id="dice"),
        pytest.param(sigmoid_bce_loss, "sigmoid_ce_loss", id="binary cross entropy"),
    ],
)
def test_losses_match_the_published_code(loss, name):
    targets = (wave((3, 50), 2) > 0).double()
    assert loss(LOGITS, targets, num_masks=2).item() == pytest.approx(RECORD[name], rel=1e-12)


@pytest.mark.parametrize(
    ("cost", "name"),
    [
        pytest.param(pairwise_dice, "pairwise_dice", id="dice"),
        pytest.param(pairwise_sigmoid_bce, "pairwise_ce", id="binary cross entropy"),
    ],
)
def test_costs_match_the_published_code(cost, name):
    targets = (wave((2, 50), 4) > 0.2).double()
    expected = torch.tensor(RECORD[name], dtype=torch.float64)
    torch.testing.assert_close(cost(LOGITS, targets), expected, rtol=1e-12, atol=0)


def test_binary_cross_entropy_by_hand():
    # Zero logits say 0.5 everywhere: log 2 per point, whatever the target.
    logits = torch.zeros(2, 4)
    targets = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    assert sigmoid_bce_loss(logits, targets, 1).item() == pytest.approx(2 * math.log(2))
    assert sigmoid_bce_loss(logits, targets, 4).item() == pytest.approx(math.log(2) / 2)


def test_dice_by_hand():
    # Probabilities 0.5 on 4 points, 2 of them inside: 1 - (2 * 1 + 1) / (2 + 2 + 1).
    targets = torch.tensor([[1.0, 1, 0, 0]])
    assert dice_loss(torch.zeros(1, 4), targets, 1).item() == pytest.approx(0.4)


def test_pairwise_costs_are_the_losses_of_every_pair():
    targets = (wave((2, 50), 4) > 0.2).double()
    for pairwise, loss in ((pairwise_dice, dice_loss), (pairwise_sigmoid_bce, sigmoid_bce_loss)):
        table = pairwise(LOGITS, targets)
        for q in range(3):
            for n in range(2):
                alone = loss(LOGITS[q : q + 1], targets[n : n + 1], 1)
                torch.testing.assert_close(table[q, n], alone)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_sure_and_right_mask_costs_nothing(target):
    logits = torch.full((1, 8), 30.0 if target else -30.0)
    targets = torch.full((1, 8), target)
    assert sigmoid_bce_loss(logits, targets, 1).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(logits, targets, 1).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [dice_loss, sigmoid_bce_loss])
def test_no_masks_cost_zero_and_stay_in_the_graph(loss):
    logits = torch.zeros(0, 4, requires_grad=True)
    value = loss(logits, torch.zeros(0, 4), num_masks=torch.tensor(1.0))
    value.backward()
    assert value.item() == 0
    assert logits.grad.shape == (0, 4)


def test_softplus_is_exact_for_large_and_small_values():
    x = torch.tensor([-200.0, -20.0, 0.0, 20.0, 200.0], dtype=torch.float64)
    expected = torch.tensor([0.0, math.log1p(math.exp(-20)), math.log(2), 20 + math.exp(-20), 200])
    torch.testing.assert_close(softplus(x), expected.double(), rtol=1e-6, atol=1e-12)


def test_softplus_gradient():
    x = torch.tensor([-3.0, 0.0, 0.5, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(softplus, x)
    extreme = torch.tensor([-1e4, 1e4], requires_grad=True)
    softplus(extreme).sum().backward()
    assert extreme.grad.tolist() == [0.0, 1.0]
