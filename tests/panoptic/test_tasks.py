"""Semantic maps and instances against plain computations over the whole video at once."""

import json

import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as run_lengths

from dvps_d2.panoptic import ClipFusion, FrameFusion, FusionSettings, TaskFusion
from dvps_d2.structures import Clip, TrackedQueries

T, Q, K, C = 5, 6, 4, 3
THINGS = frozenset({0, 2})
PADDED, VALID, OUTPUT = (16, 24), (14, 20), (21, 30)


def random_tracks(second=False):
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(1, T, *shape, generator=generator, dtype=torch.float64)

    return TrackedQueries(
        2 * noise(Q, K + 1), noise(C, 4, 6), 3 * noise(Q, C), noise(Q, 2),
        track_ids=torch.arange(10, 10 + Q)[None],
        second_class_logits=2 * noise(Q, K + 1) if second else None,
    )  # fmt: skip


def clip_of(frames):
    images = torch.zeros(1, len(frames), 3, *PADDED)
    return Clip(images, (VALID,), (OUTPUT,), (tuple(frames),), ("toy",))


def run(fusion, tracks, windows):
    """All tubes, one per window or frame, and what is said at the end."""
    state, tubes = None, []
    for start, stop in windows:
        part = slice(start, stop)
        tube, state = fusion(tracks.select_frames(part), clip_of(range(start, stop)), state)
        tubes += [] if tube is None else [tube]
    ending = fusion.finish(state)
    while True:
        try:
            tubes.append(next(ending))
        except StopIteration as stop:
            return tubes, stop.value


def make(scope, **options):
    kind = {"frame": FrameFusion, "clip": ClipFusion}[scope]
    return TaskFusion(kind(FusionSettings(THINGS, 0.0, 0.0)), K, **options)


def plain_probs(tracks):
    """(Q, K+1) of the whole video."""
    probs = tracks.class_logits[0].mean(0).softmax(-1)
    if tracks.second_class_logits is not None:
        other = tracks.second_class_logits[0].mean(0).softmax(-1)
        probs[:, :-1] = torch.maximum(probs[:, :-1], other[:, :-1])
    return probs


def plain_logits(tracks):
    """(T, Q, H, W) at the padded size, cropped."""
    logits = F.interpolate(tracks.mask_logits()[0], size=PADDED, mode="bilinear")
    return logits[..., : VALID[0], : VALID[1]]


def plain_semantic(tracks, probs):
    masks = F.interpolate(plain_logits(tracks).sigmoid(), size=OUTPUT, mode="bilinear")
    return torch.einsum("...qk,tqhw->tkhw", probs[..., :K], masks).argmax(1)


@pytest.mark.parametrize("second", [False, True], ids=["online", "offline"])
@pytest.mark.parametrize("windows", [[(0, 5)], [(0, 2), (2, 5)]], ids=["whole", "cut"])
def test_clip_scope_gives_what_the_video_gives_at_once(second, windows):
    tracks = random_tracks(second)
    tubes, instances = run(make("clip", draw_semantic=True, max_instances=7), tracks, windows)
    probs = plain_probs(tracks)
    semantic = torch.cat([tube.semantic for tube in tubes])
    assert torch.equal(semantic.long(), plain_semantic(tracks, probs))
    assert len(semantic.unique()) > 1  # not one class everywhere
    check_instances(instances, tracks, probs, 7)


@pytest.mark.parametrize("windows", [[(0, 5)], [(0, 1), (1, 4), (4, 5)]], ids=["whole", "cut"])
def test_frame_scope_takes_the_classes_so_far(windows):
    tracks = random_tracks()
    tubes, instances = run(make("frame", draw_semantic=True, max_instances=3), tracks, windows)
    so_far = tracks.class_logits[0].cumsum(0) / torch.arange(1, T + 1)[:, None, None]
    expected = torch.cat(
        [
            plain_semantic(tracks.select_frames(slice(t, t + 1)), so_far[t].softmax(-1))
            for t in range(T)
        ]
    )
    assert torch.equal(torch.cat([tube.semantic for tube in tubes]).long(), expected)
    check_instances(instances, tracks, plain_probs(tracks), 3)


def check_instances(instances, tracks, probs, count):
    pairs = sorted(((probs[q, k].item(), q, k) for q in range(Q) for k in THINGS), reverse=True)[
        :count
    ]
    assert [i["category_id"] for i in instances] == [k for _, _, k in pairs]
    assert [i["track_id"] for i in instances] == [10 + q for _, q, _ in pairs]
    assert [i["score"] for i in instances] == pytest.approx([score for score, _, _ in pairs])
    masks = F.interpolate(plain_logits(tracks), size=OUTPUT, mode="bilinear") > 0
    for instance, (_, query, _) in zip(instances, pairs, strict=True):
        drawn = torch.stack(
            [torch.from_numpy(run_lengths.decode(m)) for m in instance["segmentations"]]
        )
        assert torch.equal(drawn.bool(), masks[:, query])
    json.dumps(instances)  # the form of result files


@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_panoptic_tubes_stay_as_they_are(scope):
    tracks = random_tracks()
    fusion = make(scope, draw_semantic=True, max_instances=2)
    tubes, _ = run(fusion, tracks, [(0, 3), (3, 5)])
    plain, _ = run(fusion.panoptic, tracks, [(0, 3), (3, 5)])
    assert torch.equal(torch.cat([t.ids for t in tubes]), torch.cat([t.ids for t in plain]))
    assert torch.cat([t.ids for t in tubes]).any()


@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_panoptic_tubes_may_be_left_out(scope):
    tracks = random_tracks()
    tubes, said = run(make(scope, draw_panoptic=False, draw_semantic=True), tracks, [(0, 5)])
    assert not torch.cat([tube.ids for tube in tubes]).any()
    assert said is None


def test_memory_of_a_frame_is_its_coded_masks():
    tracks = random_tracks()
    fusion = make("frame", max_instances=3)
    _, state = fusion(tracks, clip_of(range(T)), None)
    assert len(state.masks) == T
    assert sum(len(mask["counts"]) for frame in state.masks for mask in frame) < 100 * T * Q


def test_fewer_pairs_than_asked_for_and_no_task_at_all():
    _, instances = run(make("clip", max_instances=99), random_tracks(), [(0, 5)])
    assert len(instances) == Q * len(THINGS)
    with pytest.raises(ValueError, match="all tasks are off"):
        make("frame", draw_panoptic=False)
