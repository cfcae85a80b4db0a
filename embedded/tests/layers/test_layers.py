"""Wrappers, norms and the other small layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detectron2.layers import (
    CNNBlockBase,
    Conv2d,
    CycleBatchNormList,
    FrozenBatchNorm2d,
    NaiveSyncBatchNorm,
    ShapeSpec,
    cat,
    cross_entropy,
    get_norm,
    nonzero_tuple,
)


def test_shape_spec_compares_by_value():
    assert ShapeSpec(channels=3) == ShapeSpec(3, None, None, None)
    assert ShapeSpec(channels=3, stride=4) != ShapeSpec(channels=3)


def test_convolution_applies_norm_then_activation():
    conv = Conv2d(1, 1, 1, bias=False, norm=nn.GroupNorm(1, 1), activation=F.relu)
    assert set(conv.state_dict()) == {"weight", "norm.weight", "norm.bias"}
    nn.init.ones_(conv.weight)
    y = conv(torch.tensor([[[[-1.0, 1.0]]]]))
    assert y.flatten().tolist() == pytest.approx([0, 1], abs=1e-4)


def test_cat_hands_a_single_tensor_back():
    one = torch.zeros(2)
    assert cat([one]) is one
    assert cat([one, one]).shape == (4,)


def test_nonzero_of_a_scalar_and_of_a_matrix():
    assert nonzero_tuple(torch.tensor(5))[0].tolist() == [0]
    rows, columns = nonzero_tuple(torch.tensor([[0, 1], [1, 0]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


def test_cross_entropy_of_nothing_is_zero_and_differentiable():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert cross_entropy(torch.zeros(1, 4), torch.tensor([1])).item() == pytest.approx(1.386294)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BN", nn.BatchNorm2d),
        ("SyncBN", nn.SyncBatchNorm),
        ("nnSyncBN", nn.SyncBatchNorm),
        ("FrozenBN", FrozenBatchNorm2d),
        ("GN", nn.GroupNorm),
        ("naiveSyncBN", NaiveSyncBatchNorm),
        ("naiveSyncBN_N", NaiveSyncBatchNorm),
        (lambda channels: nn.InstanceNorm2d(channels), nn.InstanceNorm2d),
    ],
)
def test_norms_by_name(name, kind):
    norm = get_norm(name, 64)
    assert type(norm) is kind
    assert norm(torch.zeros(2, 64, 2, 2)).shape == (2, 64, 2, 2)


def test_no_norm_and_unknown_norms():
    assert get_norm("", 4) is None
    assert get_norm(None, 4) is None
    with pytest.raises(KeyError):
        get_norm("NoSuchNorm", 4)


def test_layer_norm_over_channels(read_records, wave):
    record = read_records("b_layers")["layer_norm_channels_first"]
    norm = get_norm("LN", 6).double()
    assert not isinstance(norm, nn.LayerNorm)
    assert norm.eps == record["eps"]
    with torch.no_grad():
        norm.weight.copy_(wave((6,), 1) + 1)
        norm.bias.copy_(wave((6,), 2))
        y = norm(wave((2, 6, 3, 4)))
    assert list(y.shape) == record["output"]["shape"]
    assert y.sum().item() == pytest.approx(record["output"]["sum"], rel=1e-8)
    assert y.flatten()[:6].tolist() == pytest.approx(record["output"]["first"], rel=1e-8)


def test_a_fresh_frozen_norm_changes_nothing():
    norm = FrozenBatchNorm2d(2)
    assert not list(norm.parameters())
    assert set(norm.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
    assert norm.running_var[0].item() == pytest.approx(1 - 1e-5)
    x = torch.randn(1, 2, 3, 3)
    torch.testing.assert_close(norm(x), x)


def test_frozen_norm_keeps_the_dtype():
    x = torch.ones(1, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    assert FrozenBatchNorm2d(2)(x).dtype == torch.float64
    half = torch.ones(1, 2, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    assert FrozenBatchNorm2d(2)(half).dtype == torch.bfloat16


def filled_norm():
    norm = nn.BatchNorm2d(2, eps=1e-3)
    norm.running_mean.copy_(torch.tensor([1.0, 2]))
    norm.running_var.copy_(torch.tensor([4.0, 9]))
    return norm


def test_converting_norms_to_frozen_ones_and_back():
    module = nn.Sequential(Conv2d(2, 2, 1, norm=filled_norm()), nn.SyncBatchNorm(2))
    x = torch.randn(3, 2, 2, 2)
    expected = module.eval()(x)
    frozen = FrozenBatchNorm2d.convert_frozen_batchnorm(module)
    assert frozen is module
    assert isinstance(module[0].norm, FrozenBatchNorm2d)
    assert isinstance(module[1], FrozenBatchNorm2d)
    assert module[0].norm.eps == 1e-3
    torch.testing.assert_close(module.train()(x), expected)
    thawed = FrozenBatchNorm2d.convert_frozenbatchnorm2d_to_batchnorm2d(module)
    assert isinstance(thawed[0].norm, nn.BatchNorm2d)
    torch.testing.assert_close(thawed.eval()(x), expected)
    assert isinstance(FrozenBatchNorm2d.convert_frozen_batchnorm(filled_norm()), FrozenBatchNorm2d)


def test_old_files_without_statistics_load():
    norm = FrozenBatchNorm2d(2)
    result = norm.load_state_dict({"weight": torch.ones(2) * 3, "bias": torch.zeros(2)})
    assert not result.missing_keys
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_var.tolist() == [1, 1]


def test_naive_sync_norm_in_one_process_is_batch_norm():
    x = torch.randn(4, 3, 2, 2)
    naive, plain = NaiveSyncBatchNorm(3), nn.BatchNorm2d(3)
    torch.testing.assert_close(naive(x), plain(x))
    torch.testing.assert_close(naive.running_var, plain.running_var)


def test_cycle_uses_its_norms_in_turn():
    norms = CycleBatchNormList(2, num_features=1)
    low, high = torch.zeros(2, 1, 1, 2), torch.full((2, 1, 1, 2), 10.0)
    for x in (low, high, low, high):
        norms(x)
    assert norms[0].running_mean.item() == 0
    assert norms[1].running_mean.item() == pytest.approx(1.9)  # 10 * (1 - 0.9 ** 2)
    assert [name for name, _ in norms.named_parameters()] == ["weight", "bias"]


class Block(CNNBlockBase):
    """A block with a norm in it."""

    def __init__(self):
        super().__init__(1, 2, 4)
        self.conv = Conv2d(1, 2, 1, norm=nn.BatchNorm2d(2))


def test_a_frozen_block_learns_nothing():
    block = Block()
    assert (block.in_channels, block.out_channels, block.stride) == (1, 2, 4)
    assert block.freeze() is block
    assert not any(p.requires_grad for p in block.parameters())
    assert isinstance(block.conv.norm, FrozenBatchNorm2d)


def test_freezing_keeps_the_count_of_batches_that_checkpoints_have():
    norm = nn.BatchNorm2d(2)
    for _ in range(3):
        norm(torch.ones(2, 2, 1, 1))
    frozen = FrozenBatchNorm2d.convert_frozen_batchnorm(norm)
    assert frozen.state_dict().keys() == norm.state_dict().keys()
    assert frozen.num_batches_tracked == 3
    assert "num_batches_tracked" not in FrozenBatchNorm2d(2).state_dict()


def test_frozen_norm_is_the_same_with_and_without_a_gradient(wave):
    norm = FrozenBatchNorm2d(2)
    for number, buffer in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
        buffer.copy_(torch.tensor([0.5, 2.0]) + number)
    x = wave((1, 2, 3, 3), dtype=torch.float32)
    expected = (x[0, 1] - 4.0) / (5.0 + 1e-5) ** 0.5 * 2.0 + 3.0
    for given in (x, x.clone().requires_grad_()):
        torch.testing.assert_close(norm(given)[0, 1], expected)
