"""The front door: the sum that it computes, its gradients, and what it refuses."""

import math

import pytest
import torch

from dvps_d2.ops import active_path, ms_deform_attn, reference, use_path
from dvps_d2.ops.path import extension


def paths():
    """The reference always; the compiled kernels where they were built."""
    missing = pytest.mark.skipif(
        not extension.has_kernel("cpu"), reason="built without the compiled ops (DVPS_BUILD_OPS=1)"
    )
    return ["reference", pytest.param("compiled", marks=missing)]


@pytest.fixture(params=paths())
def path(request):
    with use_path(request.param):
        yield request.param


def loop(value, level_shapes, locations, weights):
    """Deformable DETR, equation 3, as four nested sums over Python numbers."""
    batch, _, heads, dim = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    output = torch.zeros(batch, queries, heads, dim, dtype=torch.float64)
    starts = [sum(h * w for h, w in level_shapes[:level]) for level in range(levels)]
    for b, q, m, level, p in torch.cartesian_prod(
        *[torch.arange(n) for n in (batch, queries, heads, levels, points)]
    ).tolist():
        height, width = level_shapes[level]
        x, y = locations[b, q, m, level, p].tolist()
        x, y = x * width - 0.5, y * height - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    pixel = value[b, starts[level] + row * width + column, m].double()
                    output[b, q, m] += weights[b, q, m, level, p].item() * share * pixel
    return output.flatten(2)


def random_inputs(
    batch=2, heads=2, dim=4, queries=3, points=2, shapes=((3, 4), (1, 2)), dtype=torch.float64
):
    """Points reach a little outside the map on every side."""
    generator = torch.Generator().manual_seed(0)
    rand = lambda *size: torch.rand(*size, generator=generator, dtype=torch.float64)  # noqa: E731
    value = rand(batch, sum(h * w for h, w in shapes), heads, dim) - 0.5
    locations = rand(batch, queries, heads, len(shapes), points, 2) * 1.6 - 0.3
    weights = rand(batch, queries, heads, len(shapes), points)
    return value.to(dtype), list(shapes), locations.to(dtype), weights.to(dtype)


def one_point(x, y, image):
    """Sample one image (H, W) at one point with weight 1."""
    image = torch.tensor(image, dtype=torch.float64)
    return ms_deform_attn(
        image.reshape(1, -1, 1, 1),
        [tuple(image.shape)],
        torch.tensor([x, y], dtype=torch.float64).view(1, 1, 1, 1, 1, 2),
        torch.ones(1, 1, 1, 1, 1, dtype=torch.float64),
    ).item()


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        pytest.param(0.25, 0.25, 1.0, id="centre of the first pixel"),
        pytest.param(0.75, 0.25, 2.0, id="x runs along the columns"),
        pytest.param(0.25, 0.75, 3.0, id="y runs along the rows"),
        pytest.param(0.5, 0.5, 2.5, id="the middle is the mean of four"),
        pytest.param(0.0, 0.25, 0.5, id="on the left edge half is outside, and zero"),
        pytest.param(0.0, 0.0, 0.25, id="in the corner three quarters are outside"),
        pytest.param(1.25, 0.5, 0.0, id="half a pixel outside nothing is left"),
        pytest.param(-7.0, 0.5, 0.0, id="far outside"),
    ],
)
def test_one_point_on_a_two_by_two_image(path, x, y, expected):
    assert one_point(x, y, [[1.0, 2.0], [3.0, 4.0]]) == pytest.approx(expected)


def test_level_of_one_pixel(path):
    assert one_point(0.5, 0.5, [[8.0]]) == pytest.approx(8.0)
    assert one_point(0.0, 0.5, [[8.0]]) == pytest.approx(4.0)


def test_equals_the_loop_in_float64(path):
    inputs = random_inputs()
    torch.testing.assert_close(ms_deform_attn(*inputs), loop(*inputs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 3, 8, 32, 40])
