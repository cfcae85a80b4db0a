"""The criterion as a whole: names, weights, invariances, corner cases."""

import math
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist

from dvps_d2.depth import DepthActivation
from dvps_d2.losses import (
    DenseSampling,
    DepthLoss,
    FrameTargets,
    HungarianMatcher,
    LossWeights,
    PointSampling,
    SetCriterion,
    make_denoising,
)
from dvps_d2.losses.criterion import class_loss
from dvps_d2.losses.processes import mean_over_processes
from dvps_d2.structures import ClipTargets, FrameQueries, SegmenterOutput
from dvps_d2.testing import draw_queries, draw_targets

ROAD, CAR, TREE = 0, 1, 2
CLASSES = {"A": ROAD, "B": CAR, "C": TREE}
DRAWING = ["AABB AACC"]
ACTIVATION = DepthActivation("linear", 0.0, 80.0)
METRES = {"A": 20.0, "B": 40.0, "C": 60.0, ".": 10.0}
LOGITS = {k: ACTIVATION.logit(torch.tensor(v)).item() for k, v in METRES.items()}


def criterion(num_classes=3, *, sampling=None, scope="frame", min_cells=0.3, **options):
    matcher = HungarianMatcher(
        sampling=sampling or DenseSampling(), scope=scope, min_cells=min_cells
    )
    return SetCriterion(num_classes, matcher, depth_loss=DepthLoss(ACTIVATION), **options)


def depth_of(drawing, metres=METRES):
    rows = drawing.split()
    return torch.tensor([[[metres[letter] for letter in row] for row in rows]])


def drawn(drawing=DRAWING, slots=None, sureness=10.0):
    targets = draw_targets(drawing, CLASSES, depth_of(drawing[0]))
    queries = draw_queries(
        drawing, CLASSES, num_classes=3, slots=slots, sureness=sureness, metres=LOGITS
    )
    return queries, targets


