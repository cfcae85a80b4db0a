import json
from pathlib import Path

import pytest
import torch

from dvps_d2.layers.flow import warp
from dvps_d2.segmenter.boxes.temporal_fusion import FuseNeck, GatherNeck, gather, redistribute

RECORDS = json.loads((Path(__file__).parents[2] / "data" / "vpsnet_fuse_neck.json").read_text())
NAMES = ("p2", "p3", "p4", "p5", "p6")


def wave(shape, phase=0.0, scale=1.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.37 * k**1.1 + phase)).reshape(shape)


def fill_with_waves(module):
    """Parameters sorted by name; number i gets 0.1 sin(0.7 k + i)."""
    for number, (_, parameter) in enumerate(sorted(module.double().named_parameters())):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data.copy_((0.1 * torch.sin(0.7 * k + number)).reshape(parameter.shape))
    return module.eval()


def pyramid(phase):
    return {n: wave((1, 8, 16 >> i, 32 >> i), i + phase) for i, n in enumerate(NAMES)}


def assert_recorded(tensor, record):
    assert list(tensor.shape) == record["shape"]
    assert tensor.sum().item() == pytest.approx(record["sum"], abs=2e-6)
    assert tensor.abs().sum().item() == pytest.approx(record["abs"], abs=2e-6)
    assert tensor.flatten()[:4].tolist() == pytest.approx(record["first"], abs=2e-6)


@torch.no_grad()
def test_the_published_neck_is_reproduced():
    neck = fill_with_waves(FuseNeck(8))
    key, reference, flow = pyramid(0), pyramid(10), wave((1, 2, 16, 32), 5, 1.5)
    merged = gather(list(reference.values()))
    assert_recorded(gather(list(key.values())), RECORDS["gather"])
    assert_recorded(warp(merged, flow, legacy=True), RECORDS["warp"])
    fused = neck(key, merged, flow)
    assert_recorded(fused["p2"], RECORDS["fuse_out0"])
    assert_recorded(fused["p6"], RECORDS["fuse_out4"])


def test_gathering_sums_or_averages_by_nearest_neighbour():
    levels = [torch.zeros(1, 1, 2, 4), torch.tensor([[[[2.0, 6.0]]]])]
    drawn = torch.tensor([[2.0, 2.0, 6.0, 6.0]] * 2)
    assert torch.equal(gather(levels, "sum")[0, 0], drawn)
    assert torch.equal(gather(levels, "mean")[0, 0], drawn / 2)


def test_redistribution_adds_the_maximum_of_each_cell():
    merged = torch.tensor([[[[1.0, 5.0, 0.0, -1.0], [2.0, 3.0, -2.0, -3.0]]]])
    levels = [torch.zeros(1, 1, 2, 4), torch.tensor([[[[10.0, 20.0]]]])]
    fine, coarse = redistribute(merged, levels)
    assert torch.equal(fine, merged)
    assert coarse.flatten().tolist() == [15.0, 20.0]


def test_the_base_neck_has_no_parameters_and_keeps_names():
    neck = GatherNeck()
    assert list(neck.parameters()) == []
    out = neck(pyramid(0))
    assert list(out) == list(NAMES)


@pytest.mark.parametrize(
    ("align", "attend", "parts"),
    [
        (True, False, {"liteflownet", "refine"}),
        (False, True, {"tcea_fusion", "refine"}),
        (False, False, {"refine"}),
    ],
)
def test_ablations_drop_their_parts(align, attend, parts):
    neck = FuseNeck(8, align=align, attend=attend).double()
    assert {name.split(".")[0] for name, _ in neck.named_parameters()} == parts
    out = neck(pyramid(0), wave((1, 8, 16, 32), 9), wave((1, 2, 16, 32)) if align else None)
    sum(level.sum() for level in out.values()).backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_alignment_alone_sees_a_moved_reference_where_it_was():
    """With the right flow and no residual, a shifted reference looks like the key frame."""
    neck = FuseNeck(8, attend=False, legacy_warp=False).double()
    neck.liteflownet.flow_estimator["convs"][-1].weight.data.zero_()
    key = wave((1, 8, 8, 16))
    moved = torch.roll(key, 3, dims=-1)
    flow = torch.zeros(1, 2, 8, 16, dtype=torch.float64)
    flow[:, 0] = 3
    aligned = neck.liteflownet(key, moved, flow)
    torch.testing.assert_close(aligned[..., :13], key[..., :13])
    assert torch.equal(aligned[..., 13:], torch.zeros_like(aligned[..., 13:]))
