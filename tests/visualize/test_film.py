"""The loop of a film with systems drawn by hand; no model."""

import csv
import errno
import json
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest

from dvps_d2.formats import class_table
from dvps_d2.formats.png import read_depth_png, read_png, rgb_to_id
from dvps_d2.visualize import Palette, SegmentMap, VideoWriter, read_video, sinks
from dvps_d2.visualize.film import Film, FrameResult
from dvps_d2.visualize.panels import Look, Panel, PanelPainter, choose_grid
from dvps_d2.visualize.resizing import Resizing
from dvps_d2.visualize.sinks import BALLAST, Ballast, PictureSink, PredictionSink, require_writable
from dvps_d2.visualize.sources import FrameError, FrameSource, SourceFrame
from dvps_d2.visualize.spool import Spool
from dvps_d2.visualize.video import Timeline

TABLE = class_table("cityscapes")
ROAD, CAR = 0, 13


class Drawn(FrameSource):
    """Grey frames; an entry of ``sizes`` that is None cannot be read."""

    label, fps = "drawn", 10.0

    def __init__(self, sizes, seconds=None):
        self._todo = list(enumerate(sizes))
        self.count = len(sizes)
        self._seconds = seconds or [i / 10 for i in range(len(sizes))]

    def __next__(self):
        if not self._todo:
            raise StopIteration
        position, size = self._todo.pop(0)
        if size is None:
            raise FrameError(f"frame {position}: damaged")
        image = np.full((*size, 3), 40 + position, np.uint8)
        return SourceFrame(image, position, self._seconds[position], f"{position:06}")


class Toy:
    """A car on a road; the state is the list of frames seen."""

    look = Look("toy", Palette(TABLE.colors, TABLE.thing_ids), TABLE.names)

    def __init__(self, offline=False):
        self.offline = offline

    def step(self, frames, state):
        state = (*(state or ()), *(f.image.shape[:2] for f in frames))
        return ([] if self.offline else [result(f.image.shape[:2]) for f in frames]), state

    def finish(self, state):
        return [result(size) for size in state] if self.offline else []


