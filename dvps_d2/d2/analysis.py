"""What a model costs: parameters, operations, seconds and memory, part by part."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import build_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .checkpoint import ModelCheckpointer
from .loading import load_config

# Stages whose children are looked at one by one.
OPENED = ("segmenter",)
STAGES = ("segmenter", "tracker", "refiner", "fusion")
MEBI = 2**20
# Bilinear sampling: per sampled value four products, four sums and the weighted sum over points.
FLOPS_PER_SAMPLE = 10


@dataclass
class PartCost:
    """One part of a model.

    Attributes:
        parameters: all of them.
        trained: those that require gradients.
        flops: of one window; a product and a sum are two.
        seconds: of one window, the median of the repetitions.
    """

    parameters: int = 0
    trained: int = 0
    flops: int = 0
    seconds: float = 0.0


@dataclass
class Cost:
    """What inference on one window costs.

    Attributes:
        parts: name -> cost, in the order of the data flow; "rest" is what runs outside them.
        total: of everything, measured by itself.
        weights_mb: parameters and buffers.
        peak_mb: most memory held beyond what was held before: of the device's allocator on a GPU,
            of the process on a CPU; None where the system does not tell.
        setting: device, frame size, frames per window and the like.
    """

    parts: dict[str, PartCost]
    total: PartCost
    weights_mb: float
    peak_mb: float | None
    setting: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def analyze(
    model: nn.Module, size: tuple[int, int], *, frames: int = 1, repeat: int = 3, seed: int = 0
) -> Cost:
    """Measure a model on a window of random frames.

    Args:
        model: a :class:`~dvps_d2.d2.meta_arch.VideoMetaArch`; put into eval mode, and left without
            parameters that require gradients.
        size: (height, width) of the frames, as they enter the model.
        frames: frames of the window, which is a whole video.
        repeat: timed runs, after one that is not timed.
        seed: of the frames.

    Raises:
        ValueError: sizes or counts below 1.
    """
    if min(*size, frames, repeat) < 1:
        raise ValueError(
            f"size, frames and repeat must be at least 1, got {size}, {frames}, {repeat}"
        )
    model.eval()
    item = random_window(size, frames, seed)
    parts = find_parts(model)
    cost = {name: _parameters(part) for name, part in parts.items()}
    total = _parameters(model)
    model.requires_grad_(False)  # the counter takes no parameters that want gradients
    peak = measure_peak(lambda: _run(model, item))
    counter = FlopCounterMode(display=False, custom_mapping=_custom_operators())
    with counter:
        _run(model, item)
    total.flops = counter.get_total_flops()
    by_module = counter.get_flop_counts()
    names = {id(module): name for name, module in model.named_modules()}
    for name, part in parts.items():
        cost[name].flops = _flops_below(f"{type(model).__name__}.{names[id(part)]}", by_module)
    seconds, whole = _measure_seconds(model, item, parts, repeat)
    for name, value in seconds.items():
        cost[name].seconds = value
    total.seconds = whole
    cost["rest"] = PartCost(
        **{
            key: max(getattr(total, key) - sum(getattr(part, key) for part in cost.values()), 0)
            for key in ("parameters", "trained", "flops", "seconds")
        }
    )
    tensors = [*model.parameters(), *model.buffers()]
    weights = sum(t.numel() * t.element_size() for t in tensors) / MEBI
    setting: dict[str, Any] = {
        "height": size[0],
        "width": size[1],
        "frames": frames,
        "repeat": repeat,
    }
    setting |= {"device": str(model.device), "threads": torch.get_num_threads()}
    return Cost(cost, total, weights, peak, setting)


def build_for_analysis(
    config_file: str | Path, options: Sequence[str] = (), weights: str | None = None
) -> tuple[Any, nn.Module]:
    """The config and model of a config file, with random weights if none are named."""
    cfg = load_config(config_file, options)
    model = build_model(cfg)
    if weights:
        ModelCheckpointer(model, complete=True).load(weights)
    return cfg, model


def random_window(size: tuple[int, int], frames: int, seed: int) -> dict[str, Any]:
    """A video of random frames as one window, as the test loader would give it."""
    generator = torch.Generator().manual_seed(seed)
    entries = [
        {
            "frame_id": t,
            "file_name": f"random frame {t}",
            "height": size[0],
            "width": size[1],
            "image": torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8),
        }
        for t in range(frames)
    ]
    window = {"video_id": "random", "height": size[0], "width": size[1], "frames": entries}
    return {**window, "position": 0, "is_first": True, "is_last": True}


def find_parts(model: nn.Module) -> dict[str, nn.Module]:
    """Stages of the pipeline, the segmenter's parts one by one, in the order of the data flow."""
    pipeline = model.pipeline
    found: dict[str, nn.Module] = {}
    for stage in STAGES:
        module = getattr(pipeline, stage, None)
        if not isinstance(module, nn.Module):
            continue
        if stage in OPENED:
            found |= {f"{stage}.{name}": child for name, child in module.named_children()}
        else:
            found[stage] = module
    criterion = getattr(model, "criterion", None)
    if isinstance(criterion, nn.Module) and any(True for _ in criterion.parameters()):
        found["criterion (training only)"] = criterion
    return found


