import json
from pathlib import Path

import pytest
import torch

from dvps_d2.structures import FrameQueries
from dvps_d2.tracker import ReferringTracker

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "dvis_small.json").read_text())
SIZES = {"hidden_dim": 32, "feedforward_dim": 64, "num_heads": 4, "num_layers": 2, "mask_dim": 16}


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


def frames_of(embeds, features, classes=5):
    """(B, T, Q, C) embeddings as a segmenter's result; classes and masks are never read."""
    b, t, q, _ = embeds.shape
    return FrameQueries(
        class_logits=torch.zeros(b, t, q, classes + 1, dtype=embeds.dtype),
        mask_features=features,
        mask_embeds=torch.zeros(b, t, q, features.shape[2], dtype=embeds.dtype),
        query_embeds=embeds,
    )


def recorded_case():
    # Recorded axes are (b, c, t, q); ours are (B, T, Q, C).
    embeds = wave((1, 32, 4, 7)).permute(0, 2, 3, 1)
    return frames_of(embeds, wave((1, 4, 16, 6, 8), 1))


def make_tracker(**kwargs):
    return fill_with_waves(ReferringTracker(num_classes=5, **SIZES, **kwargs))


def assert_recorded(tensor, record):
    assert list(tensor.shape) == record["shape"]
    values = tensor.flatten()
    first = torch.tensor(record["first"], dtype=torch.float64)
    torch.testing.assert_close(values[: len(first)], first, rtol=0, atol=1e-6)
    assert values.sum().item() == pytest.approx(record["sum"], abs=1e-6)
    assert values.abs().sum().item() == pytest.approx(record["abs"], abs=1e-6)


@pytest.mark.parametrize("kind", ["legacy", "corrected"])
@torch.no_grad()
def test_reproduces_the_recorded_numbers(kind):
    record = RECORDS[kind]["tracker"]
    tracker = make_tracker(legacy_inverse_match=kind == "legacy")
    queries = recorded_case()
    tracking, _ = tracker.track(queries)
    assert tracking.order[0].tolist() == record["indices"]
    assert_recorded(tracking.tracks.class_logits, record["pred_logits"])
    assert_recorded(tracking.tracks.mask_logits().transpose(1, 2), record["pred_masks"])
    assert_recorded(tracking.tracks.query_embeds.permute(0, 3, 1, 2), record["pred_embds"])
    if kind == "legacy":
        assert_recorded(tracking.auxiliary[0].class_logits, record["aux0_logits"])
        alone = tracker.frame_forward(queries.query_embeds)
        assert_recorded(alone.permute(0, 3, 1, 2), record["frame_forward"])


@pytest.mark.parametrize("cuts", [[1], [2], [1, 2, 3]], ids=str)
@torch.no_grad()
def test_a_video_cut_anywhere_gives_the_same_tracks(cuts):
    tracker, queries = make_tracker(), recorded_case()
    whole, end = tracker(queries, None)
    state, parts = None, []
    for start, stop in zip([0, *cuts], [*cuts, 4], strict=True):
        part, state = tracker(queries.select_frames(slice(start, stop)), state)
        parts.append(part)
    for name in ("class_logits", "mask_embeds", "query_embeds"):
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state.reference, end.reference, rtol=1e-12, atol=1e-12)
    assert torch.equal(state.aligned, end.aligned)


@torch.no_grad()
def test_the_state_is_a_value():
    tracker, queries = make_tracker(), recorded_case()
    first, rest = queries.select_frames(slice(0, 2)), queries.select_frames(slice(2, 4))
    _, state = tracker(first, None)
    kept = state.reference.clone()
    once, _ = tracker(rest, state)
    again, _ = tracker(rest, state)
    assert torch.equal(once.class_logits, again.class_logits)
    assert torch.equal(state.reference, kept)


@torch.no_grad()
def test_the_order_of_queries_does_not_matter_after_the_first_frame():
    tracker, queries = make_tracker(), recorded_case()
    shuffle = torch.stack([torch.arange(7), *(torch.randperm(7) for _ in range(3))])[None]
    straight, _ = tracker(queries, None)
    shuffled, _ = tracker(queries.permute(shuffle), None)
    torch.testing.assert_close(shuffled.class_logits, straight.class_logits)


@torch.no_grad()
def test_clips_of_a_batch_do_not_meet():
    tracker = make_tracker()
    embeds = wave((2, 3, 7, 32), 0.4)
    features = wave((2, 3, 16, 2, 2))
    both, _ = tracker(frames_of(embeds, features), None)
    second, _ = tracker(frames_of(embeds[1:], features[1:]), None)
    torch.testing.assert_close(both.class_logits[1:], second.class_logits)


@torch.no_grad()
def test_pairwise_swaps_hide_the_inverse_and_cycles_show_it():
    embeds = torch.eye(32, dtype=torch.float64)[:3].expand(1, 2, -1, -1)
    features = wave((1, 2, 16, 2, 2))
    for order, same in (([1, 0, 2], True), ([1, 2, 0], False)):
        moved = torch.stack([embeds[:, 0], embeds[:, 0, order]], dim=1)
        queries = frames_of(moved, features)
        ours, legacy = (
            make_tracker(legacy_inverse_match=legacy).track(queries)[0].order
            for legacy in (False, True)
        )
        assert torch.equal(ours, legacy) == same
        assert ours[0, 1].tolist() == torch.tensor(order).argsort().tolist()


def test_gradients_run_through_time_to_every_parameter():
    tracker = make_tracker(depth=True).train()
    embeds = wave((1, 3, 7, 32)).requires_grad_()
    tracking, state = tracker.track(frames_of(embeds, wave((1, 3, 16, 2, 2))))
    assert not state.reference.requires_grad
    last = tracking.tracks
    (last.class_logits[:, 2].square().sum()).backward(retain_graph=True)
    assert embeds.grad[:, 0].abs().sum() > 0  # the first frame, through the references
    heads = (last.mask_logits(), last.depth_logits(), last.global_depth_logits())
    sum(x.square().sum() for x in heads).backward()
    assert [n for n, p in tracker.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_depth_and_memory_are_there_when_asked_for():
    queries = recorded_case()
    plain, _ = make_tracker()(queries, None)
    assert plain.frame_embeds is None
    assert not plain.has_depth
    rich, _ = make_tracker(depth=True, memory_for_refiner=True)(queries, None)
    assert rich.frame_embeds.shape == (1, 4, 7, 32)
    assert rich.depth_logits().shape == (1, 4, 7, 6, 8)
    assert rich.global_depth_logits().shape == (1, 4, 6, 8)


def test_another_number_of_queries_is_refused():
    tracker, queries = make_tracker(), recorded_case()
    _, state = tracker(queries, None)
    fewer = frames_of(queries.query_embeds[:, :, :5], queries.mask_features)
    with pytest.raises(ValueError, match="a stream must keep one model and one batch size"):
        tracker(fewer, state)
