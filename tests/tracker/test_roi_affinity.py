import math

import pytest
import torch
import torch.nn.functional as F

from dvps_d2.layers.roi import pool_rois
from dvps_d2.structures import FrameSegments
from dvps_d2.testing import clip_of
from dvps_d2.tracker.roi_affinity import (
    CueWeights,
    RoiTracker,
    TrackHead,
    affinity,
    assign,
    mask_iou,
    matching_scores,
    track_frame,
)

CAR, BUS = 13, 15
LEFT, MIDDLE, RIGHT = [0.0, 0, 10, 10], [40.0, 0, 50, 10], [80.0, 0, 90, 10]
RED, BLUE, GREEN = [4.0, 0, 0], [0.0, 4, 0], [0.0, 0, 4]


def see(memory, *objects, **kwargs):
    """Track a frame of (colour, box, class)."""
    colours, boxes, classes = zip(*objects, strict=True) if objects else ((), (), ())
    return track_frame(
        torch.tensor(colours).view(-1, 3),
        torch.tensor(boxes).view(-1, 4),
        torch.ones(len(objects)),
        torch.tensor(classes, dtype=torch.int64),
        memory,
        **kwargs,
    )


def test_appearance_is_a_dot_product_beside_a_zero_for_new():
    logits = affinity(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0], [0.0, -1.0]]))
    assert logits.tolist() == [[0, 5, -2]]


def test_the_score_adds_up_as_published():
    total = matching_scores(
        torch.zeros(1, 3),
        torch.tensor([0.5]),
        torch.tensor([[True, False]]),
        torch.tensor([[0.25, 1.0]]),
        None,
        CueWeights(),
    )
    base = math.log(1 / 3) + math.log(0.5)
    assert total[0].tolist() == pytest.approx([base + 10, base + 10.5, base + 2])


def test_masks_are_a_further_cue():
    masks = torch.tensor([[[1, 1, 0]], [[0, 0, 1]]]).bool()
    others = torch.tensor([[[1, 0, 0]], [[0, 0, 0]]]).bool()
    assert mask_iou(masks, others).tolist() == [[0.5, 0], [0, 0]]
    with_masks = matching_scores(
        torch.zeros(2, 3),
        torch.ones(2),
        torch.zeros(2, 2).bool(),
        torch.zeros(2, 2),
        mask_iou(masks, others),
        CueWeights(mask=4.0),
    )
    assert (with_masks[0, 1] - with_masks[0, 2]).item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param(torch.zeros(0, 3), [], id="no detection"),
        pytest.param([[1.0]], [-1], id="no memory"),
        pytest.param([[0, 5, 1], [0, 1, 5]], [0, 1], id="one each"),
        pytest.param([[0, 5, 4], [0, 6, 4]], [-1, 0], id="the better takes it, the loser is new"),
        pytest.param([[0, 6, 4], [0, 5, 4]], [0, -1], id="whichever came first"),
        pytest.param([[0, 5], [0, 5]], [0, -1], id="the first on ties"),
        pytest.param([[7, 5]], [-1], id="new is best"),
    ],
)
def test_tracks_are_given_greedily(scores, expected):
    assert assign(torch.as_tensor(scores)).tolist() == expected


def test_ids_follow_looks_when_objects_swap_places_slowly():
    ids, memory = see(None, (RED, LEFT, CAR), (BLUE, RIGHT, CAR))
    assert ids.tolist() == [0, 1]
    ids, memory = see(memory, (BLUE, MIDDLE, CAR), (RED, MIDDLE, CAR))
    assert ids.tolist() == [1, 0]
    ids, memory = see(memory, (GREEN, LEFT, BUS), (RED, RIGHT, CAR))
    assert ids.tolist() == [2, 0]


def test_an_object_comes_back_after_empty_frames():
    _, memory = see(None, (RED, LEFT, CAR), (BLUE, RIGHT, CAR))
    for _ in range(3):
        ids, memory = see(memory)
        assert ids.tolist() == []
    ids, _ = see(memory, (BLUE, RIGHT, CAR))
    assert ids.tolist() == [1]


def test_a_video_may_start_with_an_empty_frame():
    ids, memory = see(None)
    assert (ids.tolist(), len(memory)) == ([], 0)
    assert see(memory, (RED, LEFT, CAR))[0].tolist() == [0]


def test_class_speaks_against_a_look_alike():
    faint = [2.0, 0, 0]
    _, memory = see(None, (faint, LEFT, CAR))
    assert see(memory, (faint, LEFT, BUS))[0].tolist() == [1]
    assert see(memory, (faint, LEFT, BUS), weights=CueWeights(label=0.0))[0].tolist() == [0]


