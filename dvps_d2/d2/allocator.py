"""glibc's allocator, told to keep what PyTorch frees on a CPU."""

from __future__ import annotations

import ctypes
import sys

# Numbers of glibc's mallopt parameters (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
SETTINGS = ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 256 << 20))


def keep_freed_memory() -> bool:
    """Reuse freed memory instead of giving it back to the system at once.

    Every training step, and every frame of a video, frees and asks for the same large blocks; by
    default glibc returns them to the system, and each step pays for fresh pages. Does nothing where
    the C library is another.

    Returns:
        Whether the settings were taken.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*setting) == 1 for setting in SETTINGS)