def result(size):
    ids = np.full(size, 1, np.int32)
    ids[size[0] // 3 :, size[1] // 3 :] = 4
    classes = {1: ROAD, 4: CAR}
    depth = np.full(size, 12.5, np.float32)
    return FrameResult(SegmentMap.from_ids(ids, classes, [CAR]), depth, ids, classes)


class Log:
    """A sink that notes positions."""

    def __init__(self):
        self.seen, self.closed = [], 0

    def write(self, frame, results):
        self.seen.append((frame.position, len(results)))

    def close(self):
        self.closed += 1


def painter(size):
    return PanelPainter(size, [Toy.look], with_depth=True)


SIZE = (48, 80)


@pytest.mark.parametrize("window", [1, 2, 3, 50])
@pytest.mark.parametrize("offline", [[False], [True], [False, True]], ids=str)
def test_every_frame_is_written_once_in_order(window, offline):
    log = Log()
    film = Film(Drawn([SIZE] * 40), [Toy(o) for o in offline], [log], window=window)
    film.run()
    assert log.seen == [(i, len(offline)) for i in range(40)]
    assert (film.written, log.closed) == (40, 1)


@pytest.mark.parametrize("window", [1, 3])
def test_a_damaged_frame_ends_it_after_the_ones_before(window):
    log = Log()
    film = Film(Drawn([SIZE, SIZE, None, SIZE]), [Toy()], [log], window=window)
    with pytest.raises(FrameError, match="frame 2: damaged"):
        film.run()
    assert [position for position, _ in log.seen] == [0, 1]
    assert log.closed == 1


@pytest.mark.parametrize("offline", [False, True])
def test_keep_going_leaves_damaged_frames_out(offline):
    log = Log()
    film = Film(Drawn([None, SIZE, None, SIZE]), [Toy(offline)], [log], window=2, keep_going=True)
    film.run()
    assert [position for position, _ in log.seen] == [1, 3]
    assert film.num_skipped == 2
    assert film.skipped[0] == "frame 0: damaged"


def test_frames_of_another_size_are_an_error_unless_resized():
    film = Film(Drawn([(48, 80), (80, 48)]), [Toy()], [Log()])
    with pytest.raises(FrameError, match=r"frame 1 .* is 48 x 80, the frames before are 80 x 48"):
        film.run()
    log = Log()
    sized = Resizing.parse("64x32")
    Film(Drawn([(48, 80), (80, 48)]), [Toy()], [log], resizing=sized).run()
    assert len(log.seen) == 2


def test_a_wish_to_stop_completes_what_was_seen():
    log = Log()
    film = Film(Drawn([SIZE] * 9), [Toy(True)], [log], window=2, stop=lambda: bool(film_seen))
    film_seen = []
    step = film._systems[0].step

    def stop_after_two_windows(frames, state):
        if state:
            film_seen.append(True)
        return step(frames, state)

    film._systems[0].step = stop_after_two_windows
    film.run()
    assert [position for position, _ in log.seen] == [0, 1, 2, 3]
    assert log.closed == 1


def test_no_frames_at_all_is_an_error():
    with pytest.raises(ValueError, match="drawn gave no frames"):
        Film(Drawn([]), [Toy()], [Log()]).run()


def test_failures_while_closing_do_not_hide_the_first(tmp_path):
    class Broken(Log):
        def write(self, frame, results):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError("and now this")

    log = Log()
    with pytest.raises(OSError, match="No space left") as caught:
        Film(Drawn([SIZE]), [Toy()], [Broken(), log]).run()
    assert caught.value.__notes__ == ["and then: and now this"]
    assert log.closed == 1


def test_one_frame_and_portrait_and_grey_make_a_video(tmp_path):
    path = tmp_path / "overlay.mp4"
    sink = PictureSink(painter, path=path, fps=10, codec="mp4v", caption=lambda frame: "frame 0")
    Film(Drawn([(90, 40)]), [Toy()], [sink]).run()
    (drawn,) = list(read_video(path))
    assert drawn.shape[1] == 2 * 400  # enlarged ten times, depth beside it
    assert drawn.std() > 10


def test_a_full_disk_leaves_a_complete_video(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    rooms = iter([1 << 40] * 5 + [1 << 20] * 99)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, next(rooms)))
    sink = PictureSink(painter, path=tmp_path / "overlay.mp4", fps=10, codec="mp4v")
    film = Film(Drawn([SIZE] * 9), [Toy()], [sink])
    with pytest.raises(OSError, match="only 1 MiB are free") as caught:
        film.run()
    assert caught.value.errno == errno.ENOSPC
    assert film.written == 5
    assert len(list(read_video(tmp_path / "overlay.mp4"))) == 5


def test_a_video_that_cannot_be_completed_is_an_error_and_no_file(tmp_path, monkeypatch):
    sink = PictureSink(painter, path=tmp_path / "overlay.mp4", fps=10, codec="mp4v")
    monkeypatch.setattr(sinks, "_plays", lambda path: False)
    with pytest.raises(OSError, match="is the disk full"):
        Film(Drawn([SIZE]), [Toy()], [sink]).run()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write here .*choose another folder.*file/out"):
        require_writable(tmp_path / "file" / "out")


