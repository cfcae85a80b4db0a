import pytest
import torch

from dvps_d2.panoptic import ClipFusion, FusionSettings, View, fuse_views, match_views
from dvps_d2.structures import Clip
from dvps_d2.testing import clip_of, draw_queries
from dvps_d2.tracker import FixedSlots

ROAD, CAR = 0, 1
KINDS = {"R": ROAD, "A": CAR, "B": CAR}
VIDEO = ["AARR BBRR", "AARR BBRR"]


def settings(**kwargs):
    return FusionSettings(frozenset({CAR}), **{"depth": lambda logits: logits, **kwargs})


def video_of(frames, *, slots=None, windows=(2,), **kwargs):
    """The state of a pass over drawn frames."""
    queries = draw_queries(frames, KINDS, num_classes=2, slots=slots, **kwargs)
    tracks, _ = FixedSlots()(queries, None)
    height, width = tracks.mask_features.shape[-2:]
    state, start = None, 0
    for length in windows:
        part = tracks.select_frames(slice(start, start + length))
        _, state = ClipFusion(settings())(part, clip_of(length, height, width), state)
        start += length
    return state


def mirrored(frames):
    return [" ".join(row[::-1] for row in frame.split()) for frame in frames]


def drawn(tubes):
    frames = torch.cat([tube.ids for tube in tubes])
    return [" ".join("".join(map(str, row)) for row in frame) for frame in frames.tolist()]


def test_one_view_is_clip_fusion():
    video = video_of(VIDEO)
    ours = list(fuse_views([View(video)], settings()))
    theirs = list(ClipFusion(settings()).finish(video))
    assert drawn(ours) == drawn(theirs) == ["1133 2233"] * 2
    assert [tube.segments for tube in ours] == [tube.segments for tube in theirs]


def test_other_slots_mirrored_frames_and_windows_do_not_matter():
    other = video_of(mirrored(VIDEO), slots=["RBA", "RBA"], windows=(1, 1))
    first = View(video_of(VIDEO))  # slots A B R
    assert match_views(first, View(other, flipped=True)).tolist() == [2, 1, 0]
    tubes = list(fuse_views([first, View(other, flipped=True)], settings()))
    assert drawn(tubes) == ["1133 2233"] * 2


def test_masks_and_classes_are_averaged():
    # The second view gives the middle to the road, but is not sure of it.
    sure = video_of(["AAR"] * 2, sureness=8.0)
    weak = video_of(["ARR"] * 2, sureness=1.0)
    tubes = list(fuse_views([View(sure), View(weak)], settings(score_threshold=0.5)))
    assert drawn(tubes) == ["112"] * 2
    score = next(s.score for s in tubes[0].segments.values() if s.class_id == CAR)
    alone = [torch.tensor([0.0, s, 0.0]).softmax(0)[1] for s in (8.0, 1.0)]
    assert score == pytest.approx(sum(alone).item() / 2)


def test_depth_is_averaged_in_the_pixels_of_each_segment():
    metres = ({"A": 2.0, "R": 6.0, ".": 0.0}, {"A": 4.0, "R": 10.0, ".": 0.0})
    first = video_of(["AAR"] * 2, metres=metres[0])
    second = video_of(mirrored(["AAR"] * 2), metres=metres[1])
    (tube, _) = fuse_views([View(first), View(second, flipped=True)], settings())
    assert tube.depth.tolist() == [[[3.0, 3.0, 8.0]]]


def test_views_must_show_the_same_frames():
    with pytest.raises(ValueError, match=r"got \[2, 1\] frames"):
        list(
            fuse_views([View(video_of(VIDEO)), View(video_of(VIDEO[:1], windows=(1,)))], settings())
        )
    with pytest.raises(ValueError, match="views are empty"):
        list(fuse_views([], settings()))


def test_padding_of_the_views_may_differ():
    """A view with an empty column of padding at the right sees the same tubes."""
    queries = draw_queries(["AAR. AAR."], KINDS, num_classes=2)
    tracks, _ = FixedSlots()(queries, None)
    padded = Clip(torch.zeros(1, 1, 3, 2, 4), ((2, 3),), ((2, 3),), ((0,),), ("v",))
    _, state = ClipFusion(settings(depth=None))(tracks, padded, None)
    plain = View(video_of(["AAR AAR"], windows=(1,)))
    assert match_views(plain, View(state)).tolist() == [0, 1]
    assert drawn(fuse_views([plain, View(state)], settings())) == ["112 112"]
