import pytest
import torch

from dvps_d2.structures import (
    Clip,
    ClipTargets,
    DenoisingQueries,
    FrameQueries,
    FrameSegments,
    PanopticTube,
    Segment,
    TrackedQueries,
)


def queries(**changes):
    fields = {
        "class_logits": torch.zeros(1, 2, 3, 5),
        "mask_features": torch.ones(1, 2, 4, 6, 8),
        "mask_embeds": torch.arange(24.0).view(1, 2, 3, 4),
        "query_embeds": torch.zeros(1, 2, 3, 7),
        "depth_embeds": torch.arange(24.0).view(1, 2, 3, 4) + 100,
        "global_depth": torch.ones(1, 2, 4),
    }
    return FrameQueries(**{**fields, **changes})


def test_sizes_are_read_off_the_tensors():
    q = queries()
    assert (q.num_queries, q.num_frames, q.num_classes, q.has_depth) == (3, 2, 4, True)
    assert q.mask_logits().shape == q.depth_logits().shape == (1, 2, 3, 6, 8)
    assert q.global_depth_logits().shape == (1, 2, 6, 8)
    assert q.mask_logits()[0, 0, 0, 0, 0] == 0 + 1 + 2 + 3


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ("mask_features", (1, 3, 4, 6, 8)),
        ("mask_embeds", (1, 2, 2, 4)),
        ("mask_embeds", (1, 2, 3, 5)),
        ("query_embeds", (1, 2, 4, 7)),
        ("depth_embeds", (1, 2, 3, 3)),
        ("global_depth", (1, 2, 3)),
        ("class_logits", (2, 3, 5)),
    ],
)
def test_queries_that_disagree_are_refused_by_name(field, shape):
    with pytest.raises(ValueError, match=field if field != "class_logits" else r"got \(2, 3, 5\)"):
        queries(**{field: torch.zeros(shape)})


def test_permute_moves_everything_that_belongs_to_a_query():
    moved = queries().permute(torch.tensor([[[2, 0, 1], [0, 1, 2]]]))
    assert moved.mask_embeds[0, 0, :, 0].tolist() == [8, 0, 4]
    assert moved.depth_embeds[0, 0, :, 0].tolist() == [108, 100, 104]
    assert moved.mask_embeds[0, 1, :, 0].tolist() == [12, 16, 20]


def test_tracks_need_ids():
    with pytest.raises(ValueError, match="track_ids is missing"):
        TrackedQueries(**vars(queries()))
    with pytest.raises(ValueError, match=r"track_ids must be \(B, Q\) = \(1, 3\), got \(1, 2\)"):
        TrackedQueries.from_frames(queries(), torch.zeros(1, 2))


def test_clip_pads_right_and_bottom():
    clip = Clip.from_frames([[torch.ones(3, 5, 9)], [torch.ones(3, 7, 4)]], divisibility=4)
    assert clip.padded_size == (8, 12)
    assert clip.valid_sizes == clip.original_sizes == ((5, 9), (7, 4))
    assert clip.images[0, 0, :, :5, :9].min() == 1
    assert clip.images[0].sum() == 3 * 5 * 9


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([], "same number of frames"),
        ([[]], "same number of frames"),
        ([[torch.zeros(3, 4, 4)], [torch.zeros(3, 4, 4)] * 2], r"got \[1, 2\]"),
        ([[torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)]], "clip 0 mixes frame sizes"),
    ],
)
def test_clips_that_do_not_batch_are_refused(frames, text):
    with pytest.raises(ValueError, match=text):
        Clip.from_frames(frames)


def test_targets_are_padded_with_nothing():
    targets = ClipTargets(
        torch.tensor([1]), torch.tensor([7]), torch.ones(1, 2, 3, 4, dtype=torch.bool),
        torch.ones(2, 3, 4),
    ).pad(5, 6)  # fmt: skip
    assert targets.masks.shape == (1, 2, 5, 6)
    assert targets.masks.sum() == targets.depth.sum() == 2 * 3 * 4


def test_masks_must_be_bool():
    with pytest.raises(TypeError, match="masks must be bool"):
        ClipTargets(torch.tensor([1]), torch.tensor([7]), torch.ones(1, 2, 3, 4))


def test_tube_refuses_void_as_a_segment_and_float_ids():
    with pytest.raises(ValueError, match="id 0 is void"):
        PanopticTube(torch.zeros(1, 2, 2, dtype=torch.int32), {0: Segment(1, True, 0.5)})
    with pytest.raises(TypeError, match="must be integers"):
        PanopticTube(torch.zeros(1, 2, 2), {})
    with pytest.raises(ValueError, match="depth must be"):
        PanopticTube(torch.zeros(1, 2, 2, dtype=torch.int32), {}, torch.zeros(1, 2, 3))


def test_boxes_and_denoising_queries_check_their_counts():
    with pytest.raises(ValueError, match="scores must be"):
        FrameSegments(
            torch.zeros(2, 4), torch.zeros(3), torch.zeros(2), torch.zeros(2, 8, 8),
            torch.zeros(5, 4, 4), {},
        )  # fmt: skip
    with pytest.raises(ValueError, match="valid must be"):
        DenoisingQueries(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3, 4, 4), torch.zeros(1, 2, 4))
