import json

import cv2
import numpy as np
import pytest

from dvps_d2.formats import READERS, VIPER, FormatError, TreeError
from dvps_d2.formats.png import id_to_rgb, write_png

READER = READERS["viper"]
ROAD_FILE, CAR_FILE, BICYCLE_FILE = 3, 24, 22  # numbers in the files
ROAD, CAR = 1, 19  # our class ids


def write_jpg(path, shape=(2, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*shape, 3), np.uint8))


@pytest.fixture
def raw(tmp_path):
    classes = np.array([[ROAD_FILE, CAR_FILE], [CAR_FILE, BICYCLE_FILE]], np.uint8)
    instances = np.zeros((2, 2, 3), np.uint8)
    instances[0, 1] = (CAR_FILE, 1, 2)  # instance 258
    instances[1, 1] = (BICYCLE_FILE, 0, 9)
    for sequence in ("001", "002"):
        for number in (1, 2, 3):
            stem = f"{sequence}/{sequence}_{number:05d}"
            write_jpg(tmp_path / f"val/img/{stem}.jpg")
            write_png(tmp_path / f"val/cls/{stem}.png", classes)
            write_png(tmp_path / f"val/inst/{stem}.png", instances)
    return tmp_path


def test_raw_numbers_become_classes_and_tracks(raw):
    records = READER.load_records(raw, "val")
    assert [r["video_id"] for r in records] == ["001", "002"]
    assert [f["frame_id"] for f in records[0]["frames"]] == [1, 2, 3]
    label = READER.read_panoptic(records[0]["frames"][0])
    assert READER.categories.names[CAR] == "car"
    assert label.class_ids.tolist() == [[ROAD, CAR], [CAR, 255]]
    # The car without instance is a crowd; bicycles are not evaluated.
    assert label.track_ids.tolist() == [[0, CAR_FILE << 16 | 258], [0, 0]]


def test_sequences_and_frame_limit_are_choices(raw):
    records = VIPER(sequences=["002"], frame_limit=2).load_records(raw, "val")
    assert [(r["video_id"], len(r["frames"])) for r in records] == [("002", 2)]
    with pytest.raises(TreeError, match="lacks sequences 009; it holds 001, 002"):
        VIPER(sequences=["009"]).load_records(raw, "val")


def test_lossless_images_replace_jpegs(raw):
    write_png(raw / "val/img/001/001_00002.png", np.zeros((2, 2, 3), np.uint8))
    names = [f["file_name"][-9:] for f in READER.load_records(raw, "val")[0]["frames"]]
    assert names == ["00001.jpg", "00002.png", "00003.jpg"]


def test_reorganised_form(tmp_path):
    write_jpg(tmp_path / "val_day/img/001/001_00001.jpg")
    write_png(tmp_path / "val_day/panoptic_video/001_00001.png", id_to_rgb(np.array([[7, 0]] * 2)))
    content = {
        "images": [{"id": "001_00001", "file_name": "001/001_00001.jpg", "width": 2, "height": 2}],
        "annotations": [
            {
                "image_id": "001_00001",
                "file_name": "001_00001.png",
                "segments_info": [{"id": 7, "category_id": CAR, "iscrowd": 0, "area": 2}],
            }
        ],
    }
    (tmp_path / "viper_panoptic_val_day_video.json").write_text(json.dumps(content))
    (record,) = READER.load_records(tmp_path, "val")
    label = READER.read_panoptic(record["frames"][0])
    # The re-organised JSON counts in the evaluated order, the raw files in their own.
    assert label.class_ids.tolist() == [[CAR, 255]] * 2
    assert label.track_ids.tolist() == [[7, 0]] * 2


def test_missing_and_wrong_files_are_named(raw):
    frame = READER.load_records(raw, "val")[0]["frames"][0]
    write_png(raw / "val/inst/001/001_00001.png", np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(FormatError, match=r"inst/001/001_00001\.png: expected a size of 2x2"):
        READER.read_panoptic(frame)
    write_png(raw / "val/cls/001/001_00001.png", np.full((2, 2), 77, np.uint8))
    with pytest.raises(FormatError, match="holds class 77 in 4 pixels"):
        READER.read_panoptic(frame)
    (raw / "val/cls/001/001_00001.png").unlink()
    with pytest.raises(TreeError, match=r"001/001_00001\.jpg has no .*cls"):
        READER.load_records(raw, "val")


def test_colour_coded_classes_are_not_read_as_numbers(raw):
    frame = READER.load_records(raw, "val")[0]["frames"][0]
    write_png(frame["pan_seg_file_name"], np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FormatError, match="expected one channel, found a PNG of 8-bit RGB"):
        READER.read_panoptic(frame)


def test_wrong_tree(tmp_path):
    (tmp_path / "val").mkdir()
    with pytest.raises(TreeError, match=r"(?s)expected: .*cls,inst.*found: .*val/"):
        READER.load_records(tmp_path, "val")