def test_the_memory_is_overwritten_but_the_class_stays():
    _, memory = see(None, (RED, LEFT, CAR))
    _, memory = see(memory, ([5.0, 1, 0], MIDDLE, BUS), weights=CueWeights(label=0.0))
    assert memory.embeds.tolist() == [[5, 1, 0]]
    assert memory.boxes.tolist() == [MIDDLE]
    assert memory.class_ids.tolist() == [CAR]


def test_capacity_forgets_what_was_seen_longest_ago():
    _, memory = see(None, (RED, LEFT, CAR))
    for _ in range(50):
        _, memory = see(memory, (BLUE, RIGHT, CAR), (GREEN, MIDDLE, CAR), capacity=2)
        assert len(memory) == 2
    assert memory.track_ids.tolist() == [1, 2]
    ids, memory = see(memory, (RED, LEFT, CAR), capacity=2)
    assert ids.tolist() == [3]  # no longer known; ids are not used twice
    assert len(memory) == 2


def test_no_capacity_keeps_everything():
    memory = None
    for i in range(5):
        _, memory = see(memory, ([1.0, 0, 0], LEFT, i))
    assert len(memory) == 5


def test_permuting_detections_permutes_ids():
    _, memory = see(None, (RED, LEFT, CAR), (BLUE, RIGHT, CAR), (GREEN, MIDDLE, BUS))
    objects = [(GREEN, MIDDLE, BUS), (RED, LEFT, CAR), (BLUE, RIGHT, CAR)]
    assert see(memory, *objects)[0].tolist() == [2, 0, 1]
    assert see(memory, *objects[::-1])[0].tolist() == [1, 0, 2]


def frames_of_noise(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = []
    for _ in range(count):
        n = int(torch.randint(0, 5, (1,), generator=generator))
        corner = torch.rand(n, 2, generator=generator) * 40
        frames.append(
            FrameSegments(
                boxes=torch.cat([corner, corner + 16], dim=1),
                scores=torch.rand(n, generator=generator),
                class_ids=torch.randint(0, 2, (n,), generator=generator),
                mask_logits=torch.randn(n, 4, 4, generator=generator),
                semantic_logits=torch.zeros(3, 16, 16),
                pyramid={
                    f"p{i}": torch.randn(4, 32 >> i, 32 >> i, generator=generator)
                    for i in (1, 2, 3, 4, 5)
                },
            )
        )
    return frames


@pytest.mark.parametrize("mask", [0.0, 2.0])
@pytest.mark.parametrize("capacity", [0, 3])
def test_a_video_cut_anywhere_and_resumed_has_the_same_ids(mask, capacity):
    torch.manual_seed(0)
    tracker = RoiTracker(TrackHead(4, hidden_dim=8), CueWeights(label=1.0, mask=mask), capacity)
    frames, clip = frames_of_noise(9), clip_of(1, 64, 64)
    whole, _ = tracker(frames, clip, None)
    assert sum(len(f.track_ids) for f in whole) > 9
    for cut in (1, 4, 8):
        first, state = tracker(frames[:cut], clip, None)
        rest, _ = tracker(frames[cut:], clip, state)
        for a, b in zip(whole, first + rest, strict=True):
            assert torch.equal(a.track_ids, b.track_ids)


def test_published_names():
    shapes = {name: list(p.shape) for name, p in TrackHead().state_dict().items()}
    assert shapes == {
        "fcs.0.weight": [1024, 12544],
        "fcs.0.bias": [1024],
        "fcs.1.weight": [1024, 1024],
        "fcs.1.bias": [1024],
    }


def test_rois_are_read_from_the_level_of_their_size():
    levels = [torch.full((2, 1, 128 >> i, 128 >> i), float(i)) for i in range(4)]
    small, large, huge = [0.0, 0, 50, 50], [0.0, 0, 200, 200], [0.0, 0, 500, 500]
    boxes = [torch.tensor([small, huge]), torch.tensor([large])]
    assert pool_rois(levels, boxes, 2).mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 3, 1])
    assert pool_rois(levels, [torch.zeros(0, 4)] * 2, 2).shape == (0, 1, 2, 2)
    levels[1][1] = 7.0
    assert pool_rois(levels, boxes, 2)[2].unique().tolist() == [7]


def test_cosine_does_not_see_how_long_vectors_are():
    torch.manual_seed(0)
    dot, cosine = TrackHead(4, hidden_dim=8), TrackHead(4, hidden_dim=8, cosine=True)
    cosine.load_state_dict(dot.state_dict())
    levels = [torch.randn(1, 4, 16 >> i, 16 >> i) for i in range(4)]
    boxes = [torch.tensor([[0.0, 0, 30, 30], [10, 10, 60, 50]])]
    a, b = dot(levels, boxes), cosine(levels, boxes)
    expected = 10 * F.cosine_similarity(a[0], a[1], dim=0)
    assert affinity(b[:1], b[1:])[0].tolist() == pytest.approx([0, expected.item()], abs=1e-5)
    torch.testing.assert_close(b.norm(dim=1), torch.full((2,), 10**0.5))
