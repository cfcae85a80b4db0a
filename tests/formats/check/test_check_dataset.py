import json

import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError
from dvps_d2.formats.check import check_dataset
from dvps_d2.formats.png import id_to_rgb, write_depth_png, write_png
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

READER = READERS["cityscapes_dvps"]


def write_frame(folder, video, frame, values=((0, 13000),), metres=((1.0, 20.0),)):
    stem = f"{video:06d}_{frame:06d}_bonn_000000_{frame:06d}"
    values = np.array(values, np.uint16)
    write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((*values.shape, 3), np.uint8))
    write_png(folder / f"{stem}_gtFine_instanceTrainIds.png", values)
    write_depth_png(folder / f"{stem}_depth.png", np.array(metres))
    return folder / stem


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "video_sequence" / "val"
    for frame in range(6):
        write_frame(folder, 0, frame)
    return folder


def check(folder, **options):
    return check_dataset(READER, folder.parents[1], splits=["val"], **options)


def told(report, level):
    return [f"{f.where}: {f.message}" for f in report.findings if f.level == level]


def test_a_sound_dataset_has_counts_and_no_errors(folder):
    report = check(folder)
    assert not report.has_errors
    assert report.counts["val"] == {
        "videos": 1,
        "frames": 6,
        "labelled": 6,
        "depth_percent": 100.0,
        "depth_min_m": 1.0,
        "depth_max_m": 20.0,
    }
    assert "val: 1 videos, the published dataset has 50" in told(report, "warning")
    assert report.lines()[0].endswith("depth of 1.0 to 20.0 m on 100.0 % of pixels")
    assert report.lines()[-1] == "0 errors, 2 warnings"


def test_two_processes_find_the_same(folder):
    write_frame(folder, 1, 0, values=((25000, 0),))
    alone, together = check(folder), check(folder, workers=2)
    assert alone.as_json() == together.as_json()
    assert alone.has_errors


def test_gaps_short_videos_and_missing_frames_are_noticed(folder):
    next(folder.glob("000000_000002_*_leftImg8bit.png")).unlink()
    for path in folder.glob("000000_000002_*"):
        path.unlink()
    write_frame(folder, 1, 0)
    warnings = told(check(folder), "warning")
    assert "val, video 000000: frames 2 to 2 are missing" in warnings
    assert "val, video 000000: 5 labelled frames, the published dataset has 6" in warnings
    assert "val, video 000001: has one frame: nothing to track" in warnings


def test_every_bad_file_is_named_and_the_check_goes_on(folder):
    stems = [str(write_frame(folder, 1, i)) for i in range(6)]
    label, depth, image = "_gtFine_instanceTrainIds.png", "_depth.png", "_leftImg8bit.png"
    write_png(stems[0] + label, np.zeros((1, 2), np.uint8))
    write_png(stems[1] + label, np.full((1, 2), 20000, np.uint16))
    write_png(stems[2] + label, np.zeros((3, 2), np.uint16))
    write_depth_png(stems[3] + depth, np.zeros((1, 2)))
    data = (folder / (stems[4] + image)).read_bytes()
    (folder / (stems[4] + image)).write_bytes(data[:-20])
    write_png(stems[5] + depth, np.zeros((1, 2), np.uint8))
    report = check(folder)
    errors = "\n".join(told(report, "error"))
    assert f"{stems[0]}{label}: expected 16 bits per channel" in errors
    assert "class 20 does not exist" in errors
    assert f"{stems[2]}{label}: expected 2x1 as its video, found 2x3" in errors
    assert f"{stems[4]}{image}: not a readable image" in errors
    assert f"{stems[5]}{depth}: expected 16 bits per channel" in errors
    assert len(errors.splitlines()) == 5
    assert f"{stems[3]}{depth}: no pixel has depth" in told(report, "warning")


def test_every_and_subset_open_fewer_files(folder):
    write_frame(folder, 0, 3, values=((25000, 0),))
    write_frame(folder, 1, 0, values=((25000, 0),))
    assert len(told(check(folder), "error")) == 2
    assert len(told(check(folder, every=2), "error")) == 1
    assert len(told(check(folder, subset=1), "error")) == 1
    assert told(check(folder, every=2, subset=1), "error") == []


def test_absent_splits_are_notes_and_broken_ones_errors(folder):
    report = check_dataset(READER, folder.parents[1])
    assert told(report, "note") == ["train: this split is not there"]
    assert not report.has_errors
    (folder.parent / "train").mkdir()
    assert "no Cityscapes-DVPS frame" in told(check_dataset(READER, folder.parents[1]), "error")[0]
    (error,) = told(check_dataset(READER, folder.parents[2] / "nowhere"), "error")
    assert "does not exist" in error


def test_a_missing_file_leaves_one_frame_out_and_the_check_goes_on(folder):
    for frame in range(6):
        write_frame(folder, 1, frame)
    for pattern in ("000000_000002_*_leftImg8bit.png", "000001_000004_*_instanceTrainIds.png"):
        next(folder.glob(pattern)).unlink()
    write_frame(folder, 1, 5, values=((25000, 0),))
    report = check(folder)
    errors = told(report, "error")
    assert [f.kind for f in report.findings if f.level == "error"] == [
        "missing",
        "missing",
        "label",
    ]
    assert "val: video 000000, frame 2 has no *_leftImg8bit.png beside" in errors[0]
    assert "val: video 000001, frame 4 has no *_gtFine_instanceTrainIds.png beside" in errors[1]
    assert "class 25 does not exist" in errors[2]
    assert report.counts["val"]["frames"] == 10
    with pytest.raises(FormatError, match="frame 2 has no"):
        READER.load_records(folder.parents[1], "val")  # training does not go on


