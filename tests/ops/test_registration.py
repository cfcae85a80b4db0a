"""The compiled operator as torch sees it: opcheck, compile, export, autocast, threads, vectors."""

import pytest
import torch

from dvps_d2.ops import active_path, ms_deform_attn, reference, registration, use_path
from dvps_d2.ops.path import extension

pytestmark = pytest.mark.skipif(
    not extension.has_kernel("cpu"), reason="built without the compiled ops (DVPS_BUILD_OPS=1)"
)

SHAPES = [(5, 7), (3, 4), (1, 1)]
AREA = 48


def random_inputs(dtype=torch.float32, batch=2, heads=4, dim=32, queries=100, points=4):
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.float64 if dtype == torch.float64 else torch.float32
    value = torch.randn(batch, AREA, heads, dim, generator=generator).to(dtype)
    locations = torch.rand(batch, queries, heads, 3, points, 2, generator=generator) * 1.4 - 0.2
    weights = torch.rand(batch, queries, heads, 3, points, generator=generator)
    return value, locations.to(coordinates), weights.to(coordinates)


def outcome(function, inputs):
    """Output and gradients under one fixed output gradient, exact in every dtype."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(leaves[0], SHAPES, *leaves[1:])
    upstream = torch.arange(output.numel()).view(output.shape) % 15 - 7
    output.backward(upstream.to(output.dtype))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def relative_error(actual, expected):
    return ((actual.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(
    ("dtype", "tolerances"),
    [
        # output, and the gradients of value, locations, weights
        pytest.param(torch.float64, (1e-9,) * 4, id="float64"),
        pytest.param(torch.float32, (1e-5,) * 4, id="float32"),
        pytest.param(torch.bfloat16, (2**-8, 2**-8, 1e-5, 1e-5), id="bfloat16"),
        pytest.param(torch.float16, (2**-11, 2**-11, 1e-5, 1e-5), id="float16"),
    ],
)
@pytest.mark.parametrize("sizes", [{}, {"dim": 7, "points": 3}, {"dim": 64, "points": 1}])
@pytest.mark.parametrize("capability", ["avx512", "avx2", "default"])
def test_equals_the_float64_reference(monkeypatch, dtype, tolerances, sizes, capability):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
    inputs = random_inputs(dtype, **sizes)
    actual = outcome(ms_deform_attn, inputs)
    expected = outcome(reference.ms_deform_attn, [tensor.double() for tensor in inputs])
    assert actual[0].dtype == actual[1].dtype == dtype
    for result, truth, tolerance in zip(actual, expected, tolerances, strict=True):
        assert relative_error(result, truth) <= tolerance


def test_capability_can_be_limited_like_that_of_torch(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert torch.ops.dvps_d2.cpu_capability() == "portable"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_do_not_depend_on_threads_or_runs(dtype):
    inputs = random_inputs(dtype, batch=1, queries=300)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 1, 2, 3, 7):  # seven: more than heads
            torch.set_num_threads(threads)
            results.append(outcome(ms_deform_attn, inputs))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


def test_opcheck():
    value, locations, weights = random_inputs(torch.float64, batch=1, heads=2, dim=3, queries=5)
    sizes = [size for shape in SHAPES for size in shape]
    leaves = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    op = torch.ops.dvps_d2.ms_deform_attn.default
    torch.library.opcheck(op, (leaves[0], sizes, *leaves[1:]))
    grad = torch.ones(1, 5, 6, dtype=torch.float64)
    torch.library.opcheck(
        torch.ops.dvps_d2.ms_deform_attn_backward.default,
        (grad, value.detach(), sizes, locations.detach(), weights.detach()),
    )


def test_second_derivative_is_an_error():
    value, locations, weights = random_inputs(queries=2)
    value.requires_grad_()
    (grad,) = torch.autograd.grad(
        ms_deform_attn(value, SHAPES, locations, weights).square().sum(), value, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


def test_compiles_into_one_graph_with_gradients():
    inputs = random_inputs(queries=9)
    expected = outcome(ms_deform_attn, inputs)
    compiled = torch.compile(ms_deform_attn, fullgraph=True, backend="aot_eager")
    with use_path("auto"):  # the path is decided, and reported, while tracing
        actual = outcome(compiled, inputs)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_deterministic_mode_is_respected_where_additions_are_atomic(monkeypatch):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    registration._check_determinism("cpu")
    with pytest.raises(RuntimeError, match="adds in no fixed order"):
        registration._check_determinism("cuda")


def test_compiles_under_autocast():
    value, locations, weights = random_inputs(queries=9)
    compiled = torch.compile(ms_deform_attn, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16):
        actual = compiled(value, SHAPES, locations, weights)
        expected = ms_deform_attn(value, SHAPES, locations, weights)
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected)


class Attention(torch.nn.Module):
    def forward(self, value, locations, weights):
        return ms_deform_attn(value, SHAPES, locations, weights)


def test_exports_with_a_dynamic_batch_and_query_count():
    value, locations, weights = random_inputs(queries=9)
    batch, queries = torch.export.Dim("batch", min=1), torch.export.Dim("queries", min=1)
    program = torch.export.export(
        Attention(),
        (value, locations, weights),
        dynamic_shapes=({0: batch}, {0: batch, 1: queries}, {0: batch, 1: queries}),
    )
    assert "dvps_d2.ms_deform_attn" in program.graph_module.code
    other = random_inputs(queries=4, batch=3)
    torch.testing.assert_close(program.module()(*other), Attention()(*other))


def test_autocast_reads_features_in_bfloat16_and_keeps_coordinates():
    value, locations, weights = random_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        output = ms_deform_attn(value, SHAPES, locations, weights.bfloat16().float())
        assert ms_deform_attn(value.double(), SHAPES, locations.double(), weights.double()).dtype
    expected = ms_deform_attn(value.bfloat16(), SHAPES, locations, weights.bfloat16().float())
    assert torch.equal(output, expected)


def test_direct_calls_are_checked_too():
    value, locations, weights = random_inputs(queries=3)
    op = torch.ops.dvps_d2.ms_deform_attn
    with pytest.raises(RuntimeError, match="do not belong together"):
        op(value, [5, 7, 3, 4], locations, weights)
    with pytest.raises(RuntimeError, match="must be float64 beside a float64 value"):
        op(value, [5, 7, 3, 4, 1, 1], locations.double(), weights)


def test_path_can_be_chosen():
    with use_path("reference"):
        assert active_path("cpu") == "reference"
    with use_path("compiled"):
        assert active_path("cpu") == "compiled"
        with pytest.raises(RuntimeError, match="meta tensors: .*built without kernels for it"):
            active_path("meta")
