"""The two ways to look at masks agree where they must."""

import torch

from dvps_d2.losses import DenseSampling, FrameTargets, PointSampling, pairwise_dice
from dvps_d2.testing import draw_queries, draw_targets

ROAD, CAR = 0, 1
CLASSES = {"R": ROAD, "C": CAR}
DRAWING = ["RRCC RRCC"]


def test_dense_values_on_a_drawn_frame():
    # Logits are +10 inside a letter and -10 outside; the grid is the drawing itself.
    targets = FrameTargets.from_clips([draw_targets(DRAWING, CLASSES)])
    queries = draw_queries(DRAWING, CLASSES, num_classes=2)
    logits, masks = DenseSampling().for_matching(queries, targets)
    car = [-10.0, -10, 10, 10, -10, -10, 10, 10]
    assert logits[0].tolist() == [car, [-x for x in car]]
    assert masks[0].tolist() == [[0, 0, 1, 1] * 2, [1, 1, 0, 0] * 2]
    frame, row = torch.tensor([0]), torch.tensor([1])
    loss_logits, loss_masks = DenseSampling().for_loss(
        logits[0, 1:].view(1, 2, 4), targets, frame, row
    )
    assert torch.equal(loss_logits, logits[0, 1:])
    assert torch.equal(loss_masks, masks[0, 1:])


def test_dense_targets_are_shares_of_cells():
    # The frame has twice the resolution of the mask grid.
    targets = FrameTargets.from_clips([draw_targets(["RRRC RRRR"], CLASSES)])
    queries = draw_queries(["RC"], CLASSES, num_classes=2)
    _, masks = DenseSampling().for_matching(queries, targets)
    assert masks[0].tolist() == [[0.0, 0.25], [1.0, 0.75]]


def test_points_see_what_the_whole_grid_shows():
    drawing = [" ".join(["RRRRCCCC"] * 4)]
    targets = FrameTargets.from_clips([draw_targets(drawing, CLASSES)])
    queries = draw_queries(drawing, CLASSES, num_classes=2)
    points = PointSampling(4096, generator=torch.Generator().manual_seed(0))
    dense = pairwise_dice(*DenseSampling().for_matching(queries, targets))
    sampled = pairwise_dice(*points.for_matching(queries, targets))
    # Bilinear values blur the edge between the two, dense cells do not.
    torch.testing.assert_close(sampled, dense, atol=0.1, rtol=0)
    assert sampled[0].argmin(0).tolist() == [0, 1]


def test_loss_points_are_repeatable_by_generator():
    targets = FrameTargets.from_clips([draw_targets(DRAWING, CLASSES)])
    logits = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(1))
    frame, row = torch.tensor([0, 0]), torch.tensor([0, 1])

    def draw():
        sampling = PointSampling(16, generator=torch.Generator().manual_seed(3))
        return sampling.for_loss(logits, targets, frame, row)

    for first, second in zip(draw(), draw(), strict=True):
        assert first.shape == (2, 16)
        assert torch.equal(first, second)