def test_a_video_whose_first_image_is_damaged_is_still_checked(folder):
    (next(folder.glob("000000_000000_*_leftImg8bit.png"))).write_bytes(b"no image")
    errors = told(check(folder), "error")
    assert len(errors) == 2  # cannot be sized by it; cannot be opened
    assert all("000000_000000_bonn_000000_000000_leftImg8bit.png" in line for line in errors)


def test_depth_is_told_by_video(folder):
    for video, metres in ((1, ((2.0, 30.0),)), (2, ((0.0, 0.0),) * 9 + ((0.0, 5.0),))):
        for frame in range(6):
            write_frame(folder, video, frame, ((0, 13000),) * len(metres), metres)
    report = check(folder)
    assert report.depth["val"] == {
        "000000": {"percent": 100.0, "min_m": 1.0, "max_m": 20.0},
        "000001": {"percent": 100.0, "min_m": 2.0, "max_m": 30.0},
        "000002": {"percent": 5.0, "min_m": 5.0, "max_m": 5.0},
    }
    warning = "val, video 000002: depth on 5 % of pixels, 100 % are usual here"
    assert warning in told(report, "warning")
    assert report.as_json()["depth"] == report.depth
    line = report.lines()[1]
    assert "depth by video: 000002 5 % to 000001 100 % of pixels" in line
    assert "reach of 5 m (000002) to 30 m (000001)" in line


def test_objects_that_jump_are_told(tmp_path):
    folder = tmp_path / "video_sequence" / "val"
    for frame in range(6):
        values = np.zeros((4, 40), np.uint16)
        place = 30 if frame == 3 else 0
        values[:, place : place + 4] = 13001
        write_frame(folder, 0, frame, values, np.ones((4, 40)))
    report = check(folder)
    jumps = [f for f in report.findings if f.kind == "jump"]
    assert [[frame["frame_id"] for frame in f.frames] for f in jumps] == [[2, 3], [3, 4]]
    assert "track 13001 jumps: 26 pixels" in jumps[0].message
    assert jumps[0].as_json()["frames"][0].endswith("000000_000002_leftImg8bit.png")


def test_a_street_is_compared_with_its_notes(tmp_path):
    tree = StreetTree(tmp_path, LAYOUTS["cityscapes_dvps"])
    config = StreetConfig(height=16, width=32, frames=2)
    tree.claim(config, 0)
    for index in range(2):
        tree.write_video(config, "val", index, 0)
    report = check_dataset(READER, tmp_path, splits=["val"])
    assert not report.has_errors
    assert [n for n in told(report, "warning") if "published" in n] == []
    assert any("seed 0): compared with its notes" in line for line in told(report, "note"))
    for path in tmp_path.rglob("000001_*.png"):
        path.unlink()
    errors = told(check_dataset(READER, tmp_path, splits=["val"]), "error")
    assert "val: 1 videos, its notes have 2" in errors[0]
    assert "val: 6 files of video 000001 are missing, first" in errors[1]


def test_json_and_png_that_disagree(tmp_path):
    write_png(tmp_path / "images/v/1.jpg.png", np.zeros((1, 3, 3), np.uint8))
    (tmp_path / "images/v/1.jpg.png").rename(tmp_path / "images/v/1.jpg")
    write_png(tmp_path / "panomasksRGB/v/1.png", id_to_rgb(np.array([[5, 5, 6]])))
    info = [
        {"id": 5, "category_id": 60, "iscrowd": 0, "area": 7},
        {"id": 6, "category_id": 60, "iscrowd": 0, "area": 1},
        {"id": 8, "category_id": 0, "iscrowd": 0, "area": 1},
    ]
    content = {
        "videos": [
            {
                "video_id": "v",
                "images": [{"id": "1", "width": 3, "height": 1, "file_name": "1.png"}],
            }
        ],
        "annotations": [
            {
                "video_id": "v",
                "annotations": [{"image_id": "1", "file_name": "1.png", "segments_info": info}],
            }
        ],
    }
    path = tmp_path / "panoptic_gt_VIPSeg_val.json"
    path.write_text(json.dumps(content))
    report = check_dataset(READERS["vipseg"], tmp_path, splits=["val"])
    assert any("lists id 8, which has no pixel" in line for line in told(report, "error"))
    assert any("id 5: area 7 in the JSON, 2 in the PNG" in line for line in told(report, "warning"))
    content["annotations"][0]["annotations"][0]["segments_info"] = info[:1]
    path.write_text(json.dumps(content))
    report = check_dataset(READERS["vipseg"], tmp_path, splits=["val"])
    assert any("id 6 (R, G, B = 6, 0, 0)" in line for line in told(report, "error"))


def test_many_findings_of_a_kind_are_shortened(folder):
    for frame in range(6):
        write_frame(folder, 0, frame, values=((25000, 0),))
    for frame in range(6):
        write_frame(folder, 1, frame, values=((25000, 0),))
    lines = check(folder).lines()
    assert sum("class 25 does not exist" in line for line in lines) == 5
    assert "error: 7 more of kind 'label'" in lines
