import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dvps_d2.refiner import TemporalRefiner, keep_features
from dvps_d2.structures import FrameQueries
from dvps_d2.testing import clip_of
from dvps_d2.tracker import ReferringTracker

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "dvis_small.json").read_text())
SIZES = {
    "hidden_dim": 32, "feedforward_dim": 64, "num_heads": 4, "num_layers": 2, "mask_dim": 16,
    "num_classes": 5,
}  # fmt: skip


def wave(shape, phase=0.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(0.37 * k**1.1 + phase).reshape(shape)


def fill_with_waves(module):
    """Parameters sorted by name; number i gets 0.1 sin(0.7 k + i), norm weights 1 more."""
    for number, (name, parameter) in enumerate(sorted(module.double().named_parameters())):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        values = 0.1 * torch.sin(0.7 * k + number)
        if "norm" in name and name.endswith("weight"):
            values += 1.0
        parameter.data.copy_(values.reshape(parameter.shape))
    return module.eval()


def make_refiner(**kwargs):
    return fill_with_waves(TemporalRefiner(**SIZES, feature_store="full", **kwargs))


@torch.no_grad()
def tracks_of(num_frames=4, *, legacy=False, depth=False):
    """Tracks of the recorded tracker on the recorded frames."""
    queries = FrameQueries(
        class_logits=torch.zeros(1, 4, 7, 6, dtype=torch.float64),
        mask_features=wave((1, 4, 16, 6, 8), 1),
        mask_embeds=torch.zeros(1, 4, 7, 16, dtype=torch.float64),
        query_embeds=wave((1, 32, 4, 7)).permute(0, 2, 3, 1),
    ).select_frames(slice(0, num_frames))
    tracker = ReferringTracker(
        **SIZES, legacy_inverse_match=legacy, memory_for_refiner=True, depth=depth
    )
    return fill_with_waves(tracker)(queries, None)[0]


def run(refiner, tracks, windows):
    """Stream windows of the given lengths; the refined windows that come out at the end."""
    state, start = None, 0
    for length in windows:
        part = tracks.select_frames(slice(start, start + length))
        nothing, state = refiner(part, clip_of(length, 24, 32), state)
        assert nothing is None
        start += length
    return list(refiner.finish(state))


def assert_recorded(tensor, record):
    assert list(tensor.shape) == record["shape"]
    values = tensor.flatten()
    first = torch.tensor(record["first"], dtype=torch.float64)
    torch.testing.assert_close(values[: len(first)], first, rtol=0, atol=1e-6)
    # Where these were recorded, masks had been rounded to float32 before they were summed.
    assert values.sum().item() == pytest.approx(record["sum"], abs=2e-6)
    assert values.abs().sum().item() == pytest.approx(record["abs"], abs=2e-6)


@pytest.mark.parametrize("kind", ["legacy", "corrected"])
@torch.no_grad()
def test_reproduces_the_recorded_numbers(kind):
    record = RECORDS[kind]["refiner"]
    refined = make_refiner().refine(tracks_of(legacy=kind == "legacy"))
    assert len(refined.auxiliary) == 1
    assert_recorded(refined.tracks.class_logits, record["pred_logits"])
    assert_recorded(refined.tracks.mask_logits().transpose(1, 2), record["pred_masks"])
    assert_recorded(refined.tracks.query_embeds.permute(0, 3, 1, 2), record["pred_embds"])


@pytest.mark.parametrize("windows", [[4], [1, 1, 1, 1], [3, 1]], ids=str)
@torch.no_grad()
def test_windows_do_not_matter_to_a_video_refined_as_a_whole(windows):
    refiner, tracks = make_refiner(), tracks_of()
    whole = refiner.refine(tracks).tracks
    parts = run(refiner, tracks, windows)
    assert [part.num_frames for part, _ in parts] == windows
    assert [clip.num_frames for _, clip in parts] == windows
    for name in ("class_logits", "mask_embeds", "mask_features", "second_class_logits"):
        joined = torch.cat([getattr(part, name) for part, _ in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name))
    assert torch.equal(parts[0][0].second_class_logits[:, 0], tracks.class_logits[:, 0])


@torch.no_grad()
def test_one_class_per_track_and_masks_per_frame():
    refined = make_refiner().refine(tracks_of()).tracks
    assert torch.equal(refined.class_logits[:, 0], refined.class_logits[:, 3])
    assert not torch.allclose(refined.mask_embeds[:, 0], refined.mask_embeds[:, 3])


@torch.no_grad()
def test_the_future_changes_the_first_frame():
    refiner, tracks = make_refiner(), tracks_of()
    alone = refiner.refine(tracks.select_frames(slice(0, 1))).tracks
    whole = refiner.refine(tracks).tracks
    assert alone.class_logits.isfinite().all()  # shorter than the kernels over time
    assert not torch.allclose(alone.mask_embeds[:, 0], whole.mask_embeds[:, 0])


@pytest.mark.parametrize(("store", "tolerance"), [("full", 0), ("half", 1e-3), ("disk", 1e-3)])
def test_features_wait_where_they_are_told_to(store, tolerance):
    features = wave((1, 2, 3, 4, 5))
    kept = keep_features(features, store)
    assert kept.dtype == (torch.float64 if store == "full" else torch.float16)
    torch.testing.assert_close(kept.double(), features, rtol=0, atol=tolerance)


def test_another_store_is_refused():
    with pytest.raises(
        ValueError, match="store must be one of full, half, disk, recompute, got 'attic'"
    ):
        keep_features(wave((1, 2)), "attic")


def test_tracks_without_the_trackers_view_of_the_frames_are_refused():
    with pytest.raises(ValueError, match="memory_for_refiner=True"):
        make_refiner().refine(replace(tracks_of(), frame_embeds=None))


@torch.no_grad()
def test_depth_comes_from_the_refined_tracks_and_the_trackers_frame():
    tracks = tracks_of(depth=True)
    refined = make_refiner(depth=True).refine(tracks).tracks
    assert not torch.allclose(refined.depth_embeds, tracks.depth_embeds)
    assert torch.equal(refined.global_depth, tracks.global_depth)


@torch.no_grad()
def test_a_video_that_never_came_gives_nothing():
    assert list(make_refiner().finish(None)) == []


def test_every_parameter_gets_a_gradient():
    refiner = make_refiner(depth=True).train()
    refined = refiner.refine(tracks_of(depth=True))
    outputs = (*refined.auxiliary, refined.tracks)
    terms = [
        x.square().sum()
        for out in outputs
        for x in (out.class_logits, out.mask_logits(), out.depth_logits())
    ]
    sum(terms).backward()
    assert [n for n, p in refiner.named_parameters() if p.grad is None] == []
