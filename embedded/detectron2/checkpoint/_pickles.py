"""Reading the pickles of the model zoo without running what they contain."""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any, BinaryIO

import numpy as np

# Everything that a file of weights needs, by the names that pickles give to it.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
}
for _module in ("builtins", "__builtin__"):
    for _kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str):
        _ALLOWED[_module, _kind.__name__] = _kind
    _ALLOWED[_module, "unicode"] = str
    _ALLOWED[_module, "long"] = int


def _latin1_encode(text: str, encoding: str = "latin1") -> bytes:
    """``_codecs.encode``, by which old pickles spell bytes; other encodings are refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected encoding {encoding!r} in a file of weights")
    return text.encode(encoding)


_ALLOWED["_codecs", "encode"] = _latin1_encode

# How this NumPy rebuilds arrays and scalars. Its internals moved between versions 1 and 2, so
# files name them by either path.
_REBUILD = {
    ("multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("multiarray", "scalar"): np.float32(0).__reduce__()[0],
    ("numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
}
for _core in ("numpy.core", "numpy._core"):
    for (_module, _name), _function in _REBUILD.items():
        _ALLOWED[f"{_core}.{_module}", _name] = _function


class _WeightsUnpickler(pickle.Unpickler):
    """Knows arrays, numbers, strings and containers; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise pickle.UnpicklingError(
            f"{module}.{name} does not belong in a file of weights. Only arrays and plain "
            "containers are read from .pkl files; if you trust the file, convert it to .pth first"
        )


def load_pickle(source: BinaryIO | bytes) -> Any:
    """Read arrays and plain containers from a pickle of any Python version.

    Args:
        source: a file opened for reading bytes, or the bytes.

    Raises:
        pickle.UnpicklingError: the file holds anything else.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return _WeightsUnpickler(file, encoding="latin1").load()
