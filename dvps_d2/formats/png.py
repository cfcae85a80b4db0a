"""PNG files as numbers: exact bit depth, RGB order, palette indices, ids and depth.

Labels and depth in this field are PNGs whose pixels are numbers rather than colours. Common
image readers bend them: 16 bits become 8, palettes become colours, RGB becomes BGR. The
functions here never do.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.files import write_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A whole file ends with an empty chunk: length 0, "IEND", its checksum.
END_CHUNK = b"\x00\x00\x00\x00IEND\xaeB`\x82"
# PNG colour type -> (samples per pixel, word for messages)
COLOR_TYPES = {
    0: (1, "grey"),
    2: (3, "RGB"),
    3: (1, "palette"),
    4: (2, "grey+alpha"),
    6: (4, "RGBA"),
}
PALETTE, GREY_ALPHA = 3, 4

DEPTH_SCALE = 256.0  # PNG units per metre in the DVPS datasets
MAX_DEPTH = 65535 / DEPTH_SCALE


@dataclass(frozen=True)
class PngHeader:
    """What the first 26 bytes of a PNG say.

    Attributes:
        height: rows.
        width: columns.
        bits: bits per sample: 1, 2, 4, 8 or 16.
        color_type: 0 grey, 2 RGB, 3 palette, 4 grey+alpha, 6 RGBA.
    """

    height: int
    width: int
    bits: int
    color_type: int

    @property
    def channels(self) -> int:
        """Samples per pixel; a palette image has one, its index."""
        return COLOR_TYPES[self.color_type][0]

    def __str__(self) -> str:
        kind = COLOR_TYPES[self.color_type][1]
        return f"{self.bits}-bit {kind}, {self.width}x{self.height}"


def parse_header(data: bytes, path: str | os.PathLike[str]) -> PngHeader:
    """Read the header out of a PNG's first bytes; ``path`` is for the message only."""
    if not data:
        raise FormatError(f"{path} is empty (0 bytes), expected a PNG")
    if not data.startswith(SIGNATURE):
        raise FormatError(f"{path} is not a PNG: it starts with {data[:8]!r}")
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise FormatError(f"{path} is a truncated PNG: {len(data)} bytes, header incomplete")
    width, height, bits, color_type = struct.unpack(">IIBB", data[16:26])
    if color_type not in COLOR_TYPES:
        raise FormatError(f"{path} has PNG colour type {color_type}, which does not exist")
    return PngHeader(height, width, bits, color_type)


def read_png_header(path: str | os.PathLike[str]) -> PngHeader:
    """Size and sample format of a PNG without decoding it."""
    try:
        with open(path, "rb") as file:
            return parse_header(file.read(33), path)
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist") from error


def read_png(
    path: str | os.PathLike[str],
    *,
    channels: int | None = None,
    bits: int | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Read a PNG as the numbers it stores.

    Args:
        path: the file.
        channels: samples per pixel it must have; a palette image counts as one.
        bits: bits per sample it must have, 8 or 16.
        size: (height, width) it must have.

    Returns:
        (H, W) for one channel, else (H, W, C) in RGB order; uint16 for 16-bit files, else uint8.
        Palette images give their indices, images of 1, 2 or 4 bits their unscaled values.

    Raises:
        FormatError: missing, truncated or no PNG, or not as ``channels``, ``bits`` or ``size``
            ask; the message has file, expected and found.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist") from error
    header = parse_header(data, path)
    _require(path, header, channels, bits, size)
    if END_CHUNK not in data[-1024:]:
        raise FormatError(f"{path} is a truncated PNG: {len(data)} bytes and no end marker")
    if header.color_type in (PALETTE, GREY_ALPHA):
        return _decode_pillow(path)
    return _decode_opencv(data, header, path)


def _require(
    path: str | os.PathLike[str],
    header: PngHeader,
    channels: int | None,
    bits: int | None,
    size: tuple[int, int] | None,
) -> None:
    wanted = []
    if channels is not None and header.channels != channels:
        wanted.append("one channel" if channels == 1 else f"{channels} channels")
    if bits is not None and header.bits != bits:
        wanted.append(f"{bits} bits per channel")
    if size is not None and (header.height, header.width) != tuple(size):
        wanted.append(f"a size of {size[1]}x{size[0]}")
    if wanted:
        raise FormatError(f"{path}: expected {' and '.join(wanted)}, found a PNG of {header}")


def _decode_opencv(data: bytes, header: PngHeader, path: str | os.PathLike[str]) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[:2] != (header.height, header.width):
        raise FormatError(f"{path} is a damaged PNG: it cannot be decoded")
    if header.channels == 1:
        # Values of 1, 2 and 4 bits come stretched to 0..255: undo it.
        return image if header.bits >= 8 else image // np.uint8(255 // (2**header.bits - 1))
    if header.channels == 3:
        return cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)


