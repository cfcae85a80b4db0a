"""``--as-published`` on input that is not quite right: what the published scripts make of it.

What they make of it was found by running them on such files.
"""

from __future__ import annotations

import numpy as np
import pytest

from dvps_d2.cli import main

ROAD, CAR = "0", "13"


def score(submission, protocol, *more):
    assert main(["score", protocol, *submission.args("--as-published", *more)]) == 0
    result = submission.result()
    assert result["as_published"] is True
    return result


def counts(cell, class_id):
    found = cell["per_class"].get(class_id, {})
    return tuple(found.get(name, 0) for name in ("tp", "fp", "fn"))


def annotations(submission, path, change):
    submission.edit(path, lambda content: change(content["annotations"]))


# --- Cityscapes-VPS ----------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "parts"), [(7, [7]), (13, [7, 6]), (11, [11])])
def test_frames_beyond_a_multiple_of_six_make_the_first_videos_longer(make, frames, parts):
    result = score(make.cityscapes_vps({"0005": [0] * frames}), "cityscapes_vps")
    assert result["videos"] == len(parts)
    for length in (1, 4):
        windows = sum(part - length + 1 for part in parts)
        assert counts(result["vpq"][str(length)], CAR) == (2 * windows, 0, 0)


def test_a_shorter_list_ends_the_scoring_without_a_word(make):
    submission = make.cityscapes_vps({"0005": [0] * 6, "0015": [0] * 6})
    annotations(submission, submission.pred_json, lambda entries: entries.pop())
    result = score(submission, "cityscapes_vps")
    assert (result["videos"], result["frames"]) == (2, 11)
    assert counts(result["vpq"]["4"], CAR) == (2 * (3 + 2), 0, 0)


def test_names_in_the_lists_are_not_looked_at(make):
    submission = make.cityscapes_vps()

    def rename(entries):
        for entry in entries:
            entry["image_id"] = entry["file_name"] = "of another dataset"

    annotations(submission, submission.pred_json, rename)
    annotations(submission, submission.truth_json, rename)
    result = score(submission, "cityscapes_vps")
    assert round(100 * result["vpq"]["mean"]["all"], 4) == 69.1191


def test_truth_that_one_frame_does_not_list_belongs_to_the_tube_of_the_other(make):
    """Window of two equal frames; the second does not list road: its 3 px still overlap.

    Road is 4 px in the prediction. IoU: 6 of 8 + 3 - 6 - 1 (void) in the first pair, since only
    the area of the first frame (3 px) counts; but 6 px are more than half of everything.
    """
    submission = make.cityscapes_vps({"0005": [0] * 6})

    def drop_road(entries):
        for entry in entries[1::2]:
            listed = entry["segments_info"]
            entry["segments_info"] = [info for info in listed if info["category_id"] != 0]
        for entry in entries[::2]:
            for info in entry["segments_info"]:
                info["area"] *= 2  # so that no IoU is above 1

    annotations(submission, submission.truth_json, drop_road)
    cell = score(submission, "cityscapes_vps", "--windows", "2")["vpq"]["2"]
    assert counts(cell, ROAD) == (5, 0, 0)
    assert cell["per_class"][ROAD]["sq"] == pytest.approx(6 / (8 + 6 - 6 - 2))


def test_areas_that_cannot_be_stop_the_script(make):
    submission = make.cityscapes_vps()

    def shrink(entries):
        entries[0]["segments_info"][0]["area"] = 1

    annotations(submission, submission.truth_json, shrink)
    assert main(["score", "cityscapes_vps", *submission.args("--as-published")]) == 0
    result = submission.result()
    assert result["as_published"] is False
    assert "has the area 1 but shares 4 pixels" in result["as_published_refused"]
    assert round(100 * result["vpq"]["mean"]["all"], 4) == 69.1191


# --- VIPER -------------------------------------------------------------------------------------


def truth_pngs(submission):
    return sorted(submission.truth.iterdir())


@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_viper_truth_that_cannot_be_read_is_passed_over(make, how):
    """Four frames, the last unreadable: three are scored, and a window ends with one frame."""
    submission = make.viper({"001": [0] * 4})
    last = truth_pngs(submission)[-1]
    if how == "missing":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:60])
    result = score(submission, "viper", "--windows", "1,2")
    assert result["frames"] == 3
    assert counts(result["vpq"]["1"], CAR) == (6, 0, 0)
    assert counts(result["vpq"]["2"], CAR) == (6, 0, 0)  # windows of 2, 2 and 1 frames


