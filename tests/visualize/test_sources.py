import http.server
import logging
import socket
import threading
import time
from functools import partial

import cv2
import numpy as np
import pytest

from dvps_d2.visualize import VideoWriter
from dvps_d2.visualize.capture import Live, Recorded
from dvps_d2.visualize.sources import (
    CapturedFrames,
    FrameError,
    first_position,
    natural_order,
    open_source,
)


def picture(level, shape=(32, 48)):
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = level  # red
    return image


@pytest.fixture
def folder(tmp_path):
    """Eight red images of rising brightness, named so that text order is wrong."""
    for number in range(4, 12):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), picture(number * 20)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._f4.png").write_bytes(b"notes of a file manager")
    return tmp_path


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=10, codec="mp4v") as writer:
        for number in range(12):
            writer.write(picture(number * 20))
    return path


def test_a_folder_is_read_in_order_of_its_numbers(folder):
    source = open_source(folder)
    frames = list(source)
    assert [frame.name for frame in frames] == [f"f{n}" for n in range(4, 12)]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [n * 20 for n in range(4, 12)]
    assert frames[3].seconds == pytest.approx(0.3)
    assert (source.count, source.fps) == (8, 10)


def test_start_every_and_limit(folder):
    source = open_source(folder, start=1, every=3, limit=2, fps=30)
    assert source.count == 2
    assert source.fps == 10
    assert [(f.name, f.position) for f in source] == [("f5", 1), ("f8", 4)]


def test_a_pattern_takes_only_what_fits(folder):
    assert [frame.name for frame in open_source(f"{folder}/f1*.png")] == ["f10", "f11"]


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    for part in "ab":
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "0.png"), picture(9))
    assert [f.name for f in open_source(f"{tmp_path}/*/0.png")] == ["000000", "000001"]


@pytest.mark.parametrize(
    "image",
    [
        np.full((8, 8), 77, np.uint8),
        np.full((8, 8), 77 * 257, np.uint16),
        np.full((8, 8, 4), 77, np.uint8),
    ],
    ids=["grey", "16 bits", "transparent"],
)
def test_any_image_becomes_8_bit_colour(tmp_path, image):
    cv2.imwrite(str(tmp_path / "0.png"), image)
    frame = next(open_source(tmp_path))
    assert frame.image.shape == (8, 8, 3)
    assert frame.image.dtype == np.uint8
    assert frame.image.max() == frame.image.min() == 77


def test_12_bits_in_16_are_dark_and_said_so_once(tmp_path, caplog):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8), 4000, np.uint16))
    with caplog.at_level(logging.WARNING):
        assert [frame.image[0, 0, 0] for frame in open_source(tmp_path)] == [4000 >> 8] * 2
    assert caplog.text.count("its brightest value is 4000") == 1


def test_an_image_of_decimal_numbers_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "0.tiff"), np.ones((8, 8, 3), np.float32))
    with pytest.raises(FrameError, match=r"0\.tiff holds float32 numbers; expected 8-bit or"):
        next(open_source(tmp_path))


def test_an_unreadable_image_is_named_and_the_next_can_be_had(folder):
    (folder / "f5.png").write_bytes(b"damaged")
    source = open_source(folder)
    assert next(source).name == "f4"
    with pytest.raises(FrameError, match=r"frame 1: .*f5\.png is not a readable image"):
        next(source)
    assert next(source).name == "f6"


def test_a_video_gives_times_and_colours(video):
    source = open_source(video, start="0.2s", every=2)
    frames = list(source)
    assert [frame.position for frame in frames] == [2, 4, 6, 8, 10]
    assert [round(frame.seconds, 3) for frame in frames] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert frames[2].image[..., 0].mean() == pytest.approx(120, abs=12)
    assert frames[2].image[..., 2].mean() < 25
    assert (source.count, source.fps, source.label) == (5, 5, "clip")