def _decode_pillow(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError) as error:
        raise FormatError(f"{path} is a damaged PNG: {error}") from error


def write_png(path: str | os.PathLike[str], image: np.ndarray, *, compression: int = 3) -> None:
    """Write numbers as a PNG: atomic, and the same array gives the same bytes.

    Args:
        path: where; folders are made.
        image: (H, W) or (H, W, 3) in RGB order, uint8 or uint16.
        compression: 0 (fast, large) to 9 (slow, small).

    Raises:
        ValueError: any other shape or type.
    """
    image = np.asarray(image)
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"image must be uint8 or uint16 to be written to {path}, got {image.dtype}"
        )
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(f"image must be (H, W) or (H, W, 3) for {path}, got {image.shape}")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    write_bytes(path, data.tobytes())


def rgb_to_id(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 in RGB order -> (H, W) int32 ids, R + 256 G + 65536 B."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    padded = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)  # (H, W, 4): one little-endian word per pixel
    return (padded.view("<i4")[..., 0] & 0xFFFFFF).astype(np.int32, copy=False)


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """(H, W) ids in 0 .. 2**24 - 1 -> (H, W, 3) uint8 in RGB order; inverse of `rgb_to_id`."""
    ids = np.asarray(ids)
    if ids.size and (ids.min() < 0 or ids.max() >= 1 << 24):
        raise ValueError(f"ids must be in 0..16777215, got {ids.min()}..{ids.max()}")
    words = np.ascontiguousarray(ids, dtype="<i4")
    return np.ascontiguousarray(words.view(np.uint8).reshape(*ids.shape, 4)[..., :3])


def encode_depth(metres: np.ndarray) -> np.ndarray:
    """Metres -> uint16 PNG units of 1/256 m; 0 and anything not finite mean "no depth".

    Depths beyond 255.996 m are stored as that. A depth too small for the coding is stored as one
    unit, not as 0, since 0 would erase it.

    Raises:
        ValueError: a depth is negative.
    """
    metres = np.asarray(metres, dtype=np.float64)
    known = np.isfinite(metres) & (metres != 0)
    if (metres[known] < 0).any():
        raise ValueError(f"depth must not be negative, got {metres[known].min():g} m")
    units = np.rint(np.where(known, metres, 0) * DEPTH_SCALE)
    return np.where(known, np.clip(units, 1, 65535), 0).astype(np.uint16)


def decode_depth(units: np.ndarray) -> np.ndarray:
    """uint16 PNG units of 1/256 m -> float32 metres, 0 where there is no depth."""
    if units.dtype != np.uint16:
        raise ValueError(f"units must be uint16 as stored in the PNG, got {units.dtype}")
    return units.astype(np.float32) / np.float32(DEPTH_SCALE)


def read_depth_png(path: str | os.PathLike[str]) -> np.ndarray:
    """(H, W) float32 metres of a 16-bit depth PNG, 0 where there is no depth."""
    return decode_depth(read_png(path, channels=1, bits=16))


def write_depth_png(path: str | os.PathLike[str], metres: np.ndarray) -> None:
    """Write (H, W) metres as a 16-bit depth PNG, 1/256 m per unit, 0 for "no depth"."""
    write_png(path, encode_depth(metres))
