"""Process-wide environment: minimum versions, OpenCV switches, random seeds."""

import importlib
import importlib.util
import logging
import os
import random
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

__all__ = ["TORCH_VERSION", "seed_all_rng", "setup_custom_environment", "setup_environment"]

TORCH_VERSION: tuple[int, ...] = tuple(int(part) for part in torch.__version__.split(".")[:2])
"""(major, minor) of the running torch."""

_MINIMUM_TORCH = (1, 8)
_environment_is_set_up = False


def seed_all_rng(seed: int | None = None) -> None:
    """Seed python, NumPy and torch (all devices), and ``PYTHONHASHSEED`` for child processes.

    Args:
        seed: a number; None draws one from the clock, the process id and the system's entropy.
    """
    if seed is None:
        clock = int(datetime.now().strftime("%S%f"))
        seed = os.getpid() + clock + int.from_bytes(os.urandom(2), "big")
        logging.getLogger(__name__).info("Random seed: %d", seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    random.seed(seed)
    torch.cuda.manual_seed_all(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)


def setup_environment() -> None:
    """Check versions and configure OpenCV, once per process; called on ``import detectron2``.

    Environment variables: ``DETECTRON2_DISABLE_CV2=1`` makes cv2 unimportable;
    ``DETECTRON2_ENV_MODULE`` names a module or ``.py`` file with a ``setup_environment()`` that
    runs at the end.
    """
    global _environment_is_set_up
    if _environment_is_set_up:
        return
    _environment_is_set_up = True
    _configure_cv2()
    assert TORCH_VERSION >= _MINIMUM_TORCH, (
        f"torch {torch.__version__} is too old; at least {_MINIMUM_TORCH} is needed"
    )
    custom = os.environ.get("DETECTRON2_ENV_MODULE")
    if custom:
        setup_custom_environment(custom)


def setup_custom_environment(custom_module: str) -> None:
    """Import a module (by name, or by path when it ends in ``.py``) and run its set-up function.

    Args:
        custom_module: dotted name or path; must define ``setup_environment()``.
    """
    if custom_module.endswith(".py"):
        module = _import_file("detectron2.utils.env.custom_module", Path(custom_module))
    else:
        module = importlib.import_module(custom_module)
    assert callable(getattr(module, "setup_environment", None)), (
        f"{custom_module!r} has no function setup_environment"
    )
    module.setup_environment()


def _configure_cv2() -> None:
    """Hide cv2 when asked to; else keep its OpenCL off, which slows down forked workers."""
    if int(os.environ.get("DETECTRON2_DISABLE_CV2", "0")):
        sys.modules["cv2"] = None  # makes ``import cv2`` raise ImportError
        return
    os.environ["OPENCV_OPENCL_RUNTIME"] = "disabled"
    try:
        import cv2
    except ModuleNotFoundError:
        return
    if hasattr(cv2, "ocl"):
        cv2.ocl.setUseOpenCL(False)


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"Cannot import {path} as a Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
