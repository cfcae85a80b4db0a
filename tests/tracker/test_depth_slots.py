"""The ablation in which depth does not follow its mask."""

import torch

from dvps_d2.testing import draw_queries
from dvps_d2.tracker import QueryMatching
from dvps_d2.tracker.depth_slots import DepthInFixedSlots


def test_depth_stays_in_its_slot_while_everything_else_moves():
    queries = draw_queries(
        ["ABC"] * 2, {"A": 0, "B": 0, "C": 0}, num_classes=1, slots=["ABC", "CAB"],
        metres={"A": 1.0, "B": 2.0, "C": 3.0, ".": 9.0},
    )  # fmt: skip
    right, _ = QueryMatching()(queries, None)
    wrong, memory = DepthInFixedSlots(QueryMatching())(queries, None)
    assert right.depth_embeds[0, :, :, -1].tolist() == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    assert wrong.depth_embeds[0, :, :, -1].tolist() == [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]
    for name in ("class_logits", "mask_embeds", "query_embeds", "track_ids", "global_depth"):
        assert torch.equal(getattr(wrong, name), getattr(right, name)), name
    again, _ = DepthInFixedSlots(QueryMatching())(queries.select_frames(slice(1, 2)), memory)
    assert again.depth_embeds[0, :, :, -1].tolist() == [[3.0, 1.0, 2.0]]


def test_it_adds_nothing_to_the_state():
    assert DepthInFixedSlots(QueryMatching()).state_dict() == {}