def test_viper_truth_moves_up_where_one_is_passed_over(make):
    """The second frame is gone: the third's pixels meet the second's list and prediction."""
    submission = make.viper({"001": [0, 0, 1, 0]})
    truth_pngs(submission)[1].unlink()
    result = score(submission, "viper", "--windows", "1")
    assert result["frames"] == 3
    # Positions: truth 1, 3, 4 against predictions 1, 2, 3. Cars of truth 3 and prediction 2 lie
    # alike but B has 768 px and is small; truth 4 against the swapped ids of prediction 3 fits.
    assert counts(result["vpq"]["1"], CAR) == (5, 1, 0)


def test_viper_without_the_quirk_names_the_file(make, capsys):
    submission = make.viper({"001": [0] * 4})
    truth_pngs(submission)[-1].unlink()
    assert main(["score", "viper", *submission.args()]) == 1
    assert "001_00003.png does not exist" in capsys.readouterr().err


def test_viper_videos_are_cut_where_equal_parts_would_end(make):
    """Five and three frames in two videos: parts of four and four."""
    submission = make.viper({"001": [0] * 5, "002": [0] * 3})
    result = score(submission, "viper", "--windows", "1,4")
    assert counts(result["vpq"]["4"], CAR) == (4, 0, 0)
    assert main(["score", "viper", *submission.args("--windows", "1,4")]) == 0
    assert counts(submission.result()["vpq"]["4"], CAR) == (4, 0, 0)  # 2 windows of 2 cars


def test_viper_truth_without_pixels_is_missed_however_small_its_list_calls_it(make):
    """The script looks for small truth in the pixels: what has none is not small."""
    submission = make.viper({"001": [0] * 2})

    def add(entries):
        for area, entry in zip((500, 4000), entries, strict=True):
            entry["segments_info"].append(
                {"id": 999, "category_id": 13, "iscrowd": 0, "area": area}
            )

    annotations(submission, submission.truth_json, add)
    result = score(submission, "viper", "--windows", "1,2")
    assert counts(result["vpq"]["1"], CAR) == (4, 0, 2)
    assert counts(result["vpq"]["2"], CAR) == (2, 0, 1)


def test_viper_small_truth_is_missed_where_the_pixels_of_another_frame_meet_its_list(make):
    """The first PNG is gone: the second list, with a small A, meets the pixels of the third."""
    submission = make.viper({"001": [0] * 3})
    drawing = "SSSS/BBBB/BBBB/RRR."  # without A
    make.write_ids(truth_pngs(submission)[2], drawing, 16)

    def shrink(entries):
        listed = {info["id"]: info for info in entries[1]["segments_info"]}
        listed[ord("A")]["area"] = 500

    annotations(submission, submission.truth_json, shrink)
    truth_pngs(submission)[0].unlink()
    result = score(submission, "viper", "--windows", "1")
    # Truth 2 fits prediction 1. B of truth 3 has 2048 px, of which either car covers half: no
    # match, so B and A, which has no pixel, are missed.
    assert counts(result["vpq"]["1"], CAR) == (2, 2, 2)


def test_viper_window_without_any_truth_stops_the_script(make, capsys, caplog):
    submission = make.viper({"001": [0] * 4})
    for path in truth_pngs(submission)[-2:]:
        path.unlink()
    assert score(submission, "viper", "--windows", "1,3")["frames"] == 2
    assert main(["score", "viper", *submission.args("--as-published", "--windows", "1,2")]) == 1
    assert "no readable truth for its last 2 frames" in caplog.text
    assert "001_00002.png does not exist" in capsys.readouterr().err


# --- VIPSeg ------------------------------------------------------------------------------------


