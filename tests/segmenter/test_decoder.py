import pytest
import torch
import torch.nn.functional as F

from dvps_d2.segmenter import MaskedAttentionDecoder
from dvps_d2.segmenter.decoder import attention_mask, resize_for_attention

F64 = torch.float64


def small(**changes):
    torch.manual_seed(0)
    sizes = {
        "hidden_dim": 16,
        "num_queries": 5,
        "num_classes": 3,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_dim": 24,
        "mask_dim": 8,
        "num_levels": 2,
    }
    return MaskedAttentionDecoder(**{**sizes, **changes}).to(F64)


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    levels = [torch.randn(2, 16, 2, 4, dtype=F64), torch.randn(2, 16, 4, 8, dtype=F64)]
    return torch.randn(2, 8, 8, 16, dtype=F64), levels


def test_mask_is_open_where_the_mask_has_probability_one_half_or_more():
    features = torch.tensor([[[-1.0, 0.0, 1.0]]])
    embeds = torch.tensor([[[1.0], [-1.0], [0.0]]])
    assert attention_mask(embeds, features).int().tolist() == [[[0, 1, 1], [1, 1, 0], [1, 1, 1]]]


def test_resized_features_give_the_resized_mask_logits(inputs):
    mask_features, _ = inputs
    embeds = torch.randn(2, 5, 8, dtype=F64)
    logits = torch.einsum("nqc,nchw->nqhw", embeds, mask_features)
    for size, features in zip(
        [(2, 4), (3, 5)], resize_for_attention(mask_features, [(2, 4), (3, 5)]), strict=True
    ):
        expected = F.interpolate(logits, size=size, mode="bilinear").flatten(2)
        torch.testing.assert_close(embeds @ features, expected)


def test_masks_that_are_empty_everywhere_open_the_whole_frame(inputs):
    decoder = small()
    with torch.no_grad():
        decoder.mask_embed.layers[-1].weight.zero_()
        decoder.mask_embed.layers[-1].bias.fill_(-1.0)
    output = decoder(torch.ones_like(inputs[0]), inputs[1])  # every mask logit is -8
    assert all(mask.all() for mask in output.attention_masks)
    assert all(layer.class_logits.isfinite().all() for layer in output.layers)


def test_attention_masks_are_those_of_the_prediction_before(inputs):
    output = small()(*inputs)
    resized = resize_for_attention(inputs[0], [(2, 4), (4, 8)])
    for prediction, features, mask in zip(
        output.layers, resized, output.attention_masks, strict=False
    ):
        assert torch.equal(attention_mask(prediction.mask_embeds, features), mask)
    assert [tuple(mask.shape) for mask in output.attention_masks] == [(2, 5, 8), (2, 5, 32)]


def test_feature_maps_with_other_channels_are_projected(inputs):
    decoder = small(in_channels=12)
    levels = [torch.randn(2, 12, 2, 4, dtype=F64), torch.randn(2, 12, 4, 8, dtype=F64)]
    assert decoder.input_proj[0].weight.shape == (16, 12, 1, 1)
    assert decoder(inputs[0], levels).layers[-1].query_embeds.shape == (2, 5, 16)


def test_coarse_auxiliary_also_takes_odd_grids(inputs):
    mask_features = torch.randn(2, 8, 7, 15, dtype=F64)
    output = small(coarse_auxiliary=True)(mask_features, inputs[1])
    shapes = [tuple(layer.mask_features.shape[-2:]) for layer in output.layers]
    assert shapes == [(4, 8), (4, 8), (7, 15)]


def test_wrong_number_of_levels_is_refused(inputs):
    with pytest.raises(ValueError, match="levels must be 2 feature maps, got 1"):
        small()(inputs[0], inputs[1][:1])
