import pytest
import torch
import torch.nn.functional as F

from dvps_d2.segmenter import DepthDecoder, QuerySegmenter
from dvps_d2.structures import Clip


def everything(output):
    """All layers of all kinds of queries."""
    return (*output.auxiliary, output.queries, *output.denoising)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 3)])
def test_shapes_of_every_supervised_layer(make_segmenter, make_clip, batch, frames):
    segmenter = make_segmenter().eval()
    with torch.no_grad():
        output, state = segmenter(make_clip(batch, frames), "memory")
    assert state == "memory"
    assert len(output.auxiliary) == 3
    assert output.denoising == ()
    for queries in everything(output):
        assert queries.class_logits.shape == (batch, frames, 5, 4)
        assert queries.query_embeds.shape == (batch, frames, 5, 16)
        assert queries.mask_logits().shape == (batch, frames, 5, 8, 16)
        assert queries.depth_logits().shape == (batch, frames, 5, 8, 16)
        assert queries.global_depth_logits().shape == (batch, frames, 8, 16)


def test_without_depth_decoder_there_is_no_depth(make_segmenter, make_clip):
    output, _ = make_segmenter(depth=False).eval()(make_clip(1, 1))
    assert not any(queries.has_depth for queries in everything(output))


def test_frames_together_equal_frames_alone(make_segmenter, make_clip):
    segmenter = make_segmenter().double().eval()
    clip = make_clip(2, 2, dtype=torch.float64)
    with torch.no_grad():
        together = segmenter(clip)[0].queries
        for b in range(2):
            for t in range(2):
                frame = Clip(
                    clip.images[b : b + 1, t : t + 1], ((32, 64),), ((32, 64),), ((t,),), ("v",)
                )
                alone = segmenter(frame)[0].queries
                for name in ("class_logits", "mask_embeds", "depth_embeds", "global_depth"):
                    torch.testing.assert_close(
                        getattr(together, name)[b, t],
                        getattr(alone, name)[0, 0],
                        rtol=0,
                        atol=1e-12,
                    )


def test_stride_two_is_for_the_last_layer_alone(make_segmenter, make_clip):
    segmenter = make_segmenter(stride_two=True).eval()
    with torch.no_grad():
        output, _ = segmenter(make_clip(1, 1))
    fine = output.queries.mask_features
    assert fine.shape[-2:] == (16, 32)
    for queries in output.auxiliary:
        torch.testing.assert_close(queries.mask_features[0], F.avg_pool2d(fine[0], 2))


def randomise(module):
    """Leave the special initial values, where some gradients are exactly zero."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data.add_(0.05 * noise)


def total(output):
    losses = []
    for queries in everything(output):
        losses += [queries.class_logits.square().mean(), queries.mask_logits().square().mean()]
        if queries.has_depth:
            losses += [queries.depth_logits().square().mean()]
            losses += [queries.global_depth_logits().square().mean()]
    return sum(losses)


def test_gradient_reaches_every_parameter(make_segmenter, make_clip, make_denoising):
    segmenter = make_segmenter(stride_two=True, denoising=True).double()
    randomise(segmenter)
    output, _ = segmenter(make_clip(2, 1, (64, 64), torch.float64), None, make_denoising(2))
    total(output).backward()
    without = [
        name
        for name, parameter in segmenter.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@pytest.mark.parametrize("full_precision", [True, False])
def test_bfloat16_autocast_stays_close_and_keeps_heads_in_float32(
    make_segmenter, make_clip, make_denoising, full_precision
):
    segmenter = make_segmenter(stride_two=True, denoising=True, full_precision=full_precision)
    clip, denoising = make_clip(2, 1, (64, 64)), make_denoising(2)
    with torch.no_grad():
        exact = segmenter(clip, None, denoising)[0].queries
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = segmenter(clip, None, denoising)
    assert output.queries.class_logits.dtype == torch.float32
    assert output.queries.mask_logits().isfinite().all()  # outside autocast too
    torch.testing.assert_close(output.queries.class_logits, exact.class_logits, rtol=0, atol=0.1)
    sum(q.class_logits.sum() + q.mask_logits().sum() for q in everything(output)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in segmenter.parameters())


def test_decoders_of_different_sizes_are_refused(make_segmenter):
    segmenter = make_segmenter()
    other = DepthDecoder(hidden_dim=16, num_queries=4, num_layers=3, num_heads=2)
    with pytest.raises(ValueError, match="same num_queries, got 5 and 4"):
        QuerySegmenter(segmenter.backbone, segmenter.pixel_decoder, segmenter.predictor, other)
