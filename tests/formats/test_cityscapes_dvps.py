import logging

import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError, TreeError
from dvps_d2.formats.png import write_depth_png, write_png

READER = READERS["cityscapes_dvps"]


def write_frame(folder, video, frame, values, metres=None):
    """One frame of the released tree."""
    stem = f"{video:06d}_{frame:06d}_munster_000105_{frame * 5 + 4:06d}"
    values = np.array(values, np.uint16)
    write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((*values.shape, 3), np.uint8))
    write_png(folder / f"{stem}_gtFine_instanceTrainIds.png", values)
    if metres is not None:
        write_depth_png(folder / f"{stem}_depth.png", np.array(metres))
    return stem


@pytest.fixture
def root(tmp_path):
    train = tmp_path / "video_sequence" / "train"
    for video in (0, 1):
        for frame in range(6):
            write_frame(train, video, frame, [[0, 13000, 32000]], [[0, 2.5, 80]])
    return tmp_path


@pytest.mark.parametrize("given", ["", "video_sequence"])
def test_records_list_videos_and_frames_in_order(root, given):
    records = READER.load_records(root / given, "train")
    assert [(r["video_id"], r["height"], r["width"]) for r in records] == [
        ("000000", 1, 3),
        ("000001", 1, 3),
    ]
    assert [f["frame_id"] for f in records[1]["frames"]] == [0, 1, 2, 3, 4, 5]
    last = records[1]["frames"][5]
    stem = str(root / "video_sequence/train/000001_000005_munster_000105_000029_")
    assert last == {
        "file_name": stem + "leftImg8bit.png",
        "frame_id": 5,
        "labelled": True,
        "pan_seg_file_name": stem + "gtFine_instanceTrainIds.png",
        "segments_info": None,
        "depth_file_name": stem + "depth.png",
    }


def test_labels_keep_instance_zero_and_know_void(root):
    write_frame(
        root / "video_sequence/train", 2, 0, [[0, 7000, 11000, 11004], [18999, 13004, 32000, 32000]]
    )
    frame = READER.load_records(root, "train")[2]["frames"][0]
    label = READER.read_panoptic(frame)
    assert label.class_ids.tolist() == [[0, 7, 11, 11], [18, 13, 255, 255]]
    assert label.track_ids.tolist() == [[0, 0, 11000, 11004], [18999, 13004, 0, 0]]
    assert label.problems(READER.categories) == []


def test_depth_in_metres(root):
    frame = READER.load_records(root, "train")[0]["frames"][0]
    depth = READER.read_depth(frame)
    assert depth.dtype == np.float32
    assert depth.tolist() == [[0.0, 2.5, 80.0]]


def test_missing_depth_is_logged_and_missing_label_is_an_error(root, caplog):
    stem = write_frame(root / "video_sequence/train", 3, 0, [[0]])
    with caplog.at_level(logging.WARNING):
        frame = READER.load_records(root, "train")[2]["frames"][0]
    assert frame["depth_file_name"] is None
    assert "1 frames have no depth PNG" in caplog.text
    with pytest.raises(ValueError, match="has no depth"):
        READER.read_depth(frame)
    (root / "video_sequence/train" / f"{stem}_gtFine_instanceTrainIds.png").unlink()
    with pytest.raises(TreeError, match=r"video 000003, frame 0 has no .*instanceTrainIds"):
        READER.load_records(root, "train")


def test_excluded_frames_and_videos_are_left_out(root, caplog):
    names = ["000000/3", "000001_000000_munster_000105_000004_leftImg8bit.png", "no such name"]
    records = READER.load_records(root, "train", exclude=names)
    assert [[f["frame_id"] for f in r["frames"]] for r in records] == [
        [0, 1, 2, 4, 5],
        [1, 2, 3, 4, 5],
    ]
    assert "no such name" in caplog.text
    assert len(READER.load_records(root, "train", exclude=["000000"])) == 1


def test_wrong_tree_shows_expected_and_found(tmp_path):
    (tmp_path / "leftImg8bit").mkdir()
    with pytest.raises(TreeError, match=r"(?s)expected: video_sequence/.*found: .*leftImg8bit/"):
        READER.load_records(tmp_path, "val")
    with pytest.raises(TreeError, match="nowhere does not exist"):
        READER.load_records(tmp_path / "nowhere", "val")
    (tmp_path / "val" / "lindau").mkdir(parents=True)
    with pytest.raises(TreeError, match=r"(?s)no Cityscapes-DVPS frame.*found: .*lindau/"):
        READER.load_records(tmp_path, "val")


def test_unknown_split_and_two_files_for_one_frame(root):
    with pytest.raises(ValueError, match="no split 'test'; it has train, val"):
        READER.load_records(root, "test")
    twin = root / "video_sequence/train/000000_000000_lindau_000000_000019_depth.png"
    write_depth_png(twin, np.ones((1, 3)))
    with pytest.raises(TreeError, match="two files for video 000000, frame 0"):
        READER.load_records(root, "train")


def test_wrong_bit_depth_and_unknown_class_name_the_file(root):
    frame = READER.load_records(root, "train")[0]["frames"][0]
    write_png(frame["pan_seg_file_name"], np.zeros((1, 3), np.uint8))
    with pytest.raises(FormatError, match=r"instanceTrainIds.*expected 16 bits per channel, found"):
        READER.read_panoptic(frame)
    write_png(frame["pan_seg_file_name"], np.array([[25001, 0, 32000]], np.uint16))
    with pytest.raises(FormatError, match="holds 25001 in 1 pixels: class 25 does not exist"):
        READER.read_panoptic(frame)
