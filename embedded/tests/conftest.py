"""Fixtures of the tests of the embedded Detectron2. They also run on the official package."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def read_records() -> Callable[[str], dict[str, Any]]:
    """Reader of reference values: ``read_records("a_structures")["pairwise"]``.

    The values were made by running Detectron2 0.6 on a CPU.
    """
    return lambda name: json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wave() -> Callable[..., torch.Tensor]:
    """Input of the reference values: x_k = scale * sin(0.37 k^1.1 + phase), row-major."""

    def make(
        shape: tuple[int, ...], phase: float = 0.0, scale: float = 1.0, dtype: Any = torch.float64
    ) -> torch.Tensor:
        k = np.arange(int(np.prod(shape)), dtype=np.float64)
        values = scale * np.sin(0.37 * k**1.1 + phase)
        return torch.from_numpy(values.reshape(shape)).to(dtype)

    return make


@pytest.fixture(scope="session")
def assert_matches_record() -> Callable[..., None]:
    """Compare an array with a record of its shape, dtype, sum and first elements."""

    def check(array: Any, record: dict[str, Any], tolerance: float = 0.0) -> None:
        """``tolerance``: allowed difference per element; the sum may differ by that on average."""
        array = np.asarray(array)
        assert list(array.shape) == record["shape"]
        if "dtype" in record:
            assert str(array.dtype) == record["dtype"]
        relative = 1e-5 if array.dtype == np.float32 else 1e-8
        total = np.abs(array.astype(np.float64)).sum()
        assert array.sum(dtype=np.float64) == pytest.approx(
            record["sum"], abs=relative * total + tolerance * array.size
        )
        first = array.reshape(-1)[: len(record["first"])].astype(np.float64)
        np.testing.assert_allclose(first, record["first"], rtol=1e-5, atol=1e-7 + tolerance)

    return check