def _flops_below(name: str, counts: dict[str, dict[Any, int]]) -> int:
    """Operations of a module; of its parts where it was used by other methods than forward."""
    if name in counts:
        return int(sum(counts[name].values()))
    inside = [key for key in counts if key.startswith(f"{name}.")]
    tops = [k for k in inside if not any(k.startswith(f"{other}.") for other in inside)]
    return int(sum(sum(counts[key].values()) for key in tops))


def _parameters(module: nn.Module) -> PartCost:
    counts = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return PartCost(sum(n for n, _ in counts), sum(n for n, trained in counts if trained))


@torch.no_grad()
def _run(model: nn.Module, item: dict[str, Any]) -> None:
    """One window through the model, its lazy output included."""
    (output,) = model([item])
    for frame in output["frames"]:
        del frame
    _wait(model)


def _wait(model: nn.Module) -> None:
    device: Any = model.device
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measure_seconds(
    model: nn.Module, item: dict[str, Any], parts: dict[str, nn.Module], repeat: int
) -> tuple[dict[str, float], float]:
    """Median seconds per part, and of everything."""
    runs: list[dict[str, float]] = []
    totals = []
    for _ in range(repeat):
        with _stopwatches(model, parts) as spent:
            start = time.perf_counter()
            _run(model, item)
            totals.append(time.perf_counter() - start)
        runs.append(dict(spent))
    medians = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in parts}
    return medians, statistics.median(totals)


@contextmanager
def _stopwatches(model: nn.Module, parts: dict[str, nn.Module]) -> Iterator[dict[str, float]]:
    """Time the calls of every part, and what generators named ``finish`` do."""
    spent: dict[str, float] = defaultdict(float)
    started: dict[str, float] = {}
    handles = []
    patched: list[Any] = []
    for name, part in parts.items():

        def begin(module: nn.Module, inputs: Any, name: str = name) -> None:
            _wait(model)
            started[name] = time.perf_counter()

        def end(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
            _wait(model)
            spent[name] += time.perf_counter() - started[name]

        handles += [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
        if hasattr(part, "finish"):
            whole: Any = part
            whole.finish = _timed_generator(model, whole.finish, name, spent)
            patched.append(whole)
    try:
        yield spent
    finally:
        for handle in handles:
            handle.remove()
        for part in patched:
            del part.finish  # the class's method shows again


def _timed_generator(
    model: nn.Module, function: Callable[..., Any], name: str, spent: dict[str, float]
) -> Callable[..., Iterator[Any]]:
    def timed(*arguments: Any) -> Iterator[Any]:
        start = time.perf_counter()
        for value in function(*arguments):
            _wait(model)
            spent[name] += time.perf_counter() - start
            yield value
            start = time.perf_counter()
        spent[name] += time.perf_counter() - start

    return timed


def measure_peak(run: Callable[[], None]) -> float | None:
    """Most memory, in MiB, that a function holds beyond what was held before.

    On a GPU of PyTorch's allocator, else of the process; None where the system does not tell.
    """
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / MEBI
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
    except OSError:
        return None
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / MEBI


def _resident(key: str) -> int:
    """Bytes that /proc tells of this process."""
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{os.getpid()}/status has no {key}")


def _custom_operators() -> dict[Any, Callable[..., int]]:
    """Formulas for operators that PyTorch's counter does not know."""
    operators: dict[Any, Callable[..., int]] = {}
    if hasattr(torch.ops.dvps_d2, "ms_deform_attn"):
        operators[torch.ops.dvps_d2.ms_deform_attn] = _deform_attention_flops
    if hasattr(torch.ops.torchvision, "deform_conv2d"):
        operators[torch.ops.torchvision.deform_conv2d] = _deform_conv_flops
    return operators


def _deform_attention_flops(
    value_shape: Sequence[int],
    level_shapes: Any,
    locations_shape: Sequence[int],
    *_: Any,
    **__: Any,
) -> int:
    batch, queries, heads, levels, points, _xy = locations_shape
    return FLOPS_PER_SAMPLE * batch * queries * heads * levels * points * value_shape[-1]


def _deform_conv_flops(
    input_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, out_shape: Any, **__: Any
) -> int:
    batch, _channels, height, width = out_shape
    out_channels, in_channels, kernel_h, kernel_w = weight_shape
    taps = batch * height * width * in_channels * kernel_h * kernel_w
    return taps * (2 * out_channels + FLOPS_PER_SAMPLE)
