"""Find and load the compiled extension.

``FILE`` is the extension beside this module, or None where nobody built one; ``FAILURE`` says why
it does not load, or is None. Importing never fails: the first use of an op does, readably.
"""

from pathlib import Path

import torch

from . import registration

SUFFIXES = (".so", ".pyd", ".dylib")
_DISPATCH_KEYS = {"cpu": "CPU", "cuda": "CUDA"}
_OPS = ("ms_deform_attn", "panoptic_merge")


def _find() -> Path | None:
    files = [file for file in Path(__file__).parent.glob("_C.*") if file.suffix in SUFFIXES]
    return max(files, key=lambda file: file.stat().st_mtime) if files else None


def _load(file: Path) -> str | None:
    """Load the library; the message of the loader where it refuses."""
    try:
        torch.ops.load_library(str(file))
    except OSError as error:
        return (
            f"{file} was built for another machine or another torch than {torch.__version__} and "
            f"does not load: {error}"
        )
    missing = [op for op in _OPS if not hasattr(torch.ops.dvps_d2, op)]
    if missing:
        return f"{file} was built from older sources and has no {' and no '.join(missing)}"
    registration.register()
    return None


def has_kernel(device_type: str) -> bool:
    """Whether the extension is loaded and has its kernels for tensors of this device type."""
    if FILE is None or FAILURE is not None or device_type not in _DISPATCH_KEYS:
        return False
    key, has = _DISPATCH_KEYS[device_type], torch._C._dispatch_has_kernel_for_dispatch_key
    return all(has(f"dvps_d2::{op}", key) for op in _OPS)


FILE = _find()
FAILURE = None if FILE is None else _load(FILE)
