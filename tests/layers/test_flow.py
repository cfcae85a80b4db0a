import pytest
import torch

from dvps_d2.layers.flow import local_correlation, resize_flow, warp


def row(*values):
    return torch.tensor([[[list(map(float, values))] * 2]])  # (1, 1, 2, W)


def test_warping_reads_the_reference_where_the_flow_points():
    flow = torch.zeros(1, 2, 2, 4)
    flow[:, 0] = 1
    assert warp(row(1, 2, 3, 4), flow)[0, 0, 0].tolist() == [2, 3, 4, 0]
    flow[:, 0] = 0.5
    assert warp(row(1, 2, 3, 4), flow)[0, 0, 0, :3].tolist() == [1.5, 2.5, 3.5]


def test_rows_move_with_the_second_component():
    values = torch.tensor([[[[1.0, 1.0], [5.0, 5.0]]]])
    flow = torch.zeros(1, 2, 2, 2)
    flow[:, 1] = 1
    assert warp(values, flow)[0, 0].tolist() == [[5, 5], [0, 0]]


def test_the_published_warp_shrinks_by_half_a_pixel():
    flow = torch.zeros(1, 2, 2, 4)
    still, shrunk = (warp(row(1, 2, 3, 4), flow, legacy=legacy) for legacy in (False, True))
    torch.testing.assert_close(still, row(1, 2, 3, 4))
    assert shrunk[0, 0, 0, 0] == pytest.approx(0.25)  # a quarter of the corner is inside


def test_flow_scales_with_the_grid():
    flow = torch.tensor([8.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 8, 16)
    small = resize_flow(flow, (2, 8))
    assert small.shape == (1, 2, 2, 8)
    assert small[0, :, 0, 0].tolist() == [4, 1]


def test_correlation_peaks_at_the_displacement():
    key = torch.zeros(1, 2, 5, 5)
    key[0, :, 2, 2] = 2
    reference = torch.roll(key, (1, -1), dims=(2, 3))  # one down, one to the left
    similar = local_correlation(key, reference, 1)[0, :, 2, 2]
    assert similar.tolist() == [0, 0, 0, 0, 0, 0, 4, 0, 0]  # (dy, dx) = (1, -1)


def test_a_flow_of_another_grid_is_refused():
    with pytest.raises(ValueError, match="use resize_flow first"):
        warp(row(1, 2, 3, 4), torch.zeros(1, 2, 4, 4))
