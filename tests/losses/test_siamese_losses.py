import dataclasses
import math

import pytest
import torch

from dvps_d2.losses.consistency import occlusion_weights, tube_loss, warping_loss
from dvps_d2.losses.contrastive import (
    ProjectionHead,
    contrastive_loss,
    pool_masks,
    segment_graphs,
)
from dvps_d2.losses.siamese import _tube_loss
from dvps_d2.testing import draw_targets

ROAD, CAR = 0, 1


def test_contrast_of_two_segments_by_hand():
    """Right angles: the positive has similarity 1, both negatives 0, at temperature 0.5."""
    views = torch.eye(2)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert contrastive_loss(views, views).item() == pytest.approx(expected)
    swapped = -math.log(1 / (math.exp(2) + 2))  # the true partner is at a right angle
    assert contrastive_loss(views, views.flip(0)).item() == pytest.approx(swapped)


def test_contrast_as_printed_by_hand():
    """Only the other frame's other segment is a negative, and the positive has no share."""
    views = torch.eye(2)
    assert contrastive_loss(views, views, negatives="other").item() == pytest.approx(-2)
    swapped = contrastive_loss(views, views.flip(0), negatives="other")
    assert swapped.item() == pytest.approx(2)
    three = torch.eye(3)
    expected = -math.log(math.exp(2) / 2)
    assert contrastive_loss(three, three, negatives="other").item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="'both'"):
        contrastive_loss(views, views, negatives="both")


@pytest.mark.parametrize("count", [0, 1])
def test_without_negatives_there_is_no_contrast(count):
    views = torch.ones(count, 3, requires_grad=True)
    loss = contrastive_loss(views, views)
    loss.backward()
    assert loss.item() == 0


def test_pooling_averages_directions_by_covered_share():
    features = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])  # (C=2, 1, 2)
    masks = torch.tensor([[[1, 1, 0, 0]] * 2, [[1, 1, 1, 0]] * 2]).bool()
    pooled = pool_masks(features, masks)
    assert pooled[0].tolist() == [1, 0]
    assert pooled[1].tolist() == pytest.approx([2 / math.sqrt(5), 1 / math.sqrt(5)])


def test_pooling_can_leave_means_as_they_are():
    features = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    masks = torch.tensor([[[1, 1, 1, 0]] * 2, [[0, 0, 0, 0]] * 2]).bool()
    pooled = pool_masks(features, masks, normalize=False)
    assert pooled.tolist() == [pytest.approx([2 / 3, 1 / 3]), [0, 0]]


def test_graphs_hold_what_both_frames_show():
    targets = draw_targets(["aabr rrrr", "arrr crrr"], {"a": CAR, "b": CAR, "c": CAR, "r": ROAD})
    graphs = segment_graphs(targets, 0, 1, frozenset({CAR}))
    first, second = graphs["instance"]
    assert first.int().tolist() == [[[1, 1, 0, 0], [0, 0, 0, 0]]]
    assert second.int().tolist() == [[[1, 0, 0, 0], [0, 0, 0, 0]]]
    first, second = graphs["semantic"]  # road, cars
    assert first[1].int().tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]
    assert second[1].int().tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert len(first) == 2


def test_a_crowd_is_no_instance():
    targets = draw_targets(["aabr", "aabr"], {"a": CAR, "b": CAR, "r": ROAD})
    targets = dataclasses.replace(targets, track_ids=torch.tensor([1, 0, 0]))  # b, a car park
    graphs = segment_graphs(targets, 0, 1, frozenset({CAR}))
    assert graphs["instance"][0].int().tolist() == [[[1, 1, 0, 0]]]
    assert graphs["semantic"][0].int().tolist() == [[[0, 0, 0, 1]], [[1, 1, 1, 0]]]


def test_nothing_to_trace():
    graphs = segment_graphs(draw_targets(["rr", ".."], {"r": ROAD}), 0, 1, frozenset({CAR}))
    assert all(len(masks) == 0 for pair in graphs.values() for masks in pair)


def test_projections_have_length_one():
    torch.manual_seed(0)
    head = ProjectionHead(4, 8, 6)
    out = head([torch.randn(1, 4, 4, 8), torch.randn(1, 4, 2, 4)])
    assert out.shape == (1, 6, 4, 8)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(1, 4, 8))


def to_the_right(pixels, size=(2, 4)):
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = pixels
    return flow


def test_occlusion_by_hand():
    key = torch.zeros(1, 3, 2, 4)
    reference = torch.zeros(1, 3, 2, 4)
    reference[..., 2] = 0.02 / math.sqrt(3)  # a difference of 0.02 in one column
    weights = occlusion_weights(key, reference, to_the_right(1))
    assert weights[0, 0].tolist() == pytest.approx([1, math.exp(-1), 1, 0])


def test_warping_loss_by_hand():
    logits = torch.zeros(2, 2, 4)
    reference = torch.zeros(2, 2, 4)
    reference[:, :, 1] = torch.tensor([3.0, 4.0]).view(2, 1)  # a vector of length 5
    weights = torch.ones(2, 4)
    loss = warping_loss(logits, reference, to_the_right(1)[0], weights)
    assert loss.item() == pytest.approx(5 / 4, abs=1e-5)
    weights[:, 0] = 0  # seen from column 0, which is hidden now
    assert warping_loss(logits, reference, to_the_right(1)[0], weights).item() < 1e-5


def test_warping_loss_scales_the_flow_to_the_logits():
    logits, reference = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    reference[..., 2], logits[..., 1] = 1, 1
    assert warping_loss(logits, reference, to_the_right(4, (8, 16))[0], torch.ones(8, 16)) < 1e-5


def test_warping_loss_has_gradients_where_frames_agree():
    logits = torch.zeros(1, 2, 4, requires_grad=True)
    warping_loss(logits, torch.zeros(1, 2, 4), to_the_right(0)[0], torch.ones(2, 4)).backward()
    assert torch.isfinite(logits.grad).all()


def test_void_is_no_tube_however_many_channels_there_are():
    """Channel 255 belongs to a thing; in the labels the number stands for void."""
    logits = torch.zeros(257, 1, 2)
    logits[0, 0, 0] = 100.0  # sure of the one cell that is known
    labels = torch.tensor([[0, 255]])
    common = torch.tensor([0, 255])
    loss = _tube_loss(logits, logits, (common, common), labels, labels)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_tube_loss_by_hand():
    tubes = torch.tensor([[[[1, 0]], [[1, 1]]]]).bool()  # one segment, three cells in two frames
    assert tube_loss(tubes.float(), tubes).item() == pytest.approx(0)
    assert tube_loss(1 - tubes.float(), tubes).item() == pytest.approx(1)
    half = torch.full((1, 2, 1, 2), 0.5)
    assert tube_loss(half, tubes).item() == pytest.approx(1 - 3 / (1 + 3))
    assert tube_loss(half[:0], tubes[:0]).item() == 0
