"""Matching: who answers for whom, whatever the order, the number and the size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dvps_d2.losses import DenseSampling, FrameTargets, HungarianMatcher, Pairs, PointSampling
from dvps_d2.structures import ClipTargets
from dvps_d2.testing import draw_queries, draw_targets

ROAD, CAR, TREE = 0, 1, 2
CLASSES = {"A": ROAD, "B": CAR, "C": TREE}
DRAWING = ["AABB AABC"]


def match(queries, targets, **options):
    options = {"sampling": DenseSampling()} | options
    return HungarianMatcher(**options)(queries, FrameTargets.from_clips(targets))


def partners(pairs):
    """Per frame {query: row}."""
    return [dict(zip(q.tolist(), n.tolist(), strict=True)) for q, n in pairs.lists()]


@pytest.mark.parametrize("sampling", [DenseSampling(), PointSampling(256)], ids=["dense", "points"])
@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        pytest.param("ABC", {0: 0, 1: 1, 2: 2}, id="same order"),
        pytest.param("CAB", {0: 2, 1: 0, 2: 1}, id="other order"),
        pytest.param("BCABA", {0: 1, 1: 2, 2: 0}, id="more queries than segments"),
    ],
)
def test_every_segment_finds_its_query(sampling, slots, expected):
    queries = draw_queries(DRAWING, CLASSES, num_classes=3, slots=[slots])
    found = partners(match(queries, [draw_targets(DRAWING, CLASSES)], sampling=sampling))[0]
    assert {slots[q]: n for q, n in found.items()} == {slots[q]: n for q, n in expected.items()}
    assert len(found) == 3


def test_cost_of_a_pair_by_hand():
    # One query, one segment, all logits zero: p = 1/4, BCE = log 2, dice = 1 - 5 / (2 + 4 + 1).
    targets = FrameTargets.from_clips([draw_targets(["AA AA"], {"A": ROAD})])
    queries = draw_queries(["AA AA"], {"A": ROAD}, num_classes=3, sureness=0.0)
    cost = HungarianMatcher(2, 5, 5, sampling=DenseSampling()).cost(queries, targets)
    expected = -2 / 4 + 5 * np.log(2) + 5 * (1 - 5 / 7)
    assert cost.shape == (1, 1, 1)
    assert cost.item() == pytest.approx(expected)


def test_more_segments_than_queries():
    queries = draw_queries(DRAWING, CLASSES, num_classes=3, slots=["CA"])
    pairs = match(queries, [draw_targets(DRAWING, CLASSES)])
    assert partners(pairs) == [{0: 2, 1: 0}]
    assert not pairs.dropped.any()
    # Segment 1 has no query, and void (-1) has none either.
    rows = torch.tensor([[0, 1, 2, -1]])
    assert pairs.slot_of(rows, 3).tolist() == [[1, -1, 0, -1]]


def test_frames_without_segments_in_a_batch():
    queries = draw_queries(["AA", "AA"], CLASSES, num_classes=3)
    two_clips = replace(
        queries, **{k: v.transpose(0, 1) for k, v in vars(queries).items() if v is not None}
    )
    empty = draw_targets([".."], {})
    pairs = match(two_clips, [draw_targets(["AA"], {"A": ROAD}), empty])
    assert partners(pairs) == [{0: 0}, {}]
    nothing = match(two_clips, [empty, empty])
    assert partners(nothing) == [{}, {}]
    assert nothing.query.shape == (2, 0)


def test_segments_that_vanish_at_the_mask_grid_are_dropped_and_told():
    # C covers one pixel of 8, a quarter of a cell on the queries' 1 x 2 grid.
    targets = [draw_targets(DRAWING, CLASSES)]
    queries = draw_queries(["AB"], CLASSES, num_classes=3, slots=["ABA"])
    pairs = match(queries, targets)
    assert partners(pairs) == [{0: 0, 1: 1}]
    assert pairs.dropped.tolist() == [[False, False, True]]
    assert len(partners(match(queries, targets, min_cells=0.2))[0]) == 3


def test_permuted_targets_permute_the_matching():
    generator = torch.Generator().manual_seed(0)
    targets = draw_targets(DRAWING, CLASSES)
    queries = draw_queries(DRAWING, CLASSES, num_classes=3, slots=["CABAB"])
    noisy = replace(
        queries, mask_embeds=queries.mask_embeds + torch.randn(1, 1, 5, 4, generator=generator)
    )
    order = torch.tensor([2, 0, 1])
    permuted = ClipTargets(targets.class_ids[order], targets.track_ids[order], targets.masks[order])
    before = partners(match(noisy, [targets]))[0]
    after = partners(match(noisy, [permuted]))[0]
    assert {q: order[n].item() for q, n in after.items()} == before
    slots = torch.tensor([[[4, 2, 0, 3, 1]]])
    moved = partners(match(noisy.permute(slots), [targets]))[0]
    assert {slots[0, 0, q].item(): n for q, n in moved.items()} == before


def test_layers_are_matched_one_by_one():
    targets = FrameTargets.from_clips([draw_targets(DRAWING, CLASSES)])
    layers = [draw_queries(DRAWING, CLASSES, num_classes=3, slots=[s]) for s in ("ABC", "BCA")]
    matched = HungarianMatcher(sampling=DenseSampling()).match_layers(layers, targets)
    assert [partners(pairs)[0] for pairs in matched] == [{0: 0, 1: 1, 2: 2}, {0: 1, 1: 2, 2: 0}]


@pytest.mark.parametrize("field", ["class_logits", "mask_embeds", "mask_features"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_a_number_is_named(field, value):
    queries = draw_queries(DRAWING, CLASSES, num_classes=3)
    broken = getattr(queries, field).clone()
    broken[0, 0, 0] = value
    with pytest.raises(FloatingPointError, match=f"sample 0 .* because of {field};"):
        match(replace(queries, **{field: broken}), [draw_targets(DRAWING, CLASSES)])


def test_one_query_per_segment_from_its_first_appearance():
    # B appears in frame 1 only. In frame 0 its query (slot 1) looks like A, which must not count.
    frames = ["AA..", "AABB"]
    targets = [draw_targets(frames, {"A": ROAD, "B": CAR})]
    queries = draw_queries(
        frames,
        [{"A": ROAD}, {"A": ROAD, "B": CAR}],
        num_classes=3,
        slots=["AA", "BA"],
    )
    pairs = match(queries, targets, scope="first_appearance")
    # By frame 0, A may take either slot; B's cost in frame 1 settles it.
    assert partners(pairs) == [{0: 1, 1: 0}, {0: 1, 1: 0}]


def test_published_matching_may_give_one_query_two_segments():
    # Slot 0 draws A and then B, slot 1 the other way round: it suits neither when it appears.
    frames = ["AA..", "AABB"]
    targets = [draw_targets(frames, {"A": ROAD, "B": CAR})]
    queries = draw_queries(frames, {"A": ROAD, "B": CAR}, num_classes=3, slots=["AB", "BA"])
    (reused, _) = match(queries, targets, scope="first_appearance_reused").lists()
    assert [x.tolist() for x in reused] == [[0, 0], [0, 1]]
    (corrected, _) = match(queries, targets, scope="first_appearance").lists()
    assert [sorted(x.tolist()) for x in corrected] == [[0, 1], [0, 1]]


def test_published_video_panoptic_data_matches_everything_in_the_first_frame():
    # B appears in frame 1, in slot 1; in frame 0 slot 2 is the one that draws nothing, as B does.
    frames = ["AA..", "AABB"]
    targets = FrameTargets.from_clips(
        [draw_targets(frames, {"A": ROAD, "B": CAR})], keep_absent=True
    )
    queries = draw_queries(
        frames,
        [{"A": ROAD}, {"A": ROAD, "B": CAR}],
        num_classes=3,
        slots=["AAB", "ABA"],
    )
    found = {
        scope: partners(HungarianMatcher(sampling=DenseSampling(), scope=scope)(queries, targets))
        for scope in ("first_frame", "first_appearance")
    }
    assert found["first_appearance"] == [{0: 0, 1: 1}] * 2
    assert {row: query for query, row in found["first_frame"][0].items()}[1] == 2


def test_one_query_per_tube():
    # Slot 0 is right in two of three frames, slot 1 in one.
    frames = ["AABB"] * 3
    targets = [draw_targets(frames, {"A": ROAD, "B": CAR})]
    slots = ["AB", "AB", "BA"]
    queries = draw_queries(frames, {"A": ROAD, "B": CAR}, num_classes=3, slots=slots)
    assert partners(match(queries, targets, scope="clip")) == [{0: 0, 1: 1}] * 3
    assert partners(match(queries, targets))[2] == {0: 1, 1: 0}


def test_tube_costs_equal_those_of_one_wide_frame():
    generator = torch.Generator().manual_seed(0)
    frames = ["AABB", "ABBB"]
    targets = draw_targets(frames, {"A": ROAD, "B": CAR})
    queries = draw_queries(frames, {"A": ROAD, "B": CAR}, num_classes=2)
    features = torch.randn(1, 2, 3, 1, 4, generator=generator)
    queries = replace(queries, mask_features=features)
    # The same embeddings in both frames, so that the frames can be laid side by side.
    wide_queries = replace(
        queries.select_frames(slice(1)),
        mask_features=torch.cat(features.unbind(1), dim=-1).unsqueeze(1),
    )
    wide_targets = ClipTargets(
        targets.class_ids, targets.track_ids, torch.cat(targets.masks.unbind(1), -1).unsqueeze(1)
    )
    sampling = DenseSampling()
    by_tube = HungarianMatcher(sampling=sampling, scope="clip")
    by_frame = HungarianMatcher(sampling=sampling)
    torch.testing.assert_close(
        by_tube.cost(queries, FrameTargets.from_clips([targets])),
        by_frame.cost(wide_queries, FrameTargets.from_clips([wide_targets])),
    )


def test_pairs_pad_and_unpad():
    lists = [(np.array([3, 1]), np.array([0, 2])), (np.array([], int), np.array([], int))]
    pairs = Pairs.from_lists(lists)
    assert pairs.valid.tolist() == [[True, True], [False, False]]
    assert partners(pairs) == [{3: 0, 1: 2}, {}]
    frame, slot, query, target = pairs.flat()
    assert (frame.tolist(), slot.tolist()) == ([0, 0], [0, 1])
    assert (query.tolist(), target.tolist()) == ([3, 1], [0, 2])
    assert partners(pairs.repeat(2)) == [{3: 0, 1: 2}] * 2 + [{}] * 2
    wanted = torch.tensor([[True, True, False], [True, True, True]])
    assert partners(pairs.only(wanted)) == [{3: 0}, {}]


def test_refuses_weights_and_scopes_that_mean_nothing():
    with pytest.raises(ValueError, match=r"not all 0, got \(0, 0, 0\)"):
        HungarianMatcher(0, 0, 0)
    with pytest.raises(ValueError, match=r"scope must be one of .* got 'video'"):
        HungarianMatcher(scope="video")
