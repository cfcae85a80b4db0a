"""Deformable attention: the compiled op beside what can be had without it.

    python benchmarks/ms_deform_attn.py [--json FILE] [--quick] [--model] [--device cuda]

On the CPU the other side is float32 ``grid_sample`` in eager PyTorch, the strongest public path
there. Shapes are those of a Mask2Former pixel decoder (8 heads of 32 channels, 4 points on strides
8, 16 and 32) for three frame sizes, and the small ones of the quick start. Both sides run in this
process, in turns, on one thread; times are CPU seconds (wall time beside them), ratios medians over
rounds. Keys, per size such as ``480x864``:

    forward_ratio_SIZE, backward_ratio_SIZE    plain over compiled; "backward" is forward + backward
    bfloat16_forward_ratio_SIZE, ...           compiled in bfloat16 over the same float32 baseline
    memory_ratio_SIZE                          peak growth in forward + backward over the bytes of
                                               output and gradients (1 would be no scratch at all)
    floor_ratio_SIZE                           compiled forward over ``embedding_bag``, which
                                               gathers as many rows but computes no points
    model_ratio_360x640                        with --model: MinDVPS R50, seconds per frame without
                                               the op over seconds with it

On a GPU (``--device cuda``) the other sides are the published Deformable-DETR kernel where its
module ``MultiScaleDeformableAttention`` can be imported, and the package ``deformops``; build and
install them outside this repository. Keys ``published_*`` and ``deformops_*``.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dvps_d2.ops import extension, ms_deform_attn, use_path

SIZES = {"480x864": 1, "720x1280": 1, "1024x2048": 1, "96x192": 8}  # frame -> batch
POINTS = 4
Operands = tuple[Tensor, Tensor, Tensor]
Timing = tuple[float, float]  # CPU seconds, wall seconds


def level_shapes(size: str) -> list[tuple[int, int]]:
    """Maps of strides 8, 16 and 32, rounded up as padding does."""
    height, width = map(int, size.split("x"))
    return [(-(-height // stride), -(-width // stride)) for stride in (8, 16, 32)]


def operands(size: str, device: str) -> Operands:
    """An encoder's: every cell is a query and looks a few cells around itself, on every level."""
    generator = torch.Generator().manual_seed(0)
    shapes, batch = level_shapes(size), SIZES[size]
    heads = 4 if batch > 1 else 8  # the quick start's model is half as wide
    centres = []
    for height, width in shapes:
        y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
        centres.append(torch.cartesian_prod(y, x).flip(-1))
    reference = torch.cat(centres)[None, :, None, None, None]
    queries = reference.shape[1]
    cells = torch.tensor([(1 / width, 1 / height) for height, width in shapes])[:, None]
    offsets = 2 * torch.randn(batch, queries, heads, 3, POINTS, 2, generator=generator)
    weights = torch.rand(batch, queries, heads, 3 * POINTS, generator=generator)
    value = torch.randn(batch, queries, heads, 32, generator=generator)
    weights = weights.softmax(-1).unflatten(-1, (3, POINTS))
    return tuple(t.to(device) for t in (value, reference + offsets * cells, weights))


def forward(attention: Callable, shapes: list, inputs: Operands) -> Callable[[], Tensor]:
    """The call without gradients."""

    def call() -> Tensor:
        with torch.no_grad():
            return attention(inputs[0], shapes, *inputs[1:])

    return call


