import pytest
import torch

from dvps_d2.layers import DeformableEncoder, MSDeformAttn
from dvps_d2.layers.deformable import cell_centres


def with_identity_projections(attention):
    with torch.no_grad():
        attention.value_proj.weight.copy_(torch.eye(len(attention.value_proj.weight)))
        attention.output_proj.weight.copy_(torch.eye(len(attention.output_proj.weight)))
    return attention


def test_two_heads_start_by_looking_one_cell_right_and_left():
    attention = with_identity_projections(MSDeformAttn(2, 2, num_levels=1, num_points=1))
    row = torch.tensor([1.0, 2.0, 4.0])
    value = torch.stack((row, row), dim=-1)[None]  # (1, 3, 2), one channel per head
    centres = cell_centres([(1, 3)], value)
    out = attention(torch.randn(1, 3, 2), centres, value, [(1, 3)])
    # Outside the row there are zeros.
    expected = torch.tensor([[2.0, 0.0], [4.0, 1.0], [0.0, 2.0]])
    torch.testing.assert_close(out[0], expected, rtol=0, atol=1e-5)


def test_later_points_start_farther_away():
    attention = with_identity_projections(MSDeformAttn(1, 1, num_levels=1, num_points=2))
    value = torch.tensor([1.0, 2.0, 4.0, 8.0])[None, :, None]
    out = attention(torch.randn(1, 4, 1), cell_centres([(1, 4)], value), value, [(1, 4)])
    # Mean of the cells one and two to the right.
    torch.testing.assert_close(out[0, :, 0], torch.tensor([3.0, 6.0, 4.0, 0.0]))


def test_offset_noise_moves_the_first_points_a_little():
    torch.manual_seed(0)
    exact = MSDeformAttn(8, 2, 3, 4).sampling_offsets.bias
    noisy = MSDeformAttn(8, 2, 3, 4, offset_noise=0.02).sampling_offsets.bias
    difference = (noisy - exact).detach()
    assert 0.01 < difference.std() < 0.03
    torch.testing.assert_close(exact, exact.round(), rtol=0, atol=1e-6)


def test_cell_centres_are_fractions_of_the_frame_as_x_y():
    centres = cell_centres([(1, 2), (2, 1)], torch.zeros(0))
    assert centres.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def test_encoder_keeps_shapes_and_carries_information_between_levels():
    torch.manual_seed(0)
    encoder = DeformableEncoder(8, 1, 2, 16, num_levels=2).double()
    levels = [torch.randn(2, 8, 2, 3).double(), torch.randn(2, 8, 4, 6).double()]
    before = encoder(levels)
    assert [tuple(level.shape) for level in before] == [(2, 8, 2, 3), (2, 8, 4, 6)]
    levels[1] = levels[1] + 1.0
    after = encoder(levels)
    assert not torch.allclose(after[0], before[0])


def test_encoder_refuses_another_number_of_levels():
    encoder = DeformableEncoder(8, 1, 2, 16, num_levels=2)
    with pytest.raises(ValueError, match="levels must be 2 feature maps, got 1"):
        encoder([torch.randn(1, 8, 2, 2)])
