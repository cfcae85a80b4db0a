"""Clip fusion against numbers that the published tube merge gave."""

import json
from pathlib import Path

import pytest
import torch

from dvps_d2.panoptic import ClipFusion, FusionSettings
from dvps_d2.structures import Clip, TrackedQueries

RECORD = json.loads((Path(__file__).parents[1] / "data" / "dvis_panoptic_merge.json").read_text())


@pytest.fixture
def tubes():
    k = torch.arange(7 * 2 * 6 * 8, dtype=torch.float64)
    masks = (6 * torch.sin(0.37 * k**1.1 + 1)).view(7, 2, 6, 8)
    logits = torch.zeros(7, 6, dtype=torch.float64)
    logits[torch.arange(7), [0, 2, 2, 1, 5, 3, 0]] = 3 + 0.1 * torch.arange(7.0).double()
    # Queries are unit vectors over mask features that hold their masks.
    embeds = torch.eye(7, dtype=torch.float64).expand(1, 2, 7, 7)
    tracks = TrackedQueries(
        logits.expand(1, 2, 7, 6), masks.transpose(0, 1)[None], embeds, embeds,
        track_ids=torch.arange(7)[None],
    )  # fmt: skip
    clip = Clip(torch.zeros(1, 2, 3, 24, 32), ((22, 30),), ((44, 60),), ((0, 1),), ("toy",))
    fusion = ClipFusion(FusionSettings(frozenset({0, 1}), 0.3, 0.3))
    _, state = fusion(tracks, clip, None)
    return list(fusion.finish(state))


def test_segments_and_pixels_are_the_published_ones(tubes):
    expected = RECORD["without_aux"]
    counts = torch.bincount(torch.cat([tube.ids for tube in tubes]).flatten().long(), minlength=5)
    assert counts.tolist() == expected["pixel_counts_for_id_0_to_4"]
    segments = {i: s for tube in tubes for i, s in tube.segments.items()}
    found = [
        {"id": i, "isthing": s.is_thing, "category_id": s.class_id}
        for i, s in sorted(segments.items())
    ]
    assert found == expected["segments"]


def test_scores_tell_which_queries_became_segments(tubes):
    segments = {i: s for tube in tubes for i, s in tube.segments.items()}
    queries = torch.tensor(RECORD["without_aux"]["query_ids"], dtype=torch.float64)
    # softmax of one logit 3 + 0.1 q among six, the others zero
    expected = torch.exp(3 + 0.1 * queries) / (torch.exp(3 + 0.1 * queries) + 5)
    assert [s.score for _, s in sorted(segments.items())] == pytest.approx(expected.tolist())
