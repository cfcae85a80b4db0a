import math
from types import SimpleNamespace

import pytest
import torch

from dvps_d2.losses.box_criterion import BoxCriterion, BoxLossWeights
from dvps_d2.losses.panoptic_head import (
    cross_entropy,
    panoptic_labels,
    panoptic_loss,
    semantic_loss,
)
from dvps_d2.losses.tracking import track_labels, track_loss
from dvps_d2.structures import BoxTargets
from dvps_d2.testing import draw_targets

ROAD, CAR, SKY = 0, 1, 2
STUFF = (ROAD, SKY)


def frames(*drawings, **classes):
    clip = draw_targets(drawings, classes)
    return [BoxTargets.from_clip(clip, t, {CAR}) for t in range(len(drawings))]


def test_panoptic_labels_are_channels():
    (frame,) = frames("ssss aarb r.rb", s=SKY, r=ROAD, a=CAR, b=CAR)
    assert panoptic_labels(frame, STUFF, stride=1).tolist() == [
        [1, 1, 1, 1], [2, 2, 0, 3], [0, 255, 0, 3]
    ]  # fmt: skip
    assert panoptic_labels(frame, STUFF, stride=2).tolist() == [[1, 1], [0, 0]]


def test_void_costs_nothing_and_all_void_is_zero():
    logits = torch.zeros(1, 4, 1, 2)
    assert cross_entropy(logits, torch.tensor([[[0, 255]]])).item() == pytest.approx(math.log(4))
    assert cross_entropy(logits, torch.tensor([[[255, 255]]])).item() == 0


def test_semantic_loss_looks_at_every_pixel():
    logits = torch.tensor([[[[0.0]], [[2.0]]]])
    semantic = torch.tensor([[[1, 1], [0, 255]]])
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert semantic_loss(logits, semantic).item() == pytest.approx((2 * right + wrong) / 3)


def test_panoptic_loss_takes_frames_with_different_instances():
    logits = [torch.zeros(2, 1, 1), torch.zeros(4, 1, 1)]
    labels = [torch.tensor([[0]]), torch.tensor([[3]])]
    expected = (math.log(2) + math.log(4)) / 2
    assert panoptic_loss(logits, labels).item() == pytest.approx(expected)


def test_samples_find_their_object_in_the_reference_frame():
    key, reference = frames("abr", "crb", a=CAR, b=CAR, c=CAR, r=ROAD)
    assert track_labels(torch.tensor([0, 1, -1, 1]), key, reference).tolist() == [0, 1, -1, 1]


def test_nothing_to_find():
    empty, full = frames("rr", "ra", a=CAR, r=ROAD)
    assert track_labels(torch.tensor([-1, -1]), empty, full).tolist() == [-1, -1]
    assert track_labels(torch.tensor([0]), full, empty).tolist() == [0]


def test_track_loss_by_hand():
    """Logits (0, 2) with label 1, (0, 0) with label 0, and a background sample that only counts."""
    embeds, reference = torch.tensor([[2.0], [0.0], [9.0]]), torch.tensor([[1.0]])
    loss = track_loss([embeds], [reference], [torch.tensor([1, 0, -1])])
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 3)


def test_track_loss_of_nothing_keeps_the_graph():
    embeds = torch.zeros(2, 3, requires_grad=True)
    loss = track_loss([embeds], [torch.zeros(0, 3)], [torch.tensor([-1, -1])])
    loss.backward()
    assert loss.item() == 0
    assert embeds.grad is not None


def test_panoptic_logits_are_drawn_up_to_the_last_pixel():
    """A thing in the first of three cells of 4 x 4 pixels."""
    (frame,) = frames(" ".join(["aaaarrrrrrrr"] * 4), a=CAR, r=ROAD)
    assert frame.boxes.tolist() == [[0, 0, 4, 4]]
    step = SimpleNamespace(
        frames=SimpleNamespace(
            semantic_logits=torch.zeros(1, 3, 1, 3), mask_logits=[torch.ones(1, 2, 2)]
        )
    )
    (drawn,) = BoxCriterion(STUFF, BoxLossWeights())._panoptic_logits(step, [frame])
    assert drawn[2].tolist() == [[1, 0, 0]]


def test_semantic_loss_on_the_grid_looks_at_every_second_pixel():
    logits = torch.tensor([[[[0.0]], [[2.0]]]])
    semantic = torch.tensor([[[1, 0], [0, 0]]])
    expected = math.log(1 + math.exp(-2))
    assert semantic_loss(logits, semantic, "grid").item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="'half'"):
        semantic_loss(logits, semantic, "half")
