"""Losses as a teacher: gradients lead to the drawn answer, and reach a whole model."""

from dataclasses import replace

import pytest
import torch

from dvps_d2.depth import DepthActivation, compose
from dvps_d2.losses import DenseSampling, DepthLoss, HungarianMatcher, PointSampling, SetCriterion
from dvps_d2.structures import FrameQueries, SegmenterOutput, StreamState
from dvps_d2.testing import draw_targets, random_clip, tiny_pipeline

ACTIVATION = DepthActivation("log", 1.0, 80.0)


def build(num_classes, sampling):
    matcher = HungarianMatcher(sampling=sampling)
    return SetCriterion(num_classes, matcher, depth_loss=DepthLoss(ACTIVATION, variance_focus=0.85))


@pytest.mark.parametrize("sampling", [DenseSampling(), PointSampling(256)], ids=["dense", "points"])
def test_free_queries_learn_a_drawn_frame(sampling):
    torch.manual_seed(0)
    depth = torch.tensor([[[5.0, 5, 20, 20], [5, 5, 20, 40], [5, 5, 20, 20]]])
    targets = draw_targets(["AABB AAB. AABB"], {"A": 0, "B": 2}, depth)

    def parameter(*shape):
        return (0.5 * torch.randn(1, 1, *shape)).requires_grad_()

    fields = {
        "class_logits": parameter(4, 4),
        "mask_features": parameter(12, 3, 4),
        "mask_embeds": parameter(4, 12),
        "depth_embeds": parameter(4, 12),
        "global_depth": parameter(12),
    }
    queries = FrameQueries(**fields, query_embeds=torch.zeros(1, 1, 4, 12))
    criterion = build(3, sampling)
    optimizer = torch.optim.Adam(fields.values(), lr=0.05)
    totals = []
    for _ in range(150):
        loss = sum(criterion(SegmenterOutput(queries), [targets]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    # Points between two cells see a bit of both, so their losses cannot reach zero.
    assert totals[-1] < (0.1 if isinstance(sampling, DenseSampling) else 0.5) * totals[0]
    classes = queries.class_logits[0, 0].argmax(-1).tolist()
    assert sorted(classes) == [0, 2, 3, 3]  # A, B, and twice "no object"
    found = [classes.index(0), classes.index(2)]
    masks = queries.mask_logits()[0, 0, found] > 0
    assert torch.equal(masks, targets.masks[:, 0])
    metres = ACTIVATION(queries.depth_logits()[0, 0, found])
    everywhere = ACTIVATION(queries.global_depth_logits()[0, 0])
    torch.testing.assert_close(compose(everywhere, metres, masks), depth[0], rtol=0.15, atol=0)


def test_every_parameter_of_a_model_gets_a_gradient():
    pipeline = tiny_pipeline(num_classes=4).train()
    clip = random_clip(2)
    halves = " ".join(["A" * 32 + "B" * 32] * 64)
    depth = torch.full((2, 64, 64), 10.0, dtype=torch.float64)
    targets = replace(draw_targets([halves] * 2, {"A": 0, "B": 3}), depth=depth)
    output, _ = pipeline.raw(clip, StreamState())
    losses = build(4, DenseSampling())(output.segmented, [targets])
    layers = len(output.segmented.auxiliary)
    names = ("class", "mask", "dice", "depth")
    suffixes = ["", *(f"_aux{i}" for i in range(layers))]
    assert set(losses) == {f"loss_{name}{suffix}" for name in names for suffix in suffixes}
    sum(losses.values()).backward()
    without = [name for name, p in pipeline.named_parameters() if p.grad is None]
    assert without == []
