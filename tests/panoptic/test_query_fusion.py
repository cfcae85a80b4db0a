from dataclasses import replace

import pytest
import torch

from dvps_d2.panoptic import ClipFusion, FrameFusion, FusionSettings, depth_map
from dvps_d2.structures import TrackedQueries
from dvps_d2.testing import VOID, clip_of, draw_queries
from dvps_d2.tracker import QueryMatching

ROAD, CAR, BUS = 0, 1, 2
THINGS = frozenset({CAR, BUS})


def settings(**kwargs):
    return FusionSettings(THINGS, **{"depth": lambda logits: logits, **kwargs})


def tracked(frames, classes, **kwargs):
    queries = draw_queries(frames, classes, num_classes=3, **kwargs)
    return QueryMatching()(queries, None)[0]


def run(fusion, tracks: TrackedQueries, windows=None):
    """All tubes of a video, cut into windows of the given lengths."""
    height, width = tracks.mask_features.shape[-2:]
    state, tubes, start = None, [], 0
    for length in windows or [tracks.num_frames]:
        part = tracks.select_frames(slice(start, start + length))
        tube, state = fusion(part, clip_of(length, height, width), state)
        tubes += [tube] if tube is not None else []
        start += length
    return [*tubes, *fusion.finish(state)]


def drawn(tubes):
    """Ids as rows of digits, one string per frame."""
    frames = torch.cat([tube.ids for tube in tubes])
    return [" ".join("".join(map(str, row)) for row in frame) for frame in frames.tolist()]


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
def test_segments_are_drawn_where_their_masks_are(fusion):
    tubes = run(
        fusion(settings()), tracked(["AAB RRR", "ABB RRR"], {"A": CAR, "B": CAR, "R": ROAD})
    )
    assert drawn(tubes) == ["112 333", "122 333"]
    kinds = {i: (s.class_id, s.is_thing) for tube in tubes for i, s in tube.segments.items()}
    assert kinds == {1: (CAR, True), 2: (CAR, True), 3: (ROAD, False)}


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
def test_a_query_without_object_leaves_void(fusion):
    tubes = run(fusion(settings()), tracked(["AAB", "AAB"], {"B": CAR}))
    assert drawn(tubes) == ["001", "001"]


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
def test_nothing_at_all_is_all_void(fusion):
    tubes = run(fusion(settings()), tracked(["AAB", "AAB"], {}, metres={"A": 1, "B": 2, VOID: 7}))
    assert drawn(tubes) == ["000", "000"]
    assert all(tube.segments == {} for tube in tubes)
    assert torch.cat([tube.depth for tube in tubes]).unique().tolist() == [7.0]


def test_queries_of_one_stuff_class_share_an_id():
    (tube,) = run(FrameFusion(settings()), tracked(["ARS"], {"A": CAR, "R": ROAD, "S": ROAD}))
    assert drawn([tube]) == ["122"]
    assert len(tube.segments) == 2


def test_a_segment_that_loses_most_of_its_mask_is_dropped():
    # Two queries with the same mask: the surer one owns it all.
    tracks = tracked(["AA."], {"A": CAR}, slots=["AA"])
    logits = tracks.class_logits.clone()
    logits[0, :, 1] *= 0.5
    tracks = TrackedQueries(
        logits, tracks.mask_features, tracks.mask_embeds, tracks.query_embeds,
        track_ids=tracks.track_ids,
    )  # fmt: skip
    (tube,) = run(FrameFusion(settings()), tracks)
    assert drawn([tube]) == ["110"]
    assert len(tube.segments) == 1


def test_class_change_opens_a_new_id_and_the_old_one_comes_back():
    classes = [{"A": CAR}, {"A": BUS}, {"A": CAR}]
    tubes = run(FrameFusion(settings(class_memory=1)), tracked(["A."] * 3, classes))
    assert drawn(tubes) == ["10", "20", "10"]


def test_running_mean_outvotes_one_wrong_frame():
    classes = [{"A": CAR}, {"A": CAR}, {"A": BUS}, {"A": CAR}]
    tubes = run(FrameFusion(settings(score_threshold=0.1)), tracked(["A."] * 4, classes))
    assert drawn(tubes) == ["10"] * 4