def backward(attention: Callable, shapes: list, inputs: Operands) -> Callable[[], tuple]:
    """The call and all its gradients."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    upstream = torch.ones_like(forward(attention, shapes, inputs)())

    def call() -> tuple:
        output = attention(leaves[0], shapes, *leaves[1:])
        return output, torch.autograd.grad(output, leaves, upstream)

    return call


def seconds(call: Callable, device: str) -> Timing:
    """One call; on a GPU, many between two synchronisations."""
    repeats = 20 if device == "cuda" else 1
    if device == "cuda":
        torch.cuda.synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
        elapsed = (time.perf_counter() - wall) / repeats
        return elapsed, elapsed
    return time.process_time() - cpu, time.perf_counter() - wall


def race(calls: dict[str, Callable], rounds: int, device: str) -> dict[str, list[Timing]]:
    """All sides in turns, so that a busy moment of the machine meets each of them."""
    for call in calls.values():
        call()
    timings: dict[str, list[Timing]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            timings[name].append(seconds(call, device))
    return timings


def ratio(timings: dict[str, list[Timing]], slow: str, fast: str) -> float:
    pairs = zip(timings[slow], timings[fast], strict=True)
    return statistics.median(a[0] / b[0] for a, b in pairs)


def show(size: str, what: str, timings: dict[str, list[Timing]]) -> None:
    for name, rows in timings.items():
        cpu, wall = (1e3 * statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{size:>10}  {what:<18} {name:<20} {cpu:9.2f} ms CPU {wall:9.2f} ms wall")


def plain(*arguments: object) -> Tensor:
    with use_path("reference"):
        return ms_deform_attn(*arguments)


def in_bfloat16(inputs: Operands) -> Operands:
    return (inputs[0].bfloat16(), *inputs[1:])


def gather_floor(size: str) -> Callable[[], list]:
    """As many rows of 32 channels, from near each query, summed by weight; one head at a time."""
    batch, heads = SIZES[size], 4 if SIZES[size] > 1 else 8
    area = sum(height * width for height, width in level_shapes(size))
    rows = 4 * 3 * POINTS  # corners of all points
    generator = torch.Generator().manual_seed(0)
    near = torch.randint(-300, 300, (area, rows), generator=generator)
    indices = (torch.arange(area)[:, None] + near).clamp(0, area - 1)
    table, weights = torch.randn(area, 32), torch.rand(area, rows)

    def call() -> list:
        with torch.no_grad():
            return [
                F.embedding_bag(indices, table, mode="sum", per_sample_weights=weights)
                for _ in range(batch * heads)
            ]

    return call


def memory_ratio(call: Callable[[], tuple]) -> float:
    """Peak growth of the process during a call over the bytes that it returns."""
    call()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory("VmRSS")
    output, gradients = call()
    growth = _memory("VmHWM") - before
    return growth / sum(t.numel() * t.element_size() for t in (output, *gradients))


def _memory(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def on_cpu(size: str, rounds: int) -> dict[str, float]:
    shapes, inputs = level_shapes(size), operands(size, "cpu")
    results = {}
    for key, mode in (("forward", forward), ("backward", backward)):
        calls = {
            "grid_sample": mode(plain, shapes, inputs),
            "compiled": mode(ms_deform_attn, shapes, inputs),
            "compiled bfloat16": mode(ms_deform_attn, shapes, in_bfloat16(inputs)),
        }
        if key == "forward":
            calls["floor"] = gather_floor(size)
        timings = race(calls, rounds, "cpu")
        show(size, "forward" if key == "forward" else "forward + backward", timings)
        results[f"{key}_ratio_{size}"] = ratio(timings, "grid_sample", "compiled")
        results[f"bfloat16_{key}_ratio_{size}"] = ratio(timings, "grid_sample", "compiled bfloat16")
        if key == "forward":
            results[f"floor_ratio_{size}"] = ratio(timings, "compiled", "floor")
    results[f"memory_ratio_{size}"] = memory_ratio(backward(ms_deform_attn, shapes, inputs))
    return results


def published_kernel() -> Callable | None:
    """Deformable-DETR's own module behind our signature, or None."""
    if importlib.util.find_spec("MultiScaleDeformableAttention") is None:
        return None
    import MultiScaleDeformableAttention as kernel

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value, shapes, starts, locations, weights):
            ctx.save_for_backward(value, shapes, starts, locations, weights)
            return kernel.ms_deform_attn_forward(value, shapes, starts, locations, weights, 64)

        @staticmethod
        def backward(ctx, upstream):
            grads = kernel.ms_deform_attn_backward(*ctx.saved_tensors, upstream.contiguous(), 64)
            return grads[0], None, None, grads[1], grads[2]

    return lambda value, shapes, *points: Attention.apply(value, *on_device(shapes), *points)