def test_predictions_are_a_submission(tmp_path):
    sink = PredictionSink(tmp_path, "clip", TABLE, depth=True)
    Film(Drawn([SIZE] * 3, seconds=[0, 0.5, 0.6]), [Toy()], [sink]).run()
    listed = json.loads((tmp_path / "pred.json").read_text())["annotations"]
    assert listed[0]["video_id"] == "clip"
    entries = listed[0]["annotations"]
    assert [entry["file_name"] for entry in entries] == [f"{i:06}.png" for i in range(3)]
    ids = rgb_to_id(read_png(tmp_path / "pan_pred/clip/000001.png"))
    assert sorted(np.unique(ids).tolist()) == [1, 4]
    cars = [s for s in entries[1]["segments_info"] if s["id"] == 4]
    assert cars[0]["category_id"] == TABLE.dataset_ids[CAR]
    assert cars[0]["area"] == int((ids == 4).sum())
    assert (read_depth_png(tmp_path / "depth/000002.png") == 12.5).all()
    rows = list(csv.reader((tmp_path / "frames.csv").open()))
    assert rows[0] == ["name", "position", "seconds"]
    assert [row[2] for row in rows[1:]] == ["0.0000", "0.5000", "0.6000"]


def test_predictions_in_a_layout_with_depth(tmp_path):
    sink = PredictionSink(tmp_path, "clip", TABLE, layout="cityscapes_dvps", depth=True)
    Film(Drawn([SIZE] * 2), [Toy()], [sink]).run()
    pixels = read_png(tmp_path / "panoptic/000001.png")
    assert pixels[0, 0].tolist() == [ROAD, 0, 0]
    assert pixels[-1, -1].tolist() == [CAR, 1, 0]
    assert (read_depth_png(tmp_path / "depth/000001.png") == 12.5).all()
    with pytest.raises(ValueError, match="no layout 'other'"):
        PredictionSink(tmp_path, "clip", TABLE, layout="other")


def test_predictions_of_a_run_that_failed_have_their_json(tmp_path):
    sink = PredictionSink(tmp_path, "clip", TABLE)
    with pytest.raises(FrameError):
        Film(Drawn([SIZE, None]), [Toy()], [sink]).run()
    entries = json.loads((tmp_path / "pred.json").read_text())["annotations"][0]["annotations"]
    assert len(entries) == 1


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0, 0.1, 0.2, 0.3], [(0, True)] * 4),
        ([7, 7.1, 7.2], [(0, True)] * 3),
        ([0, 0.13, 0.18, 0.31], [(0, True)] * 4),
        ([0, 0.1, 0.5], [(0, True), (0, True), (3, True)]),
        ([0, 0.01, 0.02, 0.1], [(0, True), (0, True), (0, False), (0, True)]),
        ([0, 5000, 5000.1], [(0, True)] * 3),
    ],
    ids=["even", "late start", "jitter", "gap", "too dense", "broken clock"],
)
def test_a_timeline_keeps_the_times_of_frames(seconds, expected):
    timeline = Timeline(10)
    assert [timeline.copies(t) for t in seconds] == expected


def test_space_is_given_back_before_files_are_completed(tmp_path):
    ballast, seen = Ballast(tmp_path), []

    class Other:
        def write(self, frame, results):
            seen.append(os.fstat(ballast._file.fileno()).st_size)
            raise OSError(errno.ENOSPC, "full")

        def close(self):
            seen.append(ballast._file.closed)

    with pytest.raises(OSError, match="full"):
        Film(Drawn([SIZE] * 2), [Toy()], [ballast, Other()]).run()
    assert seen == [BALLAST, True]
    assert list(tmp_path.iterdir()) == []


def test_an_uneven_video_lasts_as_long_as_its_source(tmp_path):
    sink = PictureSink(painter, path=tmp_path / "overlay.mp4", fps=10, codec="mp4v")
    Film(Drawn([SIZE] * 4, seconds=[0, 0.1, 0.8, 0.9]), [Toy()], [sink]).run()
    assert len(list(read_video(tmp_path / "overlay.mp4"))) == 10


