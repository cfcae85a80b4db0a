"""PNGs as the counting wants them: ids as views into decoded images, depth as PNG units.

Decoding is most of the work of scoring. Wuffs decodes label maps several times faster than
OpenCV, so its Python binding is used when it is installed (``pip install pywuffs``); the numbers
are the same, and every complaint about a file comes from ``formats.png`` either way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from dvps_d2.formats.png import END_CHUNK, SIGNATURE, parse_header, read_png

# Value of the alpha byte that decoders fill in, above 24 bits of id.
OPAQUE = 255 << 24
RGB, GREY = 2, 0  # PNG colour types


def read_rgb_ids(path: str | os.PathLike[str], slot: int) -> np.ndarray:
    """Read an RGB-coded id map.

    Args:
        path: 8-bit RGB PNG.
        slot: number of a buffer. The result is overwritten by the next call with the same slot,
            because fresh memory for every frame costs more than the conversion.

    Returns:
        (H, W) uint32, R + 256 G + 65536 B + ``OPAQUE``.

    Raises:
        FormatError: missing, damaged, or not 8-bit RGB.
    """
    fast = _decode_fast(path, RGB, 8, "RGBA_NONPREMUL")
    if fast is not None:
        return fast.view("<u4")[..., 0]
    return rgb_to_opaque_id(read_png(path, channels=3, bits=8), slot)


def rgb_to_opaque_id(image: np.ndarray, slot: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint32 in the buffer of ``slot``; the top byte is 255."""
    buffer = _buffer(image.shape[:2], slot)
    return cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=buffer).view("<u4")[..., 0]


def read_grey16(path: str | os.PathLike[str]) -> np.ndarray:
    """(H, W) uint16 of a PNG with one channel of 16 bits: coded labels, or depth in 1/256 m.

    Raises:
        FormatError: missing, damaged, or not one channel of 16 bits.
    """
    fast = _decode_fast(path, GREY, 16, "Y_16LE")
    return read_png(path, channels=1, bits=16) if fast is None else fast.view("<u2")[..., 0]


def decoder_name() -> str:
    """Which library decodes: "wuffs" or "opencv"."""
    return "opencv" if _wuffs() is None else "wuffs"


_buffers: dict[int, np.ndarray] = {}


def _buffer(size: tuple[int, int], slot: int) -> np.ndarray:
    """(H, W, 4) uint8 that is kept between calls."""
    if slot not in _buffers or _buffers[slot].shape[:2] != size:
        _buffers[slot] = np.empty((*size, 4), np.uint8)
    return _buffers[slot]


def _decode_fast(
    path: str | os.PathLike[str], color_type: int, bits: int, pixel_format: str
) -> np.ndarray | None:
    """Decode with Wuffs; None when it is not there, or not sure about the file."""
    wuffs = _wuffs()
    if wuffs is None or not os.path.isfile(path):
        return None
    data = Path(path).read_bytes()
    if not data.startswith(SIGNATURE) or END_CHUNK not in data[-1024:]:
        return None
    header = parse_header(data, path)
    if (header.color_type, header.bits) != (color_type, bits):
        return None
    return wuffs(data, pixel_format)


@cache
def _wuffs() -> Callable[[bytes, str], np.ndarray | None] | None:
    """A decoder (data, pixel format) -> (H, W, C), or None without the library."""
    if find_spec("pywuffs") is None:
        return None
    from pywuffs import ImageDecoderType, PixelFormat
    from pywuffs.aux import ImageDecoder, ImageDecoderConfig

    @cache
    def decoder(pixel_format: str) -> ImageDecoder:
        config = ImageDecoderConfig()
        config.enabled_decoders = [ImageDecoderType.PNG]
        config.pixel_format = getattr(PixelFormat, pixel_format)
        return ImageDecoder(config)

    def decode(data: bytes, pixel_format: str) -> np.ndarray | None:
        result = decoder(pixel_format).decode(data)
        return None if result.error_message else result.pixbuf

    return decode
