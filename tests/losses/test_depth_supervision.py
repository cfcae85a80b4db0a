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


def test_the_last_layer_alone():
    queries, targets = scene(["ABC"], said=(30.0, 40.0, 60.0, 10.0))
    every = depth_losses(queries, targets)
    last = depth_losses(queries, targets, every_layer=False)
    assert set(every) == {"loss_depth", "loss_depth_aux0"}
    assert last == {"loss_depth": every["loss_depth"]}


def test_full_resolution_sees_what_the_mask_grid_misses():
    # Frames of 4 x 8 pixels over a mask grid of 2 x 4. Everything is 20 m, but for pixel column 3,
    # which is 40 m.
    queries = draw_queries(
        ["AABB AABB"], {"A": 0, "B": 1}, num_classes=3,
        metres=dict.fromkeys("AB.", logit(20.0)),
    )  # fmt: skip
    depth = torch.full((1, 4, 8), 20.0)
    depth[0, :, 3] = 40.0
    targets = draw_targets(["AAAABBBB " * 3 + "AAAABBBB"], {"A": 0, "B": 1}, depth)
    # The grid samples columns 1, 3, 5 and 7, the full frame all eight.
    assert depth_losses(queries, targets)["loss_depth"] == pytest.approx(0.5 / 4, abs=1e-4)
    full = depth_losses(queries, targets, resolution="full")
    assert full["loss_depth"] == pytest.approx(0.5 / 8, abs=1e-4)


def test_full_resolution_upsamples_logits_bilinearly():
    # One segment over cells whose feature is 0 and 1 and whose depth embedding is a: logits 0 and
    # a, upsampled by two 0, a/4, 3a/4, a.
    queries = draw_queries(["A."], {"A": 0}, num_classes=3, metres={"A": 0.0, ".": 0.0})
    features = torch.tensor([[[[[0.0, 1.0]], [[0.0, 0.0]]]]])  # (1, 1, 2 channels, 1, 2)
    embeds = torch.tensor([[[[2.0, 0.0]]]])
    queries = replace(
        queries, mask_features=features, mask_embeds=torch.zeros(1, 1, 1, 2), depth_embeds=embeds,
        global_depth=torch.zeros(1, 1, 2),
    )  # fmt: skip
    targets = draw_targets(["AAAA AAAA"], {"A": 0}, torch.full((1, 2, 4), 20.0))
    expected = (ACTIVATION(torch.tensor([0.0, 0.5, 1.5, 2.0])) - 20).abs().mean() / 20
    full = depth_losses(queries, targets, resolution="full")
    assert full["loss_depth"] == pytest.approx(expected.item(), abs=1e-5)


def test_depth_features_of_its_own():
    # Twice the mask features in the channel that says metres: twice the logit everywhere.
    queries, targets = scene(["ABC"], said=(20.0, 40.0, 60.0, 10.0))
    doubled = replace(queries, depth_features=2 * queries.mask_features)
    said = ACTIVATION(2 * torch.tensor([logit(m) for m in (20.0, 40.0, 60.0)]))
    true = torch.tensor([20.0, 40.0, 60.0])
    errors = (said - true).abs() / true
    expected = (4 * errors[0] + 2 * errors[1] + 2 * errors[2]) / 8
    assert depth_losses(doubled, targets)["loss_depth"] == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize(("name", "value"), [("matching", "depth"), ("resolution", "half")])
def test_unknown_choices_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one of .* got '{value}'"):
        DepthSupervision(**{name: value})
