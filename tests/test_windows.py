import pytest

from dvps_d2.windows import split_into_windows


@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [
        (1, 3, [[0]]),
        (3, 3, [[0, 1, 2]]),
        (7, 3, [[0, 1, 2], [3, 4, 5], [6]]),
        (4, 0, [[0, 1, 2, 3]]),
        (2, 9, [[0, 1]]),
    ],
)
def test_windows_cover_the_video_without_overlap(frames, size, expected):
    assert [list(window) for window in split_into_windows(frames, size)] == expected


@pytest.mark.parametrize(("frames", "size", "text"), [(0, 3, "num_frames=0"), (3, -1, "got -1")])
def test_nonsense_is_refused(frames, size, text):
    with pytest.raises(ValueError, match=text):
        split_into_windows(frames, size)