def test_vipseg_tracks_crowds_like_objects(make):
    submission = make.vipseg({"1_a": [0, 1]})
    before = score(submission, "vipseg", "--metrics", "stq")["stq"]

    def crowd(videos):
        for video in videos:
            for entry in video["annotations"]:
                for info in entry["segments_info"]:
                    info["iscrowd"] = int(info["category_id"] == 13)

    annotations(submission, submission.truth_json, crowd)
    assert score(submission, "vipseg", "--metrics", "stq")["stq"] == before
    assert main(["score", "vipseg", *submission.args("--metrics", "stq")]) == 0
    assert submission.result()["stq"]["aq"] is None  # documented: crowds have no track


# --- SemKITTI ----------------------------------------------------------------------------------


def test_semkitti_abs_rel_is_averaged_over_windows(make):
    """Frame 1: an error of 0.2 on 1 of 12 px; frames 2 and 3: 0.1 on 1 of 12."""
    submission = make.semkitti(frames=(0, 1, 1))
    depth = score(submission, "semkitti_dvps", "--windows", "1,2,3")["depth"]
    first, other = 0.2 / 12, 0.1 / 12
    by_window = depth["abs_rel_by_window"]
    assert by_window["1"] == pytest.approx((first + 2 * other) / 3)
    assert by_window["2"] == pytest.approx(((first + other) / 2 + other) / 2)
    assert by_window["3"] == pytest.approx((first + 2 * other) / 3)
    assert depth["abs_rel"] == by_window["1"]


def test_semkitti_windows_without_depth_have_no_abs_rel(make):
    submission = make.semkitti(frames=(0, 1, 1))
    empty = sorted(submission.truth.glob("*_depth_*.png"))[0]
    make.write(empty, np.zeros((4, 4), np.uint16))
    depth = score(submission, "semkitti_dvps", "--windows", "1,2")["depth"]
    assert depth["abs_rel_by_window"]["1"] is None  # the mean of no pixel
    assert depth["abs_rel_by_window"]["2"] == pytest.approx(0.1 / 12)


# --- JSON --------------------------------------------------------------------------------------

CELL = {"all", "things", "stuff", "per_class", "without_tp"}
HEAD = {"protocol", "title", "as_published", "videos", "frames", "windows"}


@pytest.mark.parametrize(
    ("writer", "protocol", "parts"),
    [
        ("cityscapes_vps", "cityscapes_vps", {"vpq"}),
        ("viper", "viper", {"vpq"}),
        ("vipseg", "vipseg", {"vpq", "stq"}),
        ("cityscapes_dvps", "cityscapes_dvps", {"vpq", "dvpq", "depth"}),
        ("semkitti", "semkitti_dvps", {"vpq", "dvpq", "depth"}),
        ("semkitti", "semkitti_dstq", {"stq", "dstq"}),
        ("kitti_step", "kitti_step", {"stq"}),
    ],
)
def test_the_json_has_its_layout(make, writer, protocol, parts):
    submission = getattr(make, writer)()
    assert main(["score", protocol, *submission.args()]) == 0
    result = submission.result()
    assert set(result) == HEAD | parts
    assert (result["protocol"], result["as_published"]) == (protocol, False)
    tables = [result["vpq"]] if "vpq" in parts else []
    if "dvpq" in parts:
        assert set(result["dvpq"]) == {"0.5", "0.25", "0.1", "mean"}
        assert set(result["dvpq"]["mean"]) >= {"all", "things", "stuff"}
        tables += [result["dvpq"][value] for value in ("0.5", "0.25", "0.1")]
    for table in tables:
        assert set(table) == {*map(str, result["windows"]), "mean"}
        cell = table["1"]
        assert set(cell) == CELL
        assert set(cell["all"]) == {"pq", "sq", "rq", "classes"}
        one = next(iter(cell["per_class"].values()))
        assert set(one) == {"pq", "sq", "rq", "iou", "tp", "fp", "fn"}
        assert 0 <= cell["all"]["pq"] <= 1
    if "stq" in parts:
        assert {"stq", "aq", "sq", "per_video"} <= set(result["stq"])
        assert set(result["stq"]["per_video"][0]) == {"video_id", "stq", "aq", "sq"}
    if "dstq" in parts:
        assert {"dstq", "dq_mean", "dq", "stq", "aq", "sq", "per_video"} <= set(result["dstq"])
        assert set(result["dstq"]["dq"]) == {"1.25"}
    if "depth" in parts:
        assert {"abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "silog"} <= set(result["depth"])
