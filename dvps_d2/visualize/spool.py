"""A queue that does not fill the memory."""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections import deque
from typing import IO, Any


class Spool:
    """First in, first out; what waits beyond a few items lies in a temporary file.

    A system that looks at a whole video tells nothing before its end; until then its pictures
    wait here.

    Args:
        keep: items held in memory.
    """

    def __init__(self, keep: int = 16) -> None:
        self._keep = keep
        self._head: deque[Any] = deque()  # older than everything in the file
        self._places: deque[tuple[int, int]] = deque()  # (offset, length) of items in the file
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._head) + len(self._places)

    def put(self, item: Any) -> None:
        """Append an item; it must be picklable."""
        if not self._places and len(self._head) < self._keep:
            self._head.append(item)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="dvps-")  # noqa: SIM115 (lives with us)
        packed = zlib.compress(pickle.dumps(item, pickle.HIGHEST_PROTOCOL), 1)
        offset = self._file.seek(0, 2)
        self._file.write(packed)
        self._places.append((offset, len(packed)))

    def get(self) -> Any:
        """Take the oldest item.

        Raises:
            IndexError: nothing waits.
        """
        if self._head:
            return self._head.popleft()
        if not self._places:
            raise IndexError("the queue is empty")
        assert self._file is not None  # places lie in it
        offset, length = self._places.popleft()
        self._file.seek(offset)
        item = pickle.loads(zlib.decompress(self._file.read(length)))
        if not self._places:
            self._file.truncate(0)
        return item

    def close(self) -> None:
        """Drop everything."""
        self._head.clear()
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
