"""Which depth query answers where, on frames that can be drawn."""

from dataclasses import replace

import pytest
import torch

from dvps_d2.depth import DepthActivation
from dvps_d2.losses import (
    DenseSampling,
    DepthLoss,
    DepthSupervision,
    FrameTargets,
    HungarianMatcher,
    LossWeights,
    SetCriterion,
)
from dvps_d2.losses.depth_matching import match_by_depth, segment_errors
from dvps_d2.structures import SegmenterOutput
from dvps_d2.testing import draw_queries, draw_targets

CLASSES = {"A": 0, "B": 1, "C": 2}
DRAWING = ["AABB AACC"]
ACTIVATION = DepthActivation("linear", 0.0, 80.0)
ABSOLUTE = DepthLoss(ACTIVATION, si_weight=0.0, sq_weight=0.0)


def logit(metres):
    return ACTIVATION.logit(torch.tensor(metres)).item()


def scene(slots, said, true=(20.0, 40.0, 60.0, 10.0)):
    """Queries in the slots, whose depths are ``said`` for A, B, C and elsewhere; ground truth."""
    letters = dict(zip("ABC.", true, strict=True))
    rows = DRAWING[0].split()
    depth = torch.tensor([[[letters[letter] for letter in row] for row in rows]])
    metres = dict(zip("ABC.", map(logit, said), strict=True))
    queries = draw_queries(DRAWING, CLASSES, num_classes=3, slots=slots, metres=metres)
    return queries, draw_targets(DRAWING, CLASSES, depth)


def depth_losses(queries, targets, loss=ABSOLUTE, weights=None, **choices):
    criterion = SetCriterion(
        3,
        HungarianMatcher(sampling=DenseSampling()),
        weights=weights or LossWeights(),
        depth_loss=loss,
        depth_supervision=DepthSupervision(**choices),
    )
    losses = criterion(SegmenterOutput(queries, auxiliary=(queries,)), [targets])
    return {name: value.item() for name, value in losses.items() if "depth" in name}


def test_without_a_global_query_only_matched_segments_teach():
    # A (4 cells) is 50 % too far, B (2 cells) right; C has no query, so its cells do not count.
    queries, targets = scene(["AB"], said=(30.0, 40.0, 60.0, 10.0))
    losses = depth_losses(replace(queries, global_depth=None), targets)
    assert losses["loss_depth"] == pytest.approx(4 * 0.5 / 6, abs=1e-4)
    # With it, C's two cells of 60 m count too: it says 10 m.
    expected = (4 * 0.5 + 2 * 50 / 60) / 8
    assert depth_losses(queries, targets)["loss_depth"] == pytest.approx(expected, abs=1e-4)


def test_without_a_global_query_and_without_segments_there_is_nothing_to_learn():
    queries, targets = scene(["AB"], said=(30.0, 40.0, 60.0, 10.0))
    nothing = draw_targets([".... ...."], {}, targets.depth)
    queries = replace(
        queries, global_depth=None, depth_embeds=queries.depth_embeds.requires_grad_()
    )
    frames = FrameTargets.from_clips([nothing])
    pairs = HungarianMatcher(sampling=DenseSampling())(queries, frames)
    loss = DepthSupervision().terms(queries, pairs, frames, ABSOLUTE)["depth"]
    loss.backward()
    assert loss.item() == 0
    assert queries.depth_embeds.grad.abs().sum() == 0  # all zeros, not None: every process has one


def test_the_dense_loss_needs_a_global_query():
    queries, targets = scene(["ABC"], said=(20.0, 40.0, 60.0, 10.0))
    with pytest.raises(ValueError, match="GLOBAL_QUERY"):
        depth_losses(
            replace(queries, global_depth=None), targets, weights=LossWeights(global_depth=1.0)
        )


def test_errors_of_queries_in_segments_by_hand():
    depth = torch.tensor([[[11.0, 15.0, 4.0, 8.0], [20.0, 20.0, 4.0, 4.0]]])
    target = torch.tensor([[10.0, 10.0, 4.0, 0.0]])
    owner = torch.tensor([[0, 0, 2, -1]])
    errors, pixels = segment_errors(depth, target, owner, 3)
    assert pixels.tolist() == [[2, 0, 1]]
    torch.testing.assert_close(errors, torch.tensor([[[0.3, 0.0, 0.0], [1.0, 0.0, 0.0]]]))


def test_own_matching_follows_depth_whatever_the_masks_say():
    # The query with B's mask says A's depth and the other way round. C has no ground truth.
    queries, targets = scene(["ABC"], said=(40.0, 20.0, 60.0, 10.0), true=(20.0, 40.0, 0.0, 10.0))
    frames = FrameTargets.from_clips([targets])
    ((query, row),) = match_by_depth(queries, frames, ABSOLUTE).lists()
    assert dict(zip(query.tolist(), row.tolist(), strict=True)) == {0: 1, 1: 0}
    # Shared indices: A's four cells say 40 m instead of 20, B's two 20 m instead of 40.
    shared = depth_losses(queries, targets)
    assert shared["loss_depth"] == pytest.approx((4 * 1.0 + 2 * 0.5) / 6, abs=1e-4)
    own = depth_losses(queries, targets, matching="own")
    assert own["loss_depth"] == pytest.approx(0, abs=1e-4)
    assert own["loss_depth_aux0"] == pytest.approx(0, abs=1e-4)


def test_own_matching_with_fewer_queries_than_segments_takes_the_cheapest():
    queries, targets = scene(["AB"], said=(20.0, 60.0, 60.0, 10.0))
    ((query, row),) = match_by_depth(queries, FrameTargets.from_clips([targets]), ABSOLUTE).lists()
    assert dict(zip(query.tolist(), row.tolist(), strict=True)) == {0: 0, 1: 2}


def test_own_matching_names_embeddings_that_are_not_finite():
    queries, targets = scene(["ABC"], said=(20.0, 40.0, 60.0, 10.0))
    queries.depth_embeds[0, 0, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="depth_embeds"):
        depth_losses(queries, targets, matching="own")


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="matching must be one of .* got 'depth'"):
        DepthSupervision(matching="depth")
