"""The CUDA sources without a GPU: nvcc compiles them, and an emulator runs the kernels."""

import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch

from dvps_d2.ops import build, ms_deform_attn, panoptic_merge, reference, use_path

CUDA = build.SOURCES / "cuda"
SHAPES = [(5, 6), (3, 2), (1, 1)]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("architecture", ["75", "90"])
@pytest.mark.parametrize("source", sorted(file.name for file in CUDA.glob("*.cu")))
def test_nvcc_compiles_every_kernel_without_a_warning(source, architecture, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on the PATH")
    start = time.monotonic()
    command = ["nvcc", *build.NVCC_FLAGS, "-Werror", "all-warnings", "-c", source]
    target = f"arch=compute_{architecture},code=sm_{architecture}"
    run = subprocess.run(
        [*command, "-gencode", target, "-o", tmp_path / "kernels.o"],
        cwd=CUDA,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "warning" not in run.stderr
    assert time.monotonic() - start < 60


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    compiler = os.environ.get("CXX", "c++").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no C++ compiler ({compiler}) on the PATH")
    library = tmp_path_factory.mktemp("emulator") / "emulator.so"
    source = Path(__file__).with_name("cuda_emulator.cpp")
    subprocess.run(
        [
            compiler,
            "-std=c++17",
            "-O1",
            "-w",
            "-shared",
            "-fPIC",
            f"-I{CUDA}",
            source,
            "-o",
            library,
        ],
        check=True,
    )
    return ctypes.CDLL(str(library))


def random_inputs(dtype, batch=2, heads=2, dim=32, queries=20, points=4):
    """Multiples of 1/64 far outside the maps and on lattice points included."""
    generator = torch.Generator().manual_seed(0)
    compute = torch.promote_types(dtype, torch.float32)
    area = sum(height * width for height, width in SHAPES)
    value = torch.randn(batch, area, heads, dim, generator=generator).to(dtype)
    locations = torch.rand(batch, queries, heads, 3, points, 2, generator=generator) * 1.6 - 0.3
    locations[0, 0, 0, :, 0] = torch.tensor([[0.0, 1.0], [0.5, 0.5], [-9.0, float("inf")]])
    weights = torch.rand(batch, queries, heads, 3, points, generator=generator)
    return value, locations.to(compute), weights.to(compute)


def emulate(emulator, kernel, value, locations, weights, upstream):
    batch, area, heads, dim = value.shape
    _, queries, _, levels, points, _ = locations.shape
    numbers = (ctypes.c_int * 7)(batch, area, heads, dim, queries, levels, points)
    shapes = (ctypes.c_int * 6)(*[size for shape in SHAPES for size in shape])
    output = torch.full_like(upstream, float("nan"))
    grads = [
        torch.zeros(value.shape, dtype=locations.dtype),
        torch.full_like(locations, float("nan")),
        torch.full_like(weights, float("nan")),
    ]
    tensors = [value, locations, weights, upstream, output, *grads]
    emulator.emulate(kernel, numbers, shapes, *[ctypes.c_void_p(t.data_ptr()) for t in tensors])
    return [output, *grads]


def reference_outcome(value, locations, weights, upstream):
    leaves = [tensor.double().requires_grad_() for tensor in (value, locations, weights)]
    output = reference.ms_deform_attn(leaves[0], SHAPES, *leaves[1:])
    output.backward(upstream.double())
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def upstream_like(value, queries):
    shape = (value.shape[0], queries, value.shape[2] * value.shape[3])
    return (torch.arange(shape[0] * shape[1] * shape[2]).view(shape) % 15 - 7).to(value.dtype)


@pytest.mark.parametrize(
    ("kernel", "dtype", "sizes", "tolerance"),
    [
        pytest.param(0, torch.float32, {}, 1e-5, id="float32, 32 channels on 8 lanes"),
        pytest.param(0, torch.float32, {"points": 6}, 1e-5, id="more points than one pass"),
        pytest.param(0, torch.float32, {"dim": 20}, 1e-5, id="idle lanes"),
        pytest.param(1, torch.float32, {"dim": 72}, 1e-5, id="more channels than lanes"),
        pytest.param(2, torch.float32, {"dim": 5}, 1e-5, id="one channel at a time"),
        pytest.param(2, torch.float32, {"dim": 37, "points": 1}, 1e-5, id="odd sizes"),
        pytest.param(3, torch.float64, {}, 1e-12, id="float64"),
        pytest.param(4, torch.bfloat16, {"queries": 40}, 2**-8, id="bfloat16"),
    ],
)
def test_emulated_kernels_equal_the_reference(emulator, kernel, dtype, sizes, tolerance):
    inputs = random_inputs(dtype, **sizes)
    upstream = upstream_like(inputs[0], inputs[1].shape[1])
    actual = emulate(emulator, kernel, *inputs, upstream)
    expected = reference_outcome(*inputs, upstream)
    for result, truth in zip(actual, expected, strict=True):
        finite = truth.isfinite()  # the reference multiplies infinity by zero
        scale = truth[finite].abs().max()
        assert ((result.double() - truth)[finite].abs().max() / scale).item() <= tolerance
        assert result.isfinite().all()


def random_masks(count, frames, height, width, dtype):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, frames, height, width, generator=generator) - 1
    scores = 0.5 + 0.5 * torch.rand(count, generator=generator)
    return logits.to(dtype), scores.to(torch.promote_types(dtype, torch.float32))


SAME = ((20, 36), (18, 35), (18, 35))  # padded, valid, output
RESIZED = ((20, 36), (18, 35), (11, 41))


@pytest.mark.parametrize(
    ("kernel", "dtype", "count", "sizes"),
    [
        pytest.param(0, torch.float32, 5, SAME, id="the output is the image"),
        pytest.param(1, torch.float32, 5, RESIZED, id="resized twice"),
        pytest.param(2, torch.float64, 5, RESIZED, id="float64"),
        pytest.param(3, torch.bfloat16, 5, SAME, id="bfloat16"),
        pytest.param(0, torch.float32, 514, ((3, 4),) * 3, id="more masks than one pass"),
    ],
)
def test_emulated_merge_equals_the_reference(emulator, kernel, dtype, count, sizes):
    logits, scores = random_masks(count, 2, 3, 4, dtype)
    owner = torch.full((2, *sizes[2]), -7, dtype=torch.int16)
    areas = torch.zeros(count, 3, dtype=torch.int64)
    numbers = (ctypes.c_int * 10)(*logits.shape, *[n for size in sizes for n in size])
    tensors = [ctypes.c_void_p(t.data_ptr()) for t in (logits, scores, owner, areas)]
    emulator.emulate_merge(kernel, numbers, *tensors)
    expected_owner, expected_areas = reference.panoptic_merge(logits, scores, *sizes)
    assert torch.equal(owner, expected_owner)
    assert torch.equal(areas, expected_areas)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [SAME, RESIZED])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_merge_equals_the_reference_on_the_gpu(dtype, sizes):
    logits, scores = random_masks(600, 2, 3, 4, dtype)
    with use_path("compiled"):
        owner, areas = panoptic_merge(logits.cuda(), scores.cuda(), *sizes)
    expected_owner, expected_areas = reference.panoptic_merge(logits, scores, *sizes)
    assert (owner.cpu() != expected_owner).sum().item() <= 1
    assert (areas.cpu() - expected_areas).abs().max().item() <= 1


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("dim", [8, 32, 64, 37, 144])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float64, 1e-9),
        (torch.float32, 1e-5),
        (torch.bfloat16, 2**-8),
        (torch.float16, 2**-11),
    ],
)
def test_equals_the_reference_on_the_gpu(dtype, tolerance, dim):
    value, locations, weights = random_inputs(dtype, dim=dim)
    locations = locations.nan_to_num(posinf=9.0)
    upstream = upstream_like(value, locations.shape[1])
    leaves = [tensor.cuda().requires_grad_() for tensor in (value, locations, weights)]
    with use_path("compiled"):
        output = ms_deform_attn(leaves[0], SHAPES, *leaves[1:])
    output.backward(upstream.cuda())
    actual = [output, *(leaf.grad for leaf in leaves)]
    for result, truth in zip(
        actual, reference_outcome(value, locations, weights, upstream), strict=True
    ):
        error = (result.detach().cpu().double() - truth).abs().max() / truth.abs().max()
        assert error.item() <= tolerance


@needs_gpu
@pytest.mark.gpu
def test_runs_inside_a_cuda_graph():
    inputs = [tensor.cuda() for tensor in random_inputs(torch.float32)]
    inputs[1] = inputs[1].nan_to_num(posinf=9.0)
    with use_path("compiled"):
        expected = ms_deform_attn(inputs[0], SHAPES, *inputs[1:])
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = ms_deform_attn(inputs[0], SHAPES, *inputs[1:])
    graph.replay()
    torch.testing.assert_close(output, expected)
