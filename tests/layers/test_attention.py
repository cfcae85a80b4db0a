import pytest
import torch

from dvps_d2.layers import (
    CrossAttentionLayer,
    MultiheadAttention,
    SelfAttentionLayer,
    attend,
    open_empty_rows,
)

F64 = torch.float64


@pytest.fixture
def pair():
    """Ours and PyTorch's, with the same weights."""
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=F64)
    torch.nn.init.normal_(theirs.in_proj_bias)
    ours = MultiheadAttention(8, 2).to(F64)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("same", [True, False], ids=["self", "cross"])
def test_equals_pytorchs_attention_with_the_same_weights(pair, same):
    ours, theirs = pair
    query, value = torch.randn(2, 3, 8, dtype=F64), torch.randn(2, 3, 8, dtype=F64)
    key = query if same else torch.randn(2, 3, 8, dtype=F64)
    allowed = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1]], dtype=torch.bool)
    expected = theirs(query, key, value, attn_mask=~allowed, need_weights=False)[0]
    torch.testing.assert_close(ours(query, key, value, allowed), expected)


def test_a_query_that_sees_one_cell_returns_its_value():
    attention = MultiheadAttention(4, 2)
    with torch.no_grad():
        attention.in_proj_weight[8:].copy_(torch.eye(4))
        attention.out_proj.weight.copy_(torch.eye(4))
    values = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]])
    allowed = torch.tensor([[[[False, True]]]])
    seen = attention(torch.randn(1, 1, 4), torch.randn(1, 2, 4), values, allowed)
    torch.testing.assert_close(seen[0, 0], values[0, 1])


@pytest.mark.parametrize("masked", [False, True])
def test_training_on_a_cpu_gives_what_inference_gives(masked):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 4, 8, dtype=F64)  # (N, M, tokens, D) each
    allowed = open_empty_rows(torch.rand(2, 1, 4, 4) > 0.5) if masked else None
    with torch.no_grad():
        inference = attend(query, key, value, allowed)
    torch.testing.assert_close(attend(query, key, value, allowed), inference)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="num_heads=3 must divide dim=8"):
        MultiheadAttention(8, 3)


def test_position_takes_part_in_looking_but_not_in_what_is_read():
    layer = SelfAttentionLayer(8, 2).to(F64)
    x, position = torch.randn(1, 3, 8, dtype=F64), torch.randn(3, 8, dtype=F64)
    moved = layer(x, position=position)
    assert not torch.allclose(moved, layer(x))
    alone = x[:, :1]  # with one token, attention has no choice, so the position cannot matter
    torch.testing.assert_close(layer(alone, position=position[:1]), layer(alone))


def test_cross_attention_ignores_cells_that_are_not_allowed():
    layer = CrossAttentionLayer(8, 2).to(F64)
    x, memory = torch.randn(1, 2, 8, dtype=F64), torch.randn(1, 4, 8, dtype=F64)
    allowed = torch.tensor([[True, True, False, False], [True, False, True, False]])
    before = layer(x, memory, memory, allowed=allowed)
    memory = memory.clone()
    memory[:, 3] = 100.0
    assert torch.equal(layer(x, memory, memory, allowed=allowed), before)
    memory[:, 2] = 100.0
    after = layer(x, memory, memory, allowed=allowed)
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.allclose(after[:, 1], before[:, 1])


def test_only_rows_without_any_open_cell_are_opened():
    allowed = torch.tensor([[False, False], [True, False], [True, True]])
    opened = torch.tensor([[True, True], [True, False], [True, True]])
    assert torch.equal(open_empty_rows(allowed), opened)
