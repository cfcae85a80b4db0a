import json
from pathlib import Path

import pytest
import torch

from dvps_d2.layers import SwinTransformer
from dvps_d2.layers.swin import (
    SIZES,
    PatchMerging,
    attend_with_bias,
    relative_positions,
    shifted_window_mask,
)

RECORD = json.loads((Path(__file__).parents[1] / "data" / "swin_small.json").read_text())
MILLIONS = {"T": 27.5, "S": 48.8, "B": 86.9, "L": 195.2}  # published sizes, without classifier


def wave(shape, phase=0.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(0.37 * k**1.1 + phase).reshape(shape)


def fill_with_waves(module):
    for number, (name, parameter) in enumerate(sorted(module.double().named_parameters())):
        k = torch.arange(parameter.numel(), dtype=torch.float64)
        values = 0.1 * torch.sin(0.7 * k + number)
        if "norm" in name and name.endswith("weight"):
            values += 1.0
        parameter.data.copy_(values.reshape(parameter.shape))
    return module.eval()


@pytest.mark.parametrize("grad", [False, True], ids=["fused attention", "plain attention"])
def test_reproduces_the_recorded_numbers(grad):
    swin = SwinTransformer(8, (2, 2, 2), (1, 2, 4), window_size=4)
    assert len(swin.state_dict()) == RECORD["keys"]
    with torch.set_grad_enabled(grad):
        outputs = fill_with_waves(swin)(wave((1, 3, 50, 70)))
    for output, record in zip(outputs, RECORD["outputs"].values(), strict=True):
        values = output.detach().flatten()
        assert list(output.shape) == record["shape"]
        first = torch.tensor(record["first"], dtype=torch.float64)
        torch.testing.assert_close(values[: len(first)], first, rtol=1e-8, atol=1e-9)
        assert values.sum().item() == pytest.approx(record["sum"], rel=1e-8)
        assert values.abs().sum().item() == pytest.approx(record["abs_sum"], rel=1e-8)


@pytest.mark.parametrize("size", "TSBL")
def test_sizes_are_the_published_ones(size):
    dim, depths, heads = SIZES[size]
    with torch.device("meta"):
        swin = SwinTransformer(dim, depths, heads, window_size=12 if size in "BL" else 7)
    count = sum(p.numel() for p in swin.parameters())
    assert count / 1e6 == pytest.approx(MILLIONS[size], abs=0.06)


def test_relative_positions_of_two_by_two_tokens():
    # Row 4 of the 3 x 3 table is "the same place"; one step right is row 5, one down row 7.
    assert relative_positions(2).tolist() == [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]


def test_shifted_windows_do_not_look_across_the_seam():
    mask = shifted_window_mask(2, 4, 2, torch.device("cpu"))  # two windows of 2 x 2
    first, last = mask.tolist()
    # Rows 0 and 1 of the first window come from different sides of the image.
    assert first == [[True, True, False, False]] * 2 + [[False, False, True, True]] * 2
    assert last == torch.eye(4, dtype=torch.bool).tolist()


def test_merging_takes_down_before_right():
    merge = PatchMerging(1)
    taken = []
    merge.norm.register_forward_pre_hook(lambda module, args: taken.append(args[0]))
    merge(torch.arange(4.0).view(1, 2, 2, 1))  # 0 1 / 2 3
    assert taken[0].flatten().tolist() == [0, 2, 1, 3]


def test_dropped_paths_keep_the_expectation_and_only_in_training():
    swin = SwinTransformer(8, (1, 1), (1, 2), window_size=2, drop_path_rate=0.5)
    block = swin.layers[1].blocks[0]
    assert [layer.blocks[0].drop_path for layer in swin.layers] == [0.0, 0.5]
    branch = torch.ones(2000, 1, 1, 1)
    assert torch.equal(block.eval()._dropped(branch), branch)
    torch.manual_seed(0)
    dropped = block.train()._dropped(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)


def test_stages_must_agree():
    with pytest.raises(ValueError, match=r"got \(2, 2\) and \(1, 2, 4\)"):
        SwinTransformer(8, (2, 2), (1, 2, 4))


def test_bias_attention_is_the_same_with_and_without_gradients():
    q, k, v = (wave((2, 2, 4, 3), phase) for phase in (0, 1, 2))
    bias = wave((2, 4, 4), 3)
    with torch.no_grad():
        fused = attend_with_bias(q, k, v, bias)
    torch.testing.assert_close(attend_with_bias(q, k, v, bias), fused)
