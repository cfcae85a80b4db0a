"""Point sampling: bilinear values that can be counted, and where uncertain points go."""

import pytest
import torch
import torch.nn.functional as F

from dvps_d2.losses.points import (
    sample_chosen_masks,
    sample_maps,
    sample_masks,
    uncertain_points,
    uniform_points,
)

# A 2 x 4 mask whose right half is set.
RIGHT = torch.tensor([[[False, False, True, True], [False, False, True, True]]])


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        pytest.param((0.625, 0.25), 1.0, id="centre of a set pixel"),
        pytest.param((0.375, 0.25), 0.0, id="centre of an empty pixel"),
        pytest.param((0.5, 0.5), 0.5, id="on the edge between them"),
        pytest.param((0.4375, 0.25), 0.25, id="a quarter of the way"),
        pytest.param((1.0, 0.5), 0.5, id="on the frame's edge, half of it outside"),
        pytest.param((1.0, 1.0), 0.25, id="in the frame's corner"),
    ],
)
def test_bilinear_value_of_a_mask(point, expected):
    points = torch.tensor([[point]])
    zero = torch.tensor([0])
    assert sample_masks(RIGHT[None], points).item() == pytest.approx(expected)
    assert sample_chosen_masks(RIGHT[None], zero, zero, points).item() == pytest.approx(expected)
    assert sample_maps(RIGHT[:, None].float(), points).item() == pytest.approx(expected)


def test_masks_are_sampled_as_float_maps_are():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(2, 3, 5, 7, generator=generator) > 0.5
    points = torch.rand(2, 50, 2, generator=generator) * 1.2 - 0.1  # some outside the frame
    expected = F.grid_sample(masks.float(), (2 * points - 1)[:, None], align_corners=False)[:, :, 0]
    torch.testing.assert_close(sample_masks(masks, points), expected)
    frame, row = torch.tensor([1, 0, 1]), torch.tensor([2, 1, 0])
    chosen = sample_chosen_masks(masks, frame, row, points[frame])
    torch.testing.assert_close(chosen, expected[frame, row])


def test_sampling_features_then_dot_product_equals_the_reverse():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 6, 4, 5, generator=generator, dtype=torch.float64)
    embeds = torch.randn(1, 3, 6, generator=generator, dtype=torch.float64)
    points = torch.rand(1, 20, 2, generator=generator, dtype=torch.float64)
    logits = (embeds @ features.flatten(2)).view(1, 3, 4, 5)
    torch.testing.assert_close(embeds @ sample_maps(features, points), sample_maps(logits, points))


def test_uncertain_points_gather_where_the_mask_is_unsure():
    # Sure on both sides, unsure in a band around the middle of the frame.
    logits = torch.linspace(-10, 10, 64).expand(1, 64, 64)
    points = uncertain_points(logits, 100, generator=torch.Generator().manual_seed(0))
    assert points.shape == (1, 100, 2)
    assert ((points >= 0) & (points <= 1)).all()
    from_middle = (points[0, :, 0] - 0.5).abs()
    # 75 of the 300 candidates: those in the quarter of the frame next to the middle.
    assert from_middle[:75].max() < 0.2
    assert from_middle[75:].max() > 0.25


def test_points_follow_the_generator():
    draw = [uniform_points(1, 3, torch.device("cpu"), torch.Generator().manual_seed(5))] * 2
    assert torch.equal(*draw)


def test_no_masks_no_points():
    assert uncertain_points(torch.zeros(0, 4, 4), 8).shape == (0, 8, 2)
    none = torch.zeros(0, dtype=torch.int64)
    assert sample_chosen_masks(RIGHT[None], none, none, torch.zeros(0, 8, 2)).shape == (0, 8)
    assert sample_masks(RIGHT[None, :0], torch.zeros(1, 8, 2)).shape == (1, 0, 8)