def test_clip_scope_judges_the_whole_tube():
    # In frame 2 the car is hidden behind a surer one: out per frame, in per clip.
    frames = ["AA.", "BB."]
    classes = {"A": CAR, "B": CAR}
    assert drawn(run(ClipFusion(settings()), tracked(frames, classes))) == ["110", "220"]


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
@pytest.mark.parametrize("windows", [[1, 1, 1, 1], [2, 2], [3, 1], [1, 3]])
def test_windows_change_nothing(fusion, windows):
    classes = [{"A": CAR, "B": CAR}, {"A": BUS, "B": CAR}, {"A": CAR}, {"B": CAR}]
    tracks = tracked(["AAB", ".AB", "ABB", "AA."], classes, sureness=3.0)
    whole = run(
        FrameFusion(settings()) if fusion is FrameFusion else ClipFusion(settings()), tracks
    )
    cut = run(fusion(settings()), tracks, windows)
    assert drawn(cut) == drawn(whole)


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
def test_depth_comes_from_the_segment_and_from_the_global_query_elsewhere(fusion):
    tracks = tracked(
        ["AB."], {"A": CAR}, metres={"A": 5.0, "B": 8.0, VOID: 30.0}
    )  # B is no object: its pixels are void and get the global depth
    (tube,) = run(fusion(settings()), tracks)
    assert tube.depth.tolist() == [[[5.0, 30.0, 30.0]]]


def without_global_query(tracks):
    return replace(tracks, global_depth=None)


@pytest.mark.parametrize("fusion", [FrameFusion, ClipFusion])
def test_without_a_global_query_the_surest_candidate_gives_the_depth(fusion):
    # Mask logits (A, B, C) are +10, -10, -10 on A and so on, and C is no object. Its pixel goes to
    # B, whose mask is made a little surer there.
    tracks = tracked(
        ["ABC"], {"A": CAR, "B": BUS}, metres={"A": 5.0, "B": 8.0, "C": 3.0, VOID: 30.0}
    )
    tracks.mask_embeds[0, 0, 1, 2] = 5.0
    (tube,) = run(fusion(settings()), without_global_query(tracks))
    assert tube.ids.tolist() == [[[1, 2, 0]]]
    assert tube.depth.tolist() == [[[5.0, 8.0, 8.0]]]


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_without_global_query_and_candidates_the_surest_of_all_queries_does(monkeypatch, at_once):
    monkeypatch.setattr(depth_map, "QUERIES_AT_ONCE", at_once)
    tracks = tracked(["ABC"], {}, metres={"A": 5.0, "B": 8.0, "C": 3.0, VOID: 30.0})
    (tube,) = run(FrameFusion(settings()), without_global_query(tracks))
    assert tube.segments == {}
    assert tube.depth.tolist() == [[[5.0, 8.0, 3.0]]]


def test_padding_is_cut_and_results_have_the_original_size():
    tracks = tracked(["AABB AABB"], {"A": CAR, "B": CAR})
    clip = clip_of(1, 2, 4)
    clip = type(clip)(clip.images, ((2, 3),), ((4, 6),), clip.frame_ids, clip.video_ids)
    tube, _ = FrameFusion(settings())(tracks, clip, None)
    assert tube.ids.shape == (1, 4, 6)
    assert set(tube.segments) == {1, 2}
    assert (tube.ids == 1).sum() > (tube.ids == 2).sum()  # half of B lies in the padding


def test_a_batch_is_refused():
    tracks = tracked(["A."], {"A": CAR})
    pair = TrackedQueries(
        *(t.repeat(2, *[1] * (t.dim() - 1)) for t in (
            tracks.class_logits, tracks.mask_features, tracks.mask_embeds, tracks.query_embeds)),
        track_ids=tracks.track_ids.repeat(2, 1),
    )  # fmt: skip
    with pytest.raises(ValueError, match="one video at a time, got a batch of 2"):
        FrameFusion(settings())(pair, clip_of(1, 1, 2), None)