def test_a_codec_nobody_has_falls_back(tmp_path, caplog):
    with VideoWriter(tmp_path / "v.mp4", 5, codec="zzzz", fallback=True) as video:
        video.write(np.zeros((32, 32, 3), np.uint8))
    assert len(list(read_video(tmp_path / "v.mp4"))) == 1
    assert "cannot encode codec 'zzzz'" in caplog.text


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("none", (2160, 3840), (2160, 3840)),
        ("auto", (2160, 3840), (1080, 1920)),
        ("auto", (3840, 2160), (1920, 1080)),
        ("auto", (480, 640), (480, 640)),
        ("240", (480, 640), (240, 320)),
        ("1280x720", (480, 640), (720, 1280)),
    ],
)
def test_resizing(text, size, expected):
    assert Resizing.parse(text).target(*size) == expected
    image = np.zeros((*size, 3), np.uint8)
    assert Resizing.parse(text)(image).shape == (*expected, 3)


@pytest.mark.parametrize("text", ["big", "8", "1280x", "-720", "1280x4", "99999"])
def test_resizing_that_makes_no_sense(text):
    with pytest.raises(ValueError, match="resize must be"):
        Resizing.parse(text)


def test_pictures_are_arranged_like_a_screen():
    assert choose_grid((480, 960), 1, 2) == [(0, 0), (1, 0)]  # wide: depth below
    assert choose_grid((960, 480), 1, 2) == [(0, 0), (0, 1)]  # portrait: beside
    assert choose_grid((480, 960), 2, 2) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert choose_grid((960, 400), 2, 2) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert choose_grid((480, 960), 1, 2, "beside") == [(0, 0), (0, 1)]


def test_a_legend_shows_what_is_seen_and_keeps_its_height():
    paint = PanelPainter((400, 600), [Toy.look], with_depth=False)
    image = np.zeros((400, 600, 3), np.uint8)
    whole = result((400, 600)).segments
    void = SegmentMap(np.zeros((400, 600), np.uint16), np.array([255]), np.array([0]))
    empty = paint.draw(image, [Panel(void)])
    full = paint.draw(image, [Panel(whole)])
    after = paint.draw(image, [Panel(void)])
    assert empty.shape == full.shape == after.shape
    foot = slice(420, None)
    assert (full[foot] == TABLE.colors[ROAD]).all(-1).any()
    assert not (empty[foot] == TABLE.colors[ROAD]).all(-1).any()
    assert (after[foot] == full[foot]).all()  # it does not flicker


def test_results_of_any_size_fit_the_panels():
    paint = PanelPainter((100, 200), [Toy.look, Toy.look], with_depth=True)
    image = np.zeros((100, 200, 3), np.uint8)
    small = result((50, 100))
    drawn = paint.draw(image, [Panel(small.segments, small.depth), Panel(small.segments)])
    assert drawn.shape[1] == 2 * 800
    with pytest.raises(ValueError, match="arrangement 'left'"):
        PanelPainter((100, 200), [Toy.look], with_depth=True, arrangement="left")


def test_systems_with_other_classes_have_legends_side_by_side():
    other = Look("other", Palette([(9, 200, 9)], [0]), ["cat"])
    paint = PanelPainter((100, 200), [Toy.look, other], with_depth=False)
    cat = SegmentMap(np.zeros((100, 200), np.uint16), np.array([0]), np.array([0]))
    drawn = paint.draw(
        np.zeros((100, 200, 3), np.uint8), [Panel(result((100, 200)).segments), Panel(cat)]
    )
    foot = drawn[-70:]
    half = drawn.shape[1] // 2
    assert (foot[:, :half] == TABLE.colors[ROAD]).all(-1).any()
    assert (foot[:, half:] == (9, 200, 9)).all(-1).any()


def test_a_queue_gives_back_what_was_put_in_order():
    queue = Spool(keep=2)
    given, got = [], []
    for number in range(40):
        given.append(np.full(5, number))
        queue.put(given[-1])
        if number % 3 == 0:
            got.append(queue.get())
    got += [queue.get() for _ in range(len(queue))]
    assert [int(item[0]) for item in got] == list(range(40))
    with pytest.raises(IndexError):
        queue.get()
    queue.close()