def deformops_package() -> Callable | None:
    """The package with its default back end behind our signature, or None."""
    if importlib.util.find_spec("deformops") is None:
        return None
    from deformops.registry import msda

    def attention(value: Tensor, shapes: list, locations: Tensor, weights: Tensor) -> Tensor:
        points = (locations.to(value.dtype), weights.flatten(-2).to(value.dtype))
        return msda(value, *on_device(shapes), *points)

    return attention


_on_device: dict[tuple, tuple[Tensor, Tensor]] = {}


def on_device(shapes: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Shapes and starts of the levels as the other kernels want them; made once."""
    key = tuple(shapes)
    if key not in _on_device:
        areas = torch.tensor([height * width for height, width in shapes])
        _on_device[key] = (torch.tensor(shapes).cuda(), (areas.cumsum(0) - areas).cuda())
    return _on_device[key]


def on_gpu(size: str, rounds: int) -> dict[str, float]:
    shapes, inputs = level_shapes(size), operands(size, "cuda")
    half = in_bfloat16(inputs)
    others = {"published": published_kernel(), "deformops": deformops_package()}
    results = {}
    for key, mode in (("forward", forward), ("backward", backward)):
        calls = {
            "ours": mode(ms_deform_attn, shapes, inputs),
            "ours bfloat16": mode(ms_deform_attn, shapes, half),
        }
        for name, attention in others.items():
            if attention is None:
                print(f"{name}: not installed, not yet measured")
                continue
            calls[name] = mode(attention, shapes, inputs)
            if name == "deformops":
                calls["deformops bfloat16"] = mode(attention, shapes, half)
        timings = race(calls, rounds, "cuda")
        show(size, "forward" if key == "forward" else "forward + backward", timings)
        if "published" in calls:
            results[f"published_{key}_ratio_{size}"] = ratio(timings, "published", "ours")
            results[f"published_bfloat16_{key}_ratio_{size}"] = ratio(
                timings, "published", "ours bfloat16"
            )
        if "deformops" in calls:
            results[f"deformops_{key}_ratio_{size}"] = ratio(timings, "deformops", "ours")
            results[f"deformops_bfloat16_{key}_ratio_{size}"] = ratio(
                timings, "deformops bfloat16", "ours bfloat16"
            )
    return results


def whole_model(rounds: int) -> dict[str, float]:
    """MinDVPS R50 with random weights on one frame of 360x640."""
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from detectron2.projects.deeplab import add_deeplab_config

    from dvps_d2.d2 import add_dvps_config

    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    root = Path(__file__).resolve().parents[1]
    cfg.merge_from_file(str(root / "configs/experiments/cityscapes_dvps/mindvps_R50.yaml"))
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    model = build_model(cfg).eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 360, 640), generator=generator, dtype=torch.uint8)
    frame = [{"image": image, "height": 360, "width": 640}]

    def run(path: str) -> Callable:
        def call() -> list:
            with torch.no_grad(), use_path(path):
                return model(frame)

        return call

    timings = race({"without": run("reference"), "with": run("compiled")}, rounds, "cpu")
    show("360x640", "MinDVPS R50 frame", timings)
    results = {"model_ratio_360x640": ratio(timings, "without", "with")}
    for name, rows in timings.items():
        results[f"model_seconds_{name}_360x640"] = statistics.median(cpu for cpu, _ in rows)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {key: number} to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--model", action="store_true", help="the whole model too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if not extension.has_kernel(options.device):
        parser.error(f"no compiled op for {options.device}: build it with DVPS_BUILD_OPS=1")
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 7
    measure = on_cpu if options.device == "cpu" else on_gpu
    name = torch.ops.dvps_d2.cpu_capability() if options.device == "cpu" else "CUDA"
    print(f"{name}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    results: dict[str, float] = {}
    for size in ("480x864", "96x192") if options.quick else SIZES:
        results |= measure(size, rounds)
    if options.model:
        results |= whole_model(rounds)
    for key, number in results.items():
        print(f"{key:<40} {number:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
