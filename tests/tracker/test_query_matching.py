import pytest
import torch

from dvps_d2.structures import FrameQueries
from dvps_d2.testing import draw_queries
from dvps_d2.tracker import FixedSlots, QueryMatching, match_queries

CAR = {"A": 0, "B": 0, "C": 0}


def letters(tracks: FrameQueries) -> list[str]:
    """Which letter sits in each slot, frame by frame."""
    return ["".join("ABC"[i] for i in frame.argmax(-1)) for frame in tracks.query_embeds[0]]


def test_matching_undoes_a_three_cycle():
    # Pairwise swaps are their own inverse; only a cycle tells a permutation from its inverse.
    before, now = torch.eye(3)[None], torch.eye(3)[[1, 2, 0]][None]
    assert match_queries(before, now).tolist() == [[2, 0, 1]]


def test_matching_maximises_the_sum_not_each_pair():
    before = torch.tensor([[[1.0, 0.0], [0.8, 0.6]]])
    now = torch.tensor([[[0.9, 0.4], [0.0, 1.0]]])
    # Both prefer now[0]; giving it to query 0 leaves 0.6 for query 1, the other way leaves 0.
    assert match_queries(before, now).tolist() == [[0, 1]]


def test_a_zero_embedding_still_gets_a_partner():
    before = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    assert match_queries(before, torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])).tolist() == [[1, 0]]


def test_nan_embeddings_are_named():
    embeds = torch.eye(2)[None]
    with pytest.raises(ValueError, match="clip 0 are not finite"):
        match_queries(embeds, embeds * float("nan"))


def test_another_number_of_queries_is_refused():
    with pytest.raises(ValueError, match="keep one model"):
        match_queries(torch.eye(3)[None], torch.eye(3)[None, :2])


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (["ABC", "ABC", "ABC"], ["ABC", "ABC", "ABC"]),
        (["ABC", "BCA", "CAB"], ["ABC", "ABC", "ABC"]),
        (["CBA", "ABC", "BAC"], ["CBA", "CBA", "CBA"]),
    ],
    ids=["nothing moves", "cycles", "first frame decides"],
)
def test_first_frame_defines_the_order(slots, expected):
    queries = draw_queries(["ABC"] * 3, CAR, num_classes=1, slots=slots)
    tracks, _ = QueryMatching()(queries, None)
    assert letters(tracks) == expected
    assert tracks.track_ids.tolist() == [[0, 1, 2]]


def test_depth_moves_with_its_mask():
    queries = draw_queries(
        ["ABC"] * 2, CAR, num_classes=1, slots=["ABC", "CAB"],
        metres={"A": 1.0, "B": 2.0, "C": 3.0, ".": 9.0},
    )  # fmt: skip
    tracks, _ = QueryMatching()(queries, None)
    assert tracks.depth_embeds[0, :, :, -1].tolist() == [[1.0, 2.0, 3.0]] * 2
    assert torch.equal(tracks.mask_logits()[0, 0] > 0, tracks.mask_logits()[0, 1] > 0)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cut_and_resume_gives_the_same_tracks(cut):
    queries = draw_queries(["ABC"] * 4, CAR, num_classes=1, slots=["ABC", "BCA", "ACB", "CAB"])
    tracker = QueryMatching()
    whole, _ = tracker(queries, None)
    first, memory = tracker(queries.select_frames(slice(0, cut)), None)
    second, _ = tracker(queries.select_frames(slice(cut, 4)), memory)
    assert letters(first) + letters(second) == letters(whole)
    assert torch.equal(second.track_ids, whole.track_ids)


def test_permuting_the_queries_of_later_frames_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    queries = draw_queries(["ABC"] * 3, CAR, num_classes=1)
    orders = torch.stack([torch.arange(3), *(torch.randperm(3, generator=generator),) * 2])
    shuffled, _ = QueryMatching()(queries.permute(orders[None]), None)
    plain, _ = QueryMatching()(queries, None)
    assert torch.equal(shuffled.mask_embeds, plain.mask_embeds)


def test_fixed_slots_follow_the_decoder():
    queries = draw_queries(["ABC"] * 2, CAR, num_classes=1, slots=["ABC", "BCA"])
    tracks, state = FixedSlots()(queries, None)
    assert letters(tracks) == ["ABC", "BCA"]
    assert state is None