def test_a_video_over_http(video):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(video.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/clip.mp4"
            frames = list(open_source(address, limit=3))
        finally:
            server.shutdown()
    assert len(frames) == 3


def test_a_truncated_video_says_where_it_ends(tmp_path):
    path = tmp_path / "clip.avi"
    with VideoWriter(path, fps=10, codec="MJPG") as writer:
        for number in range(40):
            writer.write(np.random.default_rng(number).integers(0, 255, (32, 48, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    source = open_source(path)
    if source.count is None or source.count < 38:
        pytest.skip("this FFmpeg counts only the frames that are there")
    read = []
    with pytest.raises(FrameError, match=r"ends at frame \d+ of 40 .*truncated or damaged"):
        for frame in source:
            read.append(frame.position)
    assert 10 < len(read) < 30
    assert list(source) == []  # said once; then it is over


def test_damage_in_the_middle_is_named_and_passed_over(monkeypatch):
    class Damaged(Times):
        def read(self):
            good, image = super().read()
            return good and self.place not in (3, 4, 7), image

    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Damaged(range(0, 1000, 100)))
    source = CapturedFrames(Recorded("x.mp4"), label="x")
    positions, errors = [], []
    while True:
        try:
            positions.append(next(source).position)
        except StopIteration:
            break
        except FrameError as error:
            errors.append(str(error))
    assert positions == [0, 1, 2, 5, 6, 8, 9]
    assert len(errors) == 2
    assert "frames 3 to 4 of x.mp4 cannot be decoded" in errors[0]
    assert "frame 7 of x.mp4" in errors[1]


class Times:
    """A video whose pictures come at given milliseconds."""

    def __init__(self, times, fps=10.0):
        self.times, self.fps, self.place = times, fps, -1

    def isOpened(self):
        return True

    def get(self, key):
        if key == cv2.CAP_PROP_POS_MSEC:
            return self.times[self.place]
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: len(self.times)}[key]

    def grab(self):
        self.place += 1
        return self.place < len(self.times)

    def read(self):
        return self.grab(), picture(0)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [
        ([0, 100, 500, 520], [0, 0.1, 0.5, 0.52]),
        ([4000, 4100, 4200], [0, 0.1, 0.2]),
        ([0, 0, 0], [0, 0.1, 0.2]),
        ([0, 900, 100, float("nan")], [0, 0.9, 1.0, 1.1]),
    ],
    ids=["uneven", "late start", "no times", "backwards"],
)
def test_times_are_kept_and_always_rise(monkeypatch, milliseconds, seconds):
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Times(milliseconds))
    frames = list(CapturedFrames(Recorded("x.mp4"), label="x"))
    assert [frame.seconds for frame in frames] == pytest.approx(seconds)


def test_an_unbelievable_frame_rate_is_replaced(monkeypatch, caplog):
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Times([0], fps=90000.0))
    with caplog.at_level(logging.WARNING):
        assert Recorded("x.mp4").fps == 25
    assert "90000" in caplog.text


class Camera:
    """Gives a picture every 5 ms, ``total`` in all."""

    def __init__(self, total):
        self.left = self.total = total

    def isOpened(self):
        return True

    def get(self, key):
        return 200.0

    def read(self):
        time.sleep(0.005)
        self.left -= 1
        return self.left >= 0, picture(self.total - self.left)

    def release(self):
        pass


def test_a_camera_gives_the_newest_picture_and_drops_the_others():
    source = CapturedFrames(Live(0, video=Camera(60)), label="camera")
    assert source.count is None
    seen = []
    for frame in source:
        time.sleep(0.05)  # a slow model
        seen.append(frame.position)
    source.close()
    assert 2 <= len(seen) < 30
    assert seen == sorted(set(seen))
    assert max(np.diff(seen)) > 2


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_is_silent_is_given_up(monkeypatch, scheme):
    monkeypatch.setattr("dvps_d2.visualize.capture._LONGEST_WAIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = silent.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(ValueError, match=r"//127.*/street cannot be opened: the host did not"):
            open_source(f"{scheme}://user:secret@127.0.0.1:{port}/street")
    assert time.monotonic() - started < 15  # OpenCV's own limit is 30


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(ValueError, match="name of the input is empty; expected a video"):
        open_source("")
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4 does not exist; expected a video"):
        open_source(tmp_path / "gone.mp4")
    with pytest.raises(FileNotFoundError, match="holds no images"):
        open_source(tmp_path)
    with pytest.raises(FileNotFoundError, match="no image fits"):
        open_source(f"{tmp_path}/*.png")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4 is not a video OpenCV can decode.*libx264"):
        open_source(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4 is empty"):
        open_source(tmp_path / "empty.mp4")


def test_arguments_out_of_range_are_named(video, folder):
    for options, message in (
        ({"every": 0}, "every must be at least 1"),
        ({"limit": 0}, "at least 1"),
        ({"fps": -1}, r"fps must be in 0\.001\.\.1000, got -1"),
        ({"fps": float("nan")}, "fps must be in .*, got nan"),
        ({"fps": float("inf")}, "fps must be in .*, got inf"),
        ({"start": "soon"}, "start must be a frame"),
        ({"start": 99}, r"start is frame 99, but .* has only (8|12) frames"),
    ):
        for spec in (video, folder):
            with pytest.raises(ValueError, match=message):
                open_source(spec, **options)


def test_places_in_time():
    assert first_position("120", 10) == 120
    assert first_position("12.5s", 10) == 125
    assert first_position("1:30", 10) == 900
    assert first_position("1:00:01", 2) == 7202


def test_natural_order(tmp_path):
    names = ["a10", "a9", "a9b", "b1"]
    paths = sorted((tmp_path / name for name in names), key=natural_order)
    assert [path.name for path in paths] == ["a9", "a9b", "a10", "b1"]
