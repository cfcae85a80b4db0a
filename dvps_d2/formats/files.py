"""Writing files so that an interrupted run leaves whole files or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from dvps_d2.formats.errors import FormatError

PARTIAL_SUFFIX = ".part"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it there if all went well.

    The folder is made when it is missing. A process that is killed leaves a hidden
    ``.<name>.<pid>.part`` file (with the ending of ``path``) and never a half-written ``path``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.stem}.{os.getpid()}{PARTIAL_SUFFIX}{target.suffix}")
    try:
        yield partial
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON atomically; the same content always gives the same bytes."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    write_bytes(path, text.encode() + b"\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Parse a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is not JSON; the message has file, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from error


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(height, width) of an image from its header alone; no pixel is decoded.

    Raises:
        FormatError: the file is missing or is no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except FileNotFoundError as error:
        raise FormatError(f"image {path} does not exist") from error
    except OSError as error:
        raise FormatError(f"{path} is not a readable image: {error}") from error
    return height, width
