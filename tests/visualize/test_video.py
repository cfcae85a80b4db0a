import cv2
import numpy as np
import pytest

from dvps_d2.visualize import VideoWriter, read_video
from dvps_d2.visualize.video import has_pyav


def flat(level, shape=(48, 64)):
    """A red picture; red tells RGB from BGR."""
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = level
    return image


def test_frames_come_back_in_order_and_colour(tmp_path):
    with VideoWriter(tmp_path / "new" / "v.mp4", fps=10) as video:
        for level in (60, 140, 220):
            video.write(flat(level))
    frames = list(read_video(tmp_path / "new" / "v.mp4"))
    assert len(frames) == 3
    for found, level in zip(frames, (60, 140, 220), strict=True):
        assert found.shape == (48, 64, 3)
        assert found[..., 0].mean() == pytest.approx(level, abs=12)
        assert found[..., 2].mean() < 25


def test_odd_sizes_are_padded_by_one(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", fps=5) as video:
        video.write(flat(99, (47, 63)))
    assert next(read_video(tmp_path / "v.mp4")).shape == (48, 64, 3)


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(tmp_path / "v.mp4", fps=5) as video:
        video.write(flat(1))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_no_frame_at_all_is_an_error(tmp_path):
    with (
        pytest.raises(ValueError, match="no frame was written"),
        VideoWriter(tmp_path / "v.mp4", fps=5),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_unknown_codec_says_what_to_use(tmp_path):
    with (
        pytest.raises(ValueError, match=r"cannot encode codec 'zzzz'.*'mp4v'"),
        VideoWriter(tmp_path / "v.mp4", fps=5, codec="zzzz") as video,
    ):
        video.write(flat(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(has_pyav(), reason="PyAV is installed")
def test_h264_without_pyav_says_how_to_get_it(tmp_path):
    with (
        pytest.raises(ValueError, match="pip install av"),
        VideoWriter(tmp_path / "v.mp4", fps=5, codec="h264") as video,
    ):
        video.write(flat(1))


def test_frames_of_another_size_and_type_are_refused(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", fps=5) as video:
        video.write(flat(1))
        with pytest.raises(ValueError, match="like the first"):
            video.write(flat(1, (24, 32)))
        with pytest.raises(ValueError, match="uint8"):
            video.write(flat(1).astype(np.float32))


def test_a_truncated_video_is_an_error_and_not_a_short_video(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
    whole = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for frame in noise:
        whole.write(frame)
    whole.release()
    data = (tmp_path / "v.avi").read_bytes()
    (tmp_path / "v.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"of 30 that .*v\.avi promises: .* truncated or damaged"):
        list(read_video(tmp_path / "v.avi"))


def test_unreadable_videos_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        next(read_video(tmp_path / "gone.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4 is not a video"):
        next(read_video(tmp_path / "text.mp4"))
