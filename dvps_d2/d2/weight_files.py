"""Reading files of weights without running what they contain, and writing safetensors."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Where a checkpoint of some code base keeps its weights.
WEIGHT_ENTRIES = ("model", "state_dict")

# What reading a file of something else, or a damaged one, can end in: pickle promises nothing.
UNREADABLE = (
    pickle.UnpicklingError,
    EOFError,
    RuntimeError,  # PyTorch's, about its zip files
    AttributeError,
    ImportError,
    LookupError,
)

_CONTAINERS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
}
# By what name pickles of NumPy 1 and 2 call the functions that rebuild arrays and numbers.
_REBUILDERS = {
    ("multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("multiarray", "scalar"): np.float32(0).__reduce__()[0],
    ("numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
}
_ALLOWED = _CONTAINERS | {
    (f"{core}.{module}", name): function
    for core in ("numpy.core", "numpy._core")
    for (module, name), function in _REBUILDERS.items()
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"{module}.{name} does not belong in a file of weights; only arrays and plain "
                f"containers are read from .pkl files"
            )
        return _ALLOWED[module, name]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Everything in a checkpoint, with its weights under "model".

    Args:
        path: ``.safetensors``, ``.pkl`` (arrays and plain containers only) or a file of
            ``torch.save`` (tensors and plain containers only).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no weights in it, or it holds more than weights may.
    """
    path = Path(path)
    if not path.is_file():
        state = "is a folder; name a file in it" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {state}")
    try:
        content = _READERS.get(path.suffix, _read_torch)(path)
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a plain file of weights: {describe(error)}") from error
    require_mapping(content, path)
    entry = next((name for name in WEIGHT_ENTRIES if name in content), None)
    rest = dict(content) if entry else {}
    weights = rest.pop(entry) if entry else content
    require_mapping(weights, path)
    tensors = {
        key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for key, value in weights.items()
        if isinstance(value, (np.ndarray, Tensor))
    }
    if not tensors:
        raise ValueError(f"{path} holds no weights; it has the entries {sorted(map(str, content))}")
    return {**rest, "model": tensors}


def require_mapping(content: Any, path: str | Path) -> None:
    """Refuse weights that have no names.

    Raises:
        ValueError: with what was found instead.
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} is no file of weights: expected tensors by name, found a "
            f"{type(content).__name__}"
        )


def describe(error: BaseException) -> str:
    """An error of `UNREADABLE` in one line: the number in a KeyError alone says nothing."""
    line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def write_safetensors(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Write tensors to a file that holds nothing else.

    Raises:
        ValueError: the package safetensors is not installed.
        OSError: the file cannot be written.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ModuleNotFoundError as error:
        raise ValueError("to write .safetensors files, `pip install safetensors`") from error
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, str(path))
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} cannot be written: {describe(error)}") from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:  # known only where the package is installed
        raise EOFError(str(error)) from error


def _read_pickle(path: Path) -> Any:
    with open(path, "rb") as file:
        return _ArraysOnly(file, encoding="latin1").load()


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of Python 2 spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected encoding {encoding!r}")
    return text.encode(encoding)


_READERS = {".safetensors": _read_safetensors, ".pkl": _read_pickle}
