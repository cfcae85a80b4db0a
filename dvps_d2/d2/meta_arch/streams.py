"""The memory of every video that is being streamed through a model."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dvps_d2.structures import PanopticTube, StreamState


@dataclass
class Stream:
    """One video under way.

    Attributes:
        state: the pipeline's state after the last window.
        frame_ids: frames seen so far, in order.
    """

    state: StreamState = field(default_factory=StreamState)
    frame_ids: list[int] = field(default_factory=list)


class StreamBook:
    """Videos under way, by id; refuses windows that do not continue one."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def clear(self) -> None:
        """Forget every video."""
        self._streams.clear()

    def open(self, item: Mapping[str, Any]) -> Stream:
        """The stream that a window belongs to; a new one at ``is_first``.

        Args:
            item: a window, ``{"video_id", "frames", "is_first", "position"}``; ``position`` is
                the place of its first frame in the video.

        Raises:
            KeyError: the video was never started.
            ValueError: the window skips or repeats frames.
        """
        video_id, position = item["video_id"], item["position"]
        if item["is_first"]:
            self._streams[video_id] = Stream()
        elif video_id not in self._streams:
            raise KeyError(
                f"video {video_id!r} is not being streamed: its first window (is_first=True) never "
                f"came, or it has already ended; known: {sorted(self._streams) or 'none'}"
            )
        stream = self._streams[video_id]
        if position != len(stream.frame_ids):
            raise ValueError(
                f"video {video_id!r}: this window starts at frame position {position}, but "
                f"{len(stream.frame_ids)} frames were seen; windows must follow one another "
                f"without gap (build_video_test_loader does this)"
            )
        stream.frame_ids.extend(frame["frame_id"] for frame in item["frames"])
        return stream

    def close(self, item: Mapping[str, Any]) -> None:
        """Forget the video of a window that was its last."""
        del self._streams[item["video_id"]]


class Ending:
    """The last frames of a video, and what is said of it as a whole once they have been read.

    Args:
        tubes: gives the frames' tubes; what it returns in the end is said of the whole video.

    Attributes:
        said: what ``tubes`` returned; None before its end.
    """

    def __init__(self, tubes: Generator[PanopticTube, None, Any]) -> None:
        self._tubes = tubes
        self._read = False
        self.said: Any = None

    def __iter__(self) -> Generator[PanopticTube, None, None]:
        self.said = yield from self._tubes
        self._read = True

    def after_frames(self, video_id: str) -> Generator[Any, None, None]:
        """The parts of ``said``, lazily.

        Raises:
            RuntimeError: the frames have not been read to their end.
        """
        if not self._read:
            raise RuntimeError(
                f"video {video_id!r}: its instances are known when its frames have been drawn; "
                f"read 'frames' to the end first"
            )
        yield from self.said
