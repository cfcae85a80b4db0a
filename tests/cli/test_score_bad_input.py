"""Bad input to ``dvps score``: one message that names file and value, and an exit code."""

from __future__ import annotations

import re
import shutil

import cv2
import numpy as np
import pytest

from dvps_d2.cli import main


def first(folder):
    return sorted(path for path in folder.rglob("*.png"))[0]


def segments(submission, path, frame=0):
    """Edit the segment list of one frame."""

    def apply(change):
        submission.edit(path, lambda c: change(c["annotations"][frame]["segments_info"]))

    return apply


def remove_png(s):
    first(s.pred).unlink()


def add_png(s):
    shutil.copy(first(s.pred), s.pred / "0099_0001_nowhere_000000.png")


def remove_truth(s):
    first(s.truth).unlink()


def truncate(s):
    path = first(s.pred)
    path.write_bytes(path.read_bytes()[:60])


def empty_file(s):
    first(s.pred).write_bytes(b"")


def wrong_depth_bits(s):
    cv2.imwrite(str(first(s.pred)), np.zeros((4, 4, 3), np.uint16))


def grey(s):
    cv2.imwrite(str(first(s.pred)), np.zeros((4, 4), np.uint8))


def wrong_size(s):
    cv2.imwrite(str(first(s.pred)), cv2.imread(str(first(s.pred)))[:2])


def empty_folder(s):
    shutil.rmtree(s.pred)
    s.pred.mkdir()


def no_folder(s):
    shutil.rmtree(s.pred)


def broken_json(s):
    s.pred_json.write_text('{"annotations": [')


def json_without_key(s):
    s.pred_json.write_text("[]")


def unlisted_id(s):
    segments(s, s.pred_json)(lambda info: info.pop())


def listed_without_pixels(s):
    segments(s, s.pred_json)(lambda info: info.append({"id": 7, "category_id": 0}))


def unknown_class(s):
    segments(s, s.pred_json)(lambda info: info[0].update(category_id=77))


def void_is_listed(s):
    segments(s, s.pred_json)(lambda info: info[0].update(id=0))


def truth_unlisted_id(s):
    segments(s, s.truth_json)(lambda info: info.pop())


def missing_annotation(s):
    s.edit(s.pred_json, lambda content: content["annotations"].pop())


def twice(s):
    s.edit(s.pred_json, lambda content: content["annotations"].append(content["annotations"][0]))


def other_split(s):
    def rename(content):
        for entry in content["annotations"]:
            entry["image_id"] = "9" + entry["image_id"]
            entry["file_name"] = "9" + entry["file_name"]

    s.edit(s.pred_json, rename)
    for path in list(s.pred.iterdir()):
        path.rename(path.with_name("9" + path.name))


NAME = "0005_0001_lindau_000000"
CASES = {
    remove_png: rf"pred: no prediction for 1 of 12 frames: {NAME}.png",
    add_png: r"1 predictions without truth: 0099_0001_nowhere",
    remove_truth: rf"truth .*{NAME}_final_mask.png does not exist",
    truncate: rf"{NAME}.png is a truncated PNG",
    empty_file: rf"{NAME}.png is empty",
    wrong_depth_bits: rf"{NAME}.png: expected 8 bits",
    grey: rf"{NAME}.png: expected 3 channels",
    wrong_size: rf"{NAME}.png against .*: prediction is 2 x 4 but truth is 4 x 4",
    empty_folder: r"predictions: no PNG in .*pred",
    no_folder: r"predictions: .*pred is not a folder",
    broken_json: r"pred.json is not valid JSON",
    json_without_key: r"pred.json: expected an object with a list 'annotations'",
    unlisted_id: rf"{NAME}.png against .*: prediction: id 82 has 4 pixels but is not in",
    listed_without_pixels: rf"{NAME}.png against .*: prediction: id 7 is in the segment list but",
    unknown_class: rf"{NAME}.png: segment 83 has the unknown class 77",
    void_is_listed: rf"{NAME}.png against .*: segment id 0 is listed",
    truth_unlisted_id: rf"against .*{NAME}_final_mask.png: truth: id 82 has 3 pixels",
    missing_annotation: r"pred.json: no prediction for 1 of 12 frames: 0015_0012",
    twice: rf"pred.json: two annotations for {NAME}",
    other_split: r"names like 0005_0001.*found names like 90005_0001.*another split",
}


