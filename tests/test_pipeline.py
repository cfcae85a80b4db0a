import pytest
import torch

from dvps_d2.structures import Clip, StreamState
from dvps_d2.testing import random_clip, tiny_pipeline


def frames_of(clip: Clip, start: int, stop: int) -> Clip:
    return Clip(
        clip.images[:, start:stop],
        clip.valid_sizes,
        clip.original_sizes,
        tuple(ids[start:stop] for ids in clip.frame_ids),
        clip.video_ids,
    )


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.mark.parametrize("cuts", [[1], [2], [1, 2, 3], [3]], ids=str)
@torch.no_grad()
def test_a_video_cut_anywhere_gives_the_same_result(pipeline, cuts):
    clip = random_clip(4)
    whole, _ = pipeline.step(clip, StreamState())
    state, parts = StreamState(), []
    for start, stop in zip([0, *cuts], [*cuts, 4], strict=True):
        tube, state = pipeline.step(frames_of(clip, start, stop), state)
        parts.append(tube)
    assert torch.equal(torch.cat([tube.ids for tube in parts]), whole.ids)
    torch.testing.assert_close(torch.cat([tube.depth for tube in parts]), whole.depth)
    assert whole.ids.unique().numel() > 1  # the comparison is not one of empty maps


@torch.no_grad()
def test_a_stream_does_not_change_the_modules(pipeline):
    before = {k: v.clone() for k, v in pipeline.state_dict().items()}
    clip = random_clip(2)
    first, _ = pipeline.step(clip, StreamState())
    again, _ = pipeline.step(clip, StreamState())
    assert torch.equal(first.ids, again.ids)
    assert all(torch.equal(v, before[k]) for k, v in pipeline.state_dict().items())


@torch.no_grad()
def test_raw_gives_auxiliary_layers_and_tracks_of_a_batch(pipeline):
    output, state = pipeline.raw(random_clip(2, batch=3), StreamState())
    assert output.tracks.class_logits.shape == (3, 2, 6, 5)
    assert len(output.segmented.auxiliary) == 3  # learned queries and all layers but the last
    assert state.tracker.embeds.shape[:2] == (3, 6)
    assert state.fusion is None


@torch.no_grad()
def test_without_depth_there_is_none():
    tube, _ = tiny_pipeline(depth=False).step(random_clip(1), StreamState())
    assert tube.depth is None
