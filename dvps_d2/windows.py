"""Which frames of a video enter a model together: pure arithmetic."""

from __future__ import annotations


def split_into_windows(num_frames: int, window_size: int) -> list[range]:
    """Cut a video into windows that follow one another without overlap.

    Args:
        num_frames: frames of the video.
        window_size: frames per window; 0 takes the whole video at once. The last window may be
            shorter.

    Returns:
        Frame positions of each window, in order; together they are ``range(num_frames)``.

    Raises:
        ValueError: a video without frames, or a negative window size.
    """
    if num_frames < 1:
        raise ValueError(f"a video needs at least one frame, got num_frames={num_frames}")
    if window_size < 0:
        raise ValueError(f"window_size must be 0 (whole video) or more, got {window_size}")
    size = window_size or num_frames
    return [range(start, min(start + size, num_frames)) for start in range(0, num_frames, size)]
