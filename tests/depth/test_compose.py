"""Composition of the depth map (MinDVPS, equation 4) on maps that can be drawn."""

import pytest
import torch

from dvps_d2.depth import compose, compose_by_owner, owner_of

# Two segments in a 2 x 4 frame, and a column that belongs to neither.
MASKS = torch.tensor([[[1, 1, 0, 0], [1, 1, 0, 0]], [[0, 0, 1, 0], [0, 0, 1, 0]]]).bool()
EVERYWHERE = torch.full((2, 4), 9.0)
SEGMENTS = torch.stack([torch.full((2, 4), 1.0), torch.full((2, 4), 5.0)])


def test_segment_depth_inside_and_global_depth_elsewhere():
    expected = torch.tensor([[1.0, 1, 5, 9], [1, 1, 5, 9]])
    assert torch.equal(compose(EVERYWHERE, SEGMENTS, MASKS), expected)


def test_without_segments_the_global_map_remains():
    assert torch.equal(compose(EVERYWHERE, SEGMENTS[:0], MASKS[:0]), EVERYWHERE)


def test_leading_axes():
    twice = compose(
        EVERYWHERE.expand(3, 2, 4), SEGMENTS.expand(3, 2, 2, 4), MASKS.expand(3, 2, 2, 4)
    )
    assert torch.equal(twice[2], compose(EVERYWHERE, SEGMENTS, MASKS))


def test_first_mask_owns_an_overlap():
    masks = torch.ones(2, 1, 2, dtype=torch.bool)
    masks[0, 0, 0] = False
    assert owner_of(masks).tolist() == [[1, 0]]
    assert compose(EVERYWHERE[:1, :2], SEGMENTS[:, :1, :2], masks).tolist() == [[5.0, 1.0]]


def test_gradient_reaches_the_chosen_value_only():
    everywhere, segments = EVERYWHERE.clone().requires_grad_(), SEGMENTS.clone().requires_grad_()
    compose(everywhere, segments, MASKS).sum().backward()
    assert torch.equal(segments.grad, MASKS.float())
    assert torch.equal(everywhere.grad, (~MASKS.any(0)).float())


def test_not_a_number_in_a_map_that_is_not_used_does_no_harm():
    segments = SEGMENTS.clone()
    segments[~MASKS] = torch.nan
    assert compose(EVERYWHERE, segments, MASKS).isfinite().all()


def test_by_owner():
    owner = torch.tensor([[-1, 0, 1, 1]])
    composed = compose_by_owner(EVERYWHERE[:1], SEGMENTS[:, :1], owner)
    assert composed.tolist() == [[9.0, 1.0, 5.0, 5.0]]


def test_shapes_must_fit():
    with pytest.raises(
        ValueError, match=r"segment_depths must be .* = \(2, 2, 4\).*got \(2, 2, 3\)"
    ):
        compose(EVERYWHERE, SEGMENTS[..., :3], MASKS[..., :3])
    with pytest.raises(ValueError, match="masks must be"):
        compose(EVERYWHERE, SEGMENTS, MASKS[:1])