@pytest.mark.parametrize("break_it", CASES, ids=lambda f: f.__name__)
def test_message_names_file_and_value(make, capsys, break_it):
    submission = make.cityscapes_vps()
    break_it(submission)
    assert main(["score", "cityscapes_vps", *submission.args()]) == 1
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert re.search(CASES[break_it], message), message
    assert not (submission.root / "out.json").exists()


@pytest.mark.parametrize(
    ("break_it", "frames"),
    [
        (remove_png, 11),
        (add_png, 12),
        (remove_truth, 11),
        (truncate, 11),
        (wrong_size, 11),
        (unlisted_id, 11),
        (unknown_class, 11),
        (missing_annotation, 11),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_keep_going_scores_the_rest_and_lists_what_was_left_out(make, break_it, frames):
    submission = make.cityscapes_vps()
    break_it(submission)
    for workers in ("1", "2"):
        more = ("--keep-going", "--workers", workers)
        assert main(["score", "cityscapes_vps", *submission.args(*more)]) == 1
        result = submission.result()
        assert result["frames"] == frames
        assert result["left_out"]


def test_no_window_reaches_over_a_frame_that_was_left_out(make):
    """Frames 1 2 1 2 1 2 without the third: windows of two are (1,2), (4,5), (5,6)."""
    submission = make.cityscapes_vps({"0005": [0] * 6})
    sorted(submission.pred.iterdir())[2].unlink()
    main(["score", "cityscapes_vps", *submission.args("--keep-going")])
    vpq = submission.result()["vpq"]
    assert [vpq[k]["per_class"]["13"]["tp"] for k in ("1", "2", "3")] == [10, 6, 2]
    assert vpq["4"]["all"]["pq"] is None


def test_depth_of_8_bits_is_named(make, capsys):
    submission = make.cityscapes_dvps()
    cv2.imwrite(str(first(submission.depth)), np.zeros((4, 4), np.uint8))
    assert main(["score", "cityscapes_dvps", *submission.args()]) == 1
    assert "expected 16 bits" in capsys.readouterr().err


def test_class_beyond_the_table_is_named(make, capsys):
    submission = make.cityscapes_dvps()
    cv2.imwrite(str(first(submission.pred)), np.full((4, 4, 3), (0, 0, 23), np.uint8))
    assert main(["score", "cityscapes_dvps", *submission.args()]) == 1
    assert "unknown class 23" in capsys.readouterr().err


def test_a_third_channel_is_named(make, capsys):
    submission = make.cityscapes_dvps()
    cv2.imwrite(str(first(submission.pred)), np.full((4, 4, 3), (9, 0, 0), np.uint8))
    assert main(["score", "cityscapes_dvps", *submission.args()]) == 1
    assert "third channel" in capsys.readouterr().err


def test_instance_file_alone_is_named(make, capsys):
    submission = make.semkitti()
    next(submission.pred.glob("*cat.png")).unlink()
    assert main(["score", "semkitti_dvps", *submission.args()]) == 1
    assert "stands alone" in capsys.readouterr().err


def test_missing_true_depth_is_named(make, capsys):
    submission = make.cityscapes_dvps()
    next(submission.truth.glob("*_depth.png")).unlink()
    assert main(["score", "cityscapes_dvps", *submission.args()]) == 1
    assert "no depth beside" in capsys.readouterr().err


def test_missing_sequence_is_named(make, capsys):
    submission = make.kitti_step({"0002": [0, 1], "0006": [0]})
    shutil.rmtree(submission.pred / "0006")
    assert main(["score", "kitti_step", *submission.args()]) == 1
    assert "no prediction for 1 of 3 frames: 0006_000000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--metrics", "miou"], "'miou' is none of", 1),
        (["--metrics", "dvpq"], "--metrics dvpq needs --depth-pred", 1),
        (["--windows", "1,two"], "--windows must be numbers", 1),
        (["--windows", "0"], "windows must be lengths >= 1", 1),
        (["--uint16-depth"], "add --as-published", 1),
        (["--nonsense"], "unrecognized arguments", 2),
    ],
)
def test_bad_arguments_are_named(make, capsys, arguments, message, code):
    submission = make.cityscapes_vps()
    assert main(["score", "cityscapes_vps", *submission.args(*arguments)]) == code
    assert message in capsys.readouterr().err


def test_unknown_command_and_help(capsys):
    assert main(["scroe"]) == 2
    assert "unknown command 'scroe'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "score" in capsys.readouterr().out
    assert main(["score", "vipseg", "--help"]) == 0
