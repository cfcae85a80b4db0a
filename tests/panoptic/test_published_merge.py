"""The merge of the public DVIS code, with and without a second opinion on the classes."""

import json
from pathlib import Path

import pytest
import torch

from dvps_d2.panoptic import ClipFusion, FusionSettings
from dvps_d2.structures import Clip, TrackedQueries

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "dvis_panoptic_merge.json").read_text())
QUERIES, CLASSES, FRAMES, GRID = 7, 5, 2, (6, 8)


def wave(shape, phase=0.0, scale=1.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.37 * k**1.1 + phase)).reshape(shape)


def class_logits(classes, lowest):
    """Query q is sure of ``classes[q]`` by lowest + 0.1 q, in every frame."""
    logits = torch.zeros(QUERIES, CLASSES + 1, dtype=torch.float64)
    for query, class_id in enumerate(classes):
        logits[query, class_id] = lowest + 0.1 * query
    return logits.expand(1, FRAMES, -1, -1)


def recorded_case(*, with_aux):
    masks = wave((QUERIES, FRAMES, *GRID), 1, 6)
    unit = torch.eye(QUERIES, dtype=torch.float64).expand(1, FRAMES, -1, -1)
    return TrackedQueries(
        class_logits=class_logits([0, 2, 2, 1, 5, 3, 0], 3),
        mask_features=masks.transpose(0, 1)[None],  # one channel per query
        mask_embeds=unit,
        query_embeds=unit,
        track_ids=torch.arange(QUERIES)[None],
        second_class_logits=class_logits([1, 2, 3, 1, 0, 3, 0], 4) if with_aux else None,
    )


@pytest.mark.parametrize("kind", ["without_aux", "with_aux"])
def test_reproduces_the_recorded_segments(kind):
    settings = FusionSettings(frozenset({0, 1}), score_threshold=0.3, overlap_threshold=0.3)
    fusion = ClipFusion(settings)
    clip = Clip(
        images=torch.zeros(1, FRAMES, 3, 24, 32),
        valid_sizes=((22, 30),),
        original_sizes=((44, 60),),
        frame_ids=((0, 1),),
        video_ids=("a",),
    )
    _, state = fusion(recorded_case(with_aux=kind == "with_aux"), clip, None)
    tubes = list(fusion.finish(state))
    ids = torch.cat([tube.ids for tube in tubes])
    segments = {number: s for tube in tubes for number, s in tube.segments.items()}

    record = RECORDS[kind]
    counts = torch.bincount(ids.flatten().long(), minlength=5).tolist()
    found = sorted((s.class_id, s.is_thing, counts[n]) for n, s in segments.items())
    assert counts[0] == record["pixel_counts_for_id_0_to_4"][0]
    assert found == sorted(
        (s["category_id"], s["isthing"], record["pixel_counts_for_id_0_to_4"][s["id"]])
        for s in record["segments"]
    )
