"""Which implementation runs: the compiled kernels or plain PyTorch.

The rule: compiled where an extension was built for the device, plain PyTorch where nobody asked
for a build. ``DVPS_OPS_PATH=compiled|reference`` in the environment, or ``use_path``, overrule it.
The choice is logged once per device type. An extension that exists but does not load is an error
at first use, with the way out; it never turns into the slow path by itself.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import extension

logger = logging.getLogger(__name__)

CHOICES = ("auto", "compiled", "reference")
_BUILD_HINT = "build them with `DVPS_BUILD_OPS=1 pip install --no-build-isolation -e .`"
_PLAIN_HINT = "or run in plain PyTorch with DVPS_OPS_PATH=reference"

_decided: dict[str, str] = {}  # device type -> path, filled at first use
_reported: set[tuple[str, str]] = set()


def _valid(choice: str) -> str:
    if choice not in CHOICES:
        raise ValueError(f"the path of the ops must be one of {CHOICES}, got {choice!r}")
    return choice


_requested = _valid(os.environ.get("DVPS_OPS_PATH", "auto"))


@contextmanager
def use_path(choice: str) -> Iterator[None]:
    """Run the ops on a path of choice inside a ``with`` block.

    Functions that ``torch.compile`` has already traced keep the path they were traced with.

    Args:
        choice: "auto" (compiled where built), "compiled" (an error where it is not) or "reference".
    """
    global _requested
    before, _requested = _requested, _valid(choice)
    _decided.clear()
    try:
        yield
    finally:
        _requested = before
        _decided.clear()


@torch.compiler.assume_constant_result
def active_path(device_type: str = "cpu") -> str:
    """The path that tensors on a device take: "compiled" or "reference".

    Raises:
        RuntimeError: the built extension does not load, or compiled kernels were asked for and
            there are none for this device.
    """
    if device_type not in _decided:
        path, reason = _decide(device_type)
        _decided[device_type] = path
        if (device_type, path) not in _reported:
            _reported.add((device_type, path))
            logger.info("ops on %s: %s path (%s)", device_type, path, reason)
    return _decided[device_type]


def _decide(device_type: str) -> tuple[str, str]:
    """The path and the reason for it."""
    if _requested == "reference":
        return "reference", "asked for"
    if extension.FAILURE is not None:
        raise RuntimeError(f"{extension.FAILURE}; {_BUILD_HINT} {_PLAIN_HINT}")
    if extension.FILE is None:
        reason = "no compiled kernels were built"
    elif extension.has_kernel(device_type):
        return "compiled", extension.FILE.name
    else:
        reason = f"{extension.FILE.name} was built without kernels for it (FORCE_CUDA=1 for a GPU)"
    if _requested == "compiled":
        raise RuntimeError(f"{device_type} tensors: {reason}; {_BUILD_HINT} {_PLAIN_HINT}")
    return "reference", reason