def test_equals_the_loop_for_any_head_dimension(path, dim):
    value, shapes, locations, weights = random_inputs(dim=dim, dtype=torch.float32)
    actual = ms_deform_attn(value, shapes, locations, weights)
    expected = loop(value, shapes, locations, weights).float()
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_is_the_loop_rounded_once(path):
    value, shapes, locations, weights = random_inputs(dtype=torch.bfloat16)
    locations, weights = locations.float(), weights.float()
    actual = ms_deform_attn(value, shapes, locations, weights)
    assert actual.dtype == torch.bfloat16
    expected = loop(value, shapes, locations, weights)
    torch.testing.assert_close(actual.double(), expected, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("shape", [{"queries": 0}, {"batch": 0}, {"points": 0}])
def test_empty_inputs_give_empty_outputs_and_zero_gradients(path, shape):
    value, shapes, locations, weights = random_inputs(**shape)
    value.requires_grad_()
    output = ms_deform_attn(value, shapes, locations, weights)
    assert output.shape == (value.shape[0], locations.shape[1], 8)
    assert not output.any()
    output.sum().backward()
    assert not value.grad.any()


def test_layout_in_memory_does_not_matter(path):
    value, shapes, locations, weights = random_inputs()
    strided = (
        value.transpose(1, 2).contiguous().transpose(1, 2),
        shapes,
        locations.flip(-1).flip(-1).transpose(1, 2).contiguous().transpose(1, 2),
        weights.expand(2, *weights.shape)[1],
    )
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(
        ms_deform_attn(*strided), ms_deform_attn(value, shapes, locations, weights)
    )


def test_gradients_are_the_numerical_ones(path):
    value, shapes, locations, weights = random_inputs(batch=1, dim=2)
    leaves = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    assert torch.autograd.gradcheck(lambda v, x, w: ms_deform_attn(v, shapes, x, w), leaves)


def test_half_precision_model_mixes_with_float32_locations_under_autocast(path):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    plain = ms_deform_attn(value, shapes, locations, weights)
    with torch.autocast("cpu", torch.bfloat16):
        output = ms_deform_attn(value, shapes, locations, weights)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), plain, rtol=0.02, atol=0.01)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        pytest.param({"value": (2, 14, 2)}, ValueError, r"value must be \(B, S, M, D\)"),
        pytest.param({"value": (2, 13, 2, 4)}, ValueError, r"cover 14 positions.*has 13"),
        pytest.param({"value": (3, 14, 2, 4)}, ValueError, r"batch 3 .*batch 2"),
        pytest.param({"value": (2, 14, 4, 2)}, ValueError, r"4 heads.*2 heads"),
        pytest.param({"locations": (2, 3, 2, 2, 2, 3)}, ValueError, r"\(x, y\) last"),
        pytest.param({"locations": (2, 3, 2, 1, 2, 2)}, ValueError, r"weights must be.*1, 2\)"),
        pytest.param({"weights": (2, 3, 2, 2, 5)}, ValueError, r"weights must be.*2, 5\)"),
    ],
)
def test_wrong_shapes_are_named_with_both_sides(path, changed, error, message):
    value, shapes, locations, weights = random_inputs()
    arguments = {"value": value, "locations": locations, "weights": weights}
    arguments |= {name: torch.zeros(shape) for name, shape in changed.items()}
    with pytest.raises(error, match=message):
        ms_deform_attn(arguments["value"], shapes, arguments["locations"], arguments["weights"])


def test_wrong_level_shapes(path):
    value, shapes, locations, weights = random_inputs()
    with pytest.raises(ValueError, match=r"names 1 levels.* has 2"):
        ms_deform_attn(value, shapes[:1], locations, weights)
    with pytest.raises(ValueError, match="positive"):
        ms_deform_attn(value, [(3, 4), (-1, -2)], locations, weights)
    with pytest.raises(TypeError, match="got a Tensor"):
        ms_deform_attn(value, torch.tensor(shapes), locations, weights)


def test_mixed_dtypes_and_devices_name_both_sides(path):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    with pytest.raises(TypeError, match=r"value is torch.float32.*locations.*got torch.float64"):
        ms_deform_attn(value, shapes, locations.double(), weights)
    with pytest.raises(TypeError, match=r"weights must be torch.float32, got torch.bfloat16"):
        ms_deform_attn(value, shapes, locations, weights.bfloat16())
    with pytest.raises(TypeError, match=r"got torch.int64"):
        ms_deform_attn(value.long(), shapes, locations, weights)
    with pytest.raises(ValueError, match=r"value is on cpu.*locations is on meta"):
        ms_deform_attn(value, shapes, locations.to("meta"), weights)


def test_reference_refuses_the_same_arguments():
    value, shapes, locations, weights = random_inputs()
    with pytest.raises(ValueError, match="cover 14 positions"):
        reference.ms_deform_attn(value[:, :-1], shapes, locations, weights)


def test_path_is_reported_once(caplog):
    caplog.set_level("INFO", logger="dvps_d2.ops")
    for _ in range(3):
        assert active_path("cpu") in ("compiled", "reference")
    assert len([r for r in caplog.records if "path" in r.getMessage()]) <= 1
    with pytest.raises(ValueError, match="must be one of"), use_path("fast"):
        pass