def random_queries(*, clips=2, frames=1, queries=5, grid=(4, 6), seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        values = torch.randn(clips, frames, *shape, generator=generator)
        return values.to(dtype).requires_grad_()

    return FrameQueries(
        class_logits=draw(queries, 4),
        mask_features=draw(8, *grid),
        mask_embeds=draw(queries, 8),
        query_embeds=draw(queries, 8),
        depth_embeds=draw(queries, 8),
        global_depth=draw(8),
    )


def leaves(queries):
    """Tensors that the losses must reach; query embeddings are for trackers."""
    names = ("class_logits", "mask_features", "mask_embeds", "depth_embeds", "global_depth")
    return {name: getattr(queries, name) for name in names}


def test_perfect_prediction_costs_almost_nothing():
    queries, targets = drawn()
    losses = criterion()(SegmenterOutput(queries), [targets])
    assert set(losses) == {"loss_class", "loss_mask", "loss_dice", "loss_depth"}
    for name, value in losses.items():
        assert value.item() == pytest.approx(0, abs=2e-3), name


def test_values_on_a_drawn_frame_by_hand():
    # One query with all logits 0; the segment covers 4 of 8 cells. Depth is 40 m everywhere.
    targets = draw_targets(["AA.. AA.."], {"A": ROAD}, torch.full((1, 2, 4), 20.0))
    queries = draw_queries(
        ["AA.. AA.."], {"A": ROAD}, num_classes=3, sureness=0.0, metres={"A": 0.0, ".": 0.0}
    )
    losses = criterion()(SegmenterOutput(queries), [targets])
    assert losses["loss_class"].item() == pytest.approx(2 * math.log(4))
    assert losses["loss_mask"].item() == pytest.approx(5 * math.log(2))
    # Probability 0.5 on 8 cells, 2 x 0.5 x 4 shared: 1 - (4 + 1) / (4 + 4 + 1).
    assert losses["loss_dice"].item() == pytest.approx(5 * 4 / 9)
    # Everywhere twice too far: the log term is 0 at full focus, both relative terms are 1.
    assert losses["loss_depth"].item() == pytest.approx(2.0, abs=1e-4)


def test_segment_queries_answer_for_depth_inside_their_segments():
    # The depth query of B says 80 m; only B's two of eight cells are wrong, by a factor of 2.
    queries, targets = drawn()
    queries = replace(queries, depth_embeds=queries.depth_embeds.clone())
    queries.depth_embeds[0, 0, 1, -1] = 1e4
    terms = {"si_weight": 0.0, "sq_weight": 0.0}
    matcher = HungarianMatcher(sampling=DenseSampling())
    losses = SetCriterion(3, matcher, depth_loss=DepthLoss(ACTIVATION, **terms))(
        SegmenterOutput(queries), [targets]
    )
    assert losses["loss_depth"].item() == pytest.approx(2 / 8, abs=1e-4)


def test_global_depth_outside_segments_and_its_dense_loss():
    # C has no query, so its two cells (60 m) are left to the global query, which says 10 m; the
    # dense loss holds the global query to all eight cells.
    queries, targets = drawn(slots=["AB"])
    matcher = HungarianMatcher(sampling=DenseSampling())
    depth_loss = DepthLoss(ACTIVATION, si_weight=0.0, sq_weight=0.0)
    weights = LossWeights(global_depth=2.0)
    losses = SetCriterion(3, matcher, depth_loss=depth_loss, weights=weights)(
        SegmenterOutput(queries), [targets]
    )
    assert losses["loss_depth"].item() == pytest.approx(50 / 60 * 2 / 8, abs=1e-4)
    everywhere = (4 * (20 - 10) / 20 + 2 * (40 - 10) / 40 + 2 * (60 - 10) / 60) / 8
    assert losses["loss_global_depth"].item() == pytest.approx(2 * everywhere, abs=1e-4)


def test_weights_are_applied_once_to_every_layer():
    queries, targets = drawn(sureness=1.0)
    output = SegmenterOutput(queries, auxiliary=(queries, queries))
    plain = criterion(weights=LossWeights(1, 1, 1, 1, 1))(output, [targets])
    heavy = criterion(weights=LossWeights(2, 3, 4, 5, 6))(output, [targets])
    expected = {"class": 2, "mask": 3, "dice": 4, "depth": 5, "global_depth": 6}
    assert set(plain) == {f"loss_{k}{s}" for k in expected for s in ("", "_aux0", "_aux1")}
    for kind, weight in expected.items():
        for suffix in ("", "_aux0", "_aux1"):
            name = f"loss_{kind}{suffix}"
            torch.testing.assert_close(heavy[name], weight * plain[name])


def test_permuting_queries_or_targets_changes_nothing():
    targets = draw_targets(["AABB AACC"] * 2, CLASSES, depth_of(DRAWING[0]).expand(2, -1, -1))
    queries = random_queries(clips=1, frames=2, grid=(2, 4))
    before = criterion()(SegmenterOutput(queries), [targets])
    order = torch.tensor([[[4, 2, 0, 1, 3], [1, 0, 2, 4, 3]]])
    rows = torch.tensor([2, 0, 1])
    shuffled = ClipTargets(
        targets.class_ids[rows], targets.track_ids[rows], targets.masks[rows], targets.depth
    )
    after = criterion()(SegmenterOutput(queries.permute(order)), [shuffled])
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


@pytest.mark.parametrize("sampling", [DenseSampling(), PointSampling(64)], ids=["dense", "points"])
@pytest.mark.parametrize(
    "drawings",
    [
        pytest.param([["........ ........"], ["........ ........"]], id="no segment at all"),
        pytest.param([["AAAABBBB AAAACCCC"], ["........ ........"]], id="none in one frame"),
        pytest.param([["AAAAAAAB AAAAAAAA"], ["AAAACCCC AAAACCCC"]], id="one that vanishes"),
        pytest.param([["ABCABCAB CABCABCA"], ["AAAAAAAA AAAAAAAA"]], id="thin ones"),
    ],
)
@pytest.mark.parametrize("depth", ["measured", "none measured", "absent"])
def test_losses_and_gradients_are_finite(sampling, drawings, depth):
    clips = []
    for drawing in drawings:
        letters = {k: v for k, v in CLASSES.items() if k in drawing[0]}
        metres = {"measured": depth_of(drawing[0]), "none measured": torch.zeros(1, 2, 8)}
        clips.append(draw_targets(drawing, letters, metres.get(depth)))
    queries = random_queries(queries=2, grid=(1, 4))  # fewer than some frames have segments
    losses = criterion(sampling=sampling)(SegmenterOutput(queries), clips)
    assert ("loss_depth" in losses) == (depth != "absent")
    assert all(value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    for name, tensor in leaves(queries).items():
        if depth == "absent" and name in ("depth_embeds", "global_depth"):
            continue
        # Connected even where there is nothing to learn: unused parameters stall DDP.
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name


@pytest.mark.parametrize("sampling", [DenseSampling(), PointSampling(64)], ids=["dense", "points"])
def test_losses_are_float32_under_autocast(sampling):
    queries = random_queries(clips=1, grid=(2, 4), dtype=torch.bfloat16)
    _, targets = drawn()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = criterion(sampling=sampling)(SegmenterOutput(queries), [targets])
    assert {value.dtype for value in losses.values()} == {torch.float32}
    sum(losses.values()).backward()
    assert queries.mask_embeds.grad.isfinite().all()


def test_absent_segments_are_no_targets_unless_kept():
    # Two queries say A and B in both frames; frame 1 shows no B.
    frames = ["AABB AABB", "AAAA AAAA"]
    targets = draw_targets(frames, {"A": ROAD, "B": CAR})
    queries = draw_queries(
        frames, [{"A": ROAD, "B": CAR}, {"A": ROAD}], num_classes=3, slots=["AB", "AB"]
    )
    left_out = criterion()(SegmenterOutput(queries), [targets])
    assert left_out["loss_class"].item() == pytest.approx(0, abs=1e-3)
    kept = criterion(keep_absent=True)(SegmenterOutput(queries), [targets])
    # Now the query without a mask should have said B: 10 nats, one of four equal weights, times 2.
    assert kept["loss_class"].item() == pytest.approx(2 * 10 / 4, abs=1e-2)
    assert kept["loss_mask"].item() == pytest.approx(0, abs=1e-2)


def test_tube_losses_equal_those_of_one_wide_frame():
    targets = draw_targets(["AABB", "ABBB"], {"A": ROAD, "B": CAR})
    queries = random_queries(clips=1, frames=2, grid=(1, 4))
    # The same query in both frames, so that the frames can be laid side by side.
    same = {k: v[:, :1].expand(-1, 2, *v.shape[2:]) for k, v in leaves(queries).items()}
    features = queries.mask_features
    queries = replace(queries, **same | {"mask_features": features})
    wide = replace(
        queries.select_frames(slice(1)),
        mask_features=torch.cat(features.unbind(1), dim=-1).unsqueeze(1),
    )
    wide_targets = ClipTargets(
        targets.class_ids, targets.track_ids, torch.cat(targets.masks.unbind(1), -1).unsqueeze(1)
    )
    by_tube = criterion(scope="clip", keep_absent=True)(SegmenterOutput(queries), [targets])
    by_frame = criterion()(SegmenterOutput(wide), [wide_targets])
    for name, value in by_frame.items():
        torch.testing.assert_close(by_tube[name], value)


def test_pairs_of_other_queries_can_be_used():
    queries, targets = drawn(slots=["ABC"])
    other, _ = drawn(slots=["BCA"])
    own = criterion()(SegmenterOutput(queries), [targets])
    borrowed = criterion()(SegmenterOutput(queries), [targets], matched_by=other)
    assert own["loss_class"] < 1e-2
    # Every query is asked for another class: 10 nats each, times 2.
    assert borrowed["loss_class"].item() == pytest.approx(20, abs=1e-2)


def test_denoising_losses_of_queries_that_restored_everything():
    queries, targets = drawn()
    _, plan = make_denoising([targets], 3, groups=2, grid=(2, 4))
    restored, _ = drawn(slots=["ABCABC"])
    output = SegmenterOutput(queries, auxiliary=(queries,), denoising=(restored, restored))
    losses = criterion()(output, [targets], plan)
    names = {f"loss_{k}_dn{s}" for k in ("class", "mask", "dice") for s in ("", "_aux0")}
    assert names < set(losses)
    for name in names:
        assert losses[name].item() == pytest.approx(0, abs=2e-3), name
    swapped, _ = drawn(slots=["ABCBAC"])  # the second group has two of three wrong
    output = SegmenterOutput(queries, denoising=(swapped,))
    wrong = criterion(weights=LossWeights(denoising=0.5))(output, [targets], plan)
    assert wrong["loss_class_dn"].item() == pytest.approx(0.5 * 2 * 10 * 2 / 6, abs=1e-2)


def test_denoising_without_any_segment():
    targets = draw_targets([".... ...."], {})
    queries = random_queries(clips=1, grid=(2, 4))
    _, plan = make_denoising([targets], 3, groups=2, grid=(2, 4))
    noised = random_queries(clips=1, queries=2, grid=(2, 4), seed=1)
    losses = criterion()(SegmenterOutput(queries, denoising=(noised,)), [targets], plan)
    sum(losses.values()).backward()
    for name in ("class", "mask", "dice"):
        assert losses[f"loss_{name}_dn"].item() == 0
    assert noised.mask_embeds.grad.isfinite().all()


def test_class_loss_is_a_weighted_mean():
    # One matched query that is sure and right, one "no object" query that is undecided.
    logits = torch.tensor([[[30.0, 0.0], [0.0, 0.0]]])
    loss = class_loss(logits, torch.tensor([[0, 1]]), torch.tensor([1.0, 0.1]))
    assert loss.item() == pytest.approx(0.1 * math.log(2) / 1.1)
    nothing = class_loss(logits, torch.tensor([[1, 1]]), torch.tensor([1.0, 0.0]))
    assert nothing.item() == 0


def test_no_object_weight_has_the_published_name():
    state = criterion(no_object_weight=0.25).state_dict()
    assert state["empty_weight"].tolist() == [1, 1, 1, 0.25]


def test_more_masks_do_not_mean_more_loss():
    # Mask losses are means over segments: the same frame twice in a batch changes nothing.
    queries, targets = drawn(sureness=0.5)
    twice = replace(
        queries, **{k: v.repeat_interleave(2, 0) for k, v in vars(queries).items() if v is not None}
    )
    once = criterion()(SegmenterOutput(queries), [targets])
    both = criterion()(SegmenterOutput(twice), [targets, targets])
    for name, value in once.items():
        torch.testing.assert_close(both[name], value)


def test_count_is_at_least_one_without_processes():
    assert mean_over_processes(torch.tensor(0.0)).item() == 1
    assert mean_over_processes(torch.tensor(7.0)).item() == 7


def test_count_is_averaged_over_processes(tmp_path):
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        count = torch.tensor(3.0)
        assert mean_over_processes(count).item() == 3
        assert count.item() == 3
    finally:
        dist.destroy_process_group()


def test_what_does_not_fit_is_named():
    queries, targets = drawn()
    with pytest.raises(ValueError, match=r"3 classes .* num_classes=7"):
        criterion(7)(SegmenterOutput(queries), [targets])
    with pytest.raises(ValueError, match="predictions are for 1 clips of 1 frames, targets for 2"):
        criterion()(SegmenterOutput(queries), [targets, targets])
    wrong = ClipTargets(targets.class_ids + 5, targets.track_ids, targets.masks, targets.depth)
    with pytest.raises(ValueError, match=r"must be in 0..2, got \[5, 6, 7\]"):
        criterion()(SegmenterOutput(queries), [wrong])
    _, plan = make_denoising([targets], 3, groups=1, grid=(2, 4))
    with pytest.raises(ValueError, match="0 layers, the plan is given"):
        criterion()(SegmenterOutput(queries), [targets], plan)
    with pytest.raises(ValueError, match="1 layers, the plan is missing"):
        criterion()(SegmenterOutput(queries, denoising=(queries,)), [targets])


def test_stacked_targets_give_the_same_losses():
    queries, targets = drawn(sureness=0.5)
    one = criterion()(SegmenterOutput(queries), [targets])
    two = criterion()(SegmenterOutput(queries), FrameTargets.from_clips([targets]))
    assert all(torch.equal(one[name], two[name]) for name in one)
