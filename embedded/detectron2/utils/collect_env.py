"""A table of versions, for logs and bug reports."""

import importlib
import importlib.metadata
import os
import sys

import numpy as np
import PIL
import torch
import torchvision
from tabulate import tabulate

__all__ = ["collect_env_info"]


def _folder(module: object) -> str:
    return os.path.dirname(str(getattr(module, "__file__", "")))


def _distribution_version(name: str, fallback: str) -> str:
    """Version of the installed distribution, which tells this package from the official one."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return fallback


def _module_version(name: str) -> str:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return "not installed"
    return str(getattr(module, "__version__", None) or _distribution_version(name, "unknown"))


def _gpu_rows() -> list[tuple[str, str]]:
    if not torch.cuda.is_available():
        return [("GPU available", "no")]
    rows = [("GPU available", "yes"), ("CUDA of torch", str(torch.version.cuda))]
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        major, minor = torch.cuda.get_device_capability(index)
        rows.append((f"GPU {index}", f"{name} (arch={major}.{minor})"))
    return rows


def collect_env_info() -> str:
    """Versions of Python, torch, this package and its libraries, and the GPUs, as a table."""
    import detectron2

    version = _distribution_version("detectron2", detectron2.__version__)
    rows = [
        ("sys.platform", sys.platform),
        ("Python", sys.version.replace("\n", "")),
        ("numpy", np.__version__),
        ("detectron2", f"{version} @{_folder(detectron2)}"),
        ("DETECTRON2_ENV_MODULE", os.environ.get("DETECTRON2_ENV_MODULE", "<not set>")),
        ("PyTorch", f"{torch.__version__} @{_folder(torch)}"),
        ("PyTorch debug build", str(torch.version.debug)),
        *_gpu_rows(),
        ("Pillow", PIL.__version__),
        ("torchvision", f"{torchvision.__version__} @{_folder(torchvision)}"),
        *((name, _module_version(name)) for name in ("fvcore", "iopath", "cv2")),
    ]
    return tabulate(rows) + "\n" + torch.__config__.show()
