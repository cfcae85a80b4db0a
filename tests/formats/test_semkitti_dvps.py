import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError, TreeError
from dvps_d2.formats.png import write_depth_png, write_png
from dvps_d2.formats.semkitti_dvps import focal_length

READER = READERS["semkitti_dvps"]
CAR, BICYCLE, ROAD = 0, 1, 8


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "video_sequence" / "val"
    for frame in range(3):
        stem = f"000008_{frame:06d}_"
        write_png(folder / f"{stem}leftImg8bit.png", np.zeros((1, 5, 3), np.uint8))
        classes = np.array([[255, ROAD, CAR, BICYCLE, CAR]], np.uint8)
        instances = np.array([[3, 4, 7, 7, 0]], np.uint16)
        write_png(folder / f"{stem}gtFine_class.png", classes)
        write_png(folder / f"{stem}gtFine_instance.png", instances)
        write_depth_png(folder / f"{stem}depth_718.8560180664062.png", np.array([[0, 1, 2, 3, 4]]))
    return tmp_path


def test_one_long_video_with_depth_and_focal_length(root):
    (record,) = READER.load_records(root, "val")
    assert (record["video_id"], record["height"], record["width"]) == ("000008", 1, 5)
    assert [f["frame_id"] for f in record["frames"]] == [0, 1, 2]
    frame = record["frames"][2]
    assert READER.read_depth(frame).tolist() == [[0, 1, 2, 3, 4]]
    assert focal_length(frame["depth_file_name"]) == 718.8560180664062


def test_same_instance_number_in_two_classes_is_two_tracks(root):
    frame = READER.load_records(root, "val")[0]["frames"][0]
    label = READER.read_panoptic(frame)
    assert label.class_ids.tolist() == [[255, ROAD, CAR, BICYCLE, CAR]]
    # Numbers in void and stuff are dropped; a car without number is a crowd.
    assert label.track_ids.tolist() == [[0, 0, 7, (1 << 16) + 7, 0]]
    assert label.problems(READER.categories) == []


def test_missing_image_says_where_it_comes_from(root):
    (root / "video_sequence/val/000008_000001_leftImg8bit.png").unlink()
    with pytest.raises(TreeError, match=r"frame 1 has no .*leftImg8bit.* KITTI odometry"):
        READER.load_records(root, "val")


def test_wrong_values_and_sizes_are_named(root):
    frame = READER.load_records(root, "val")[0]["frames"][0]
    write_png(frame["pan_seg_file_name"], np.full((1, 5), 19, np.uint8))
    with pytest.raises(FormatError, match="holds class 19 in 5 pixels"):
        READER.read_panoptic(frame)
    write_png(frame["pan_seg_file_name"], np.zeros((2, 5), np.uint8))
    with pytest.raises(FormatError, match=r"gtFine_instance\.png: expected a size of 5x2"):
        READER.read_panoptic(frame)


def test_the_two_dvps_sets_are_told_apart(root):
    assert READER.recognises(root)
    assert not READERS["cityscapes_dvps"].recognises(root)
    with pytest.raises(TreeError, match="SemKITTI-DVPS"):
        READER.load_records(root, "train")
    with pytest.raises(FormatError, match="depth_<focal length>"):
        focal_length("000008_000000_depth.png")
