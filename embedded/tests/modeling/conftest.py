"""Networks filled with the weights of the reference values, and comparison with records."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn


def _wave_weights(shape: torch.Size, number: int) -> torch.Tensor:
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return (0.1 * torch.sin(0.7 * k + number)).reshape(shape)


@pytest.fixture(scope="session")
def fill_waves() -> Callable[..., nn.Module]:
    """Set parameter i (sorted by name) to 0.1 sin(0.7 k + i), norm weights one higher."""

    def fill(module: nn.Module, buffers: bool = False) -> nn.Module:
        """``buffers``: also those of frozen batch norms, in the same way."""
        with torch.no_grad():
            for number, (name, parameter) in enumerate(sorted(module.named_parameters())):
                one_more = "norm" in name and name.endswith("weight")
                parameter.copy_(_wave_weights(parameter.shape, number) + one_more)
            if buffers:
                ends = ("weight", "bias", "running_mean", "running_var")
                named = [
                    (name, buffer)
                    for name, buffer in sorted(module.named_buffers())
                    if name.rpartition(".")[2] in ends
                ]
                for number, (name, buffer) in enumerate(named):
                    one_more = name.endswith(("weight", "running_var"))
                    buffer.copy_(_wave_weights(buffer.shape, number) + one_more)
        return module

    return fill


@pytest.fixture(scope="session")
def check() -> Callable[..., None]:
    """Compare a tensor with its record: shape, sum, sum of absolute values, first elements."""

    def compare(tensor: torch.Tensor, record: dict[str, Any], rel: float | None = None) -> None:
        tensor = tensor.detach()
        rel = rel or (1e-8 if tensor.dtype == torch.float64 else 1e-5)
        assert list(tensor.shape) == record["shape"]
        values = tensor.double().flatten()
        limit = rel * record["abs_sum"]
        assert values.sum().item() == pytest.approx(record["sum"], abs=limit)
        assert values.abs().sum().item() == pytest.approx(record["abs_sum"], abs=limit)
        # Records have ten digits.
        first = values[: len(record["first"])].tolist()
        scale = record["abs_sum"] / max(1, len(values))
        assert first == pytest.approx(record["first"], rel=10 * rel, abs=10 * rel * scale)

    return compare
