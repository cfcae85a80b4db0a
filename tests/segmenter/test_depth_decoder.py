import pytest
import torch

from dvps_d2.segmenter import DepthDecoder, MaskedAttentionDecoder

F64 = torch.float64
SIZES = {
    "hidden_dim": 16,
    "num_queries": 3,
    "num_layers": 2,
    "num_heads": 2,
    "feedforward_dim": 24,
    "mask_dim": 8,
    "num_levels": 2,
}


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return DepthDecoder(**SIZES).to(F64).requires_grad_(False)


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    levels = [torch.randn(2, 16, 1, 2, dtype=F64), torch.randn(2, 16, 2, 4, dtype=F64)]
    masks = [torch.zeros(2, 3, 2, dtype=torch.bool), torch.zeros(2, 3, 8, dtype=torch.bool)]
    for mask in masks:
        mask[..., 0] = True
    return levels, masks


def test_one_prediction_per_supervised_layer(decoder, inputs):
    predictions = decoder(*inputs)
    assert len(predictions) == 3
    for prediction in predictions:
        assert prediction.depth_embeds.shape == (2, 3, 8)
        assert prediction.global_depth.shape == (2, 8)


def test_instances_read_inside_their_masks_and_the_global_query_everywhere(decoder, inputs):
    levels, masks = inputs
    for layer in decoder.transformer_self_attention_layers:  # keep the queries apart
        layer.self_attn.out_proj.weight.zero_()
    before = decoder(levels, masks)[-1]
    changed = [level.clone() for level in levels]
    changed[0][..., 1] += 1.0  # a cell outside every mask
    after = decoder(changed, masks)[-1]
    assert torch.equal(before.depth_embeds, after.depth_embeds)
    assert not torch.isclose(before.global_depth, after.global_depth).any()


def test_without_masked_attention_instances_read_everything(inputs):
    torch.manual_seed(0)
    decoder = DepthDecoder(**SIZES, masked_attention=False).to(F64).requires_grad_(False)
    for layer in decoder.transformer_self_attention_layers:  # keep the queries apart
        layer.self_attn.out_proj.weight.zero_()
    levels, masks = inputs
    before = decoder(levels, masks)[-1]
    assert torch.equal(decoder(levels, [~mask for mask in masks])[-1].depth_embeds, before[0])
    changed = [level.clone() for level in levels]
    changed[0][..., 1] += 1.0  # a cell outside every mask
    after = decoder(changed, masks)[-1]
    assert not torch.isclose(before.depth_embeds, after.depth_embeds).any()


def test_without_global_query_it_has_no_parameters_and_no_prediction(decoder, inputs):
    torch.manual_seed(0)
    without = DepthDecoder(**SIZES, global_query=False).to(F64).requires_grad_(False)
    gone = set(decoder.state_dict()) - set(without.state_dict())
    assert gone == {"global_depth_feat.weight", "global_depth_embed.weight"}
    assert set(without.state_dict()) < set(decoder.state_dict())
    for prediction in without(*inputs):
        assert prediction.depth_embeds.shape == (2, 3, 8)
        assert prediction.global_depth is None


def test_layers_of_the_head_and_of_the_features():
    plain = DepthDecoder(**SIZES)
    assert len(plain.depth_embed.layers) == 3
    assert plain.features(torch.ones(1, 8, 2, 2)) is None
    other = DepthDecoder(**SIZES, head_layers=1, feature_layers=1).requires_grad_(False)
    assert len(other.depth_embed.layers) == 1
    (layer,) = other.feature_embed.layers
    layer.weight.copy_(2 * torch.eye(8))
    layer.bias.copy_(torch.arange(8.0))
    features = torch.ones(1, 8, 2, 3)
    found = other.features(features)
    assert found.shape == (1, 8, 2, 3)
    assert found[0, :, 1, 2].tolist() == [2.0 + channel for channel in range(8)]


def test_permuting_queries_and_masks_permutes_the_embeddings(decoder, inputs):
    levels, masks = inputs
    masks[0][:, 1] = True
    masks[1][:, 2, 3] = True
    before = decoder(levels, masks)[-1]
    order = [2, 0, 1]
    for table in (decoder.query_feat, decoder.query_embed):
        table.weight.copy_(table.weight[order])
    after = decoder(levels, [mask[:, order] for mask in masks])[-1]
    torch.testing.assert_close(after.depth_embeds, before.depth_embeds[:, order])
    torch.testing.assert_close(after.global_depth, before.global_depth)


def test_copy_from_takes_everything_but_the_head_and_the_global_query(decoder):
    source = MaskedAttentionDecoder(num_classes=4, **SIZES).to(F64)
    own = {name: value.clone() for name, value in decoder.state_dict().items()}
    decoder.copy_from(source)
    copied, kept = set(), set()
    for name, value in decoder.state_dict().items():
        (kept if torch.equal(value, own[name]) else copied).add(name.split(".")[0])
        if name in source.state_dict():
            assert torch.equal(value, source.state_dict()[name])
    assert {"query_feat", "level_embed", "transformer_cross_attention_layers"} <= copied
    assert {"depth_embed", "global_depth_feat", "global_depth_embed"} <= kept


def test_copy_from_names_the_parameter_that_does_not_fit(decoder):
    source = MaskedAttentionDecoder(num_classes=4, **{**SIZES, "feedforward_dim": 32})
    with pytest.raises(ValueError, match=r"linear1.weight: it is \(24, 16\) here and \(32, 16\)"):
        decoder.copy_from(source)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        pytest.param(lambda masks: masks[:1], r"one per layer \(2\), got 1", id="layers"),
        pytest.param(lambda masks: [m[:, :2] for m in masks], "3 queries, got 2", id="queries"),
    ],
)
def test_masks_of_another_decoder_are_refused(decoder, inputs, cut, message):
    levels, masks = inputs
    with pytest.raises(ValueError, match=message):
        decoder(levels, cut(masks))
