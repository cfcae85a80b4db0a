import json

import cv2
import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError, TreeError
from dvps_d2.formats.png import id_to_rgb, write_png
from dvps_d2.formats.vipseg import read_video_list

READER = READERS["vipseg"]
VIDEO = "353_-5sqmCF8OFU"
PERSON, CEILING = 60, 1


def write_jpg(path, shape=(2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*shape, 3), np.uint8))


@pytest.fixture
def raw(tmp_path):
    for number in (1500, 1488, 1494):  # irregular on purpose
        write_jpg(tmp_path / f"imgs/{VIDEO}/{number:08d}.jpg")
        values = np.array([[0, 2, 61], [6100, 6101, 12400]], np.uint16)
        write_png(tmp_path / f"panomasks/{VIDEO}/{number:08d}.png", values)
    (tmp_path / "val.txt").write_text(VIDEO)  # no final newline
    return tmp_path


@pytest.fixture
def converted(tmp_path):
    write_jpg(tmp_path / f"images/{VIDEO}/00000392.jpg")
    write_png(
        tmp_path / f"panomasksRGB/{VIDEO}/00000392.png", id_to_rgb(np.array([[9, 9, 5], [0, 5, 5]]))
    )
    image = {"id": "00000392", "width": 3, "height": 2, "file_name": "00000392.png"}
    info = [
        {"id": 9, "category_id": CEILING, "iscrowd": 0, "area": 2},
        {"id": 5, "category_id": PERSON, "iscrowd": 0, "area": 3},
    ]
    entry = {"image_id": "00000392", "file_name": "00000392.png", "segments_info": info}
    content = {
        "videos": [{"video_id": VIDEO, "images": [image]}],
        "annotations": [{"video_id": VIDEO, "annotations": [entry]}],
        "categories": [],
    }
    (tmp_path / "panoptic_gt_VIPSeg_val.json").write_text(json.dumps(content))
    return tmp_path


def test_raw_values_become_classes_and_tracks(raw):
    (record,) = READER.load_records(raw, "val")
    assert record["video_id"] == VIDEO
    assert [f["frame_id"] for f in record["frames"]] == [1488, 1494, 1500]
    label = READER.read_panoptic(record["frames"][0])
    assert label.class_ids.tolist() == [[255, CEILING, PERSON], [PERSON, PERSON, 123]]
    # A thing without instance number (61) is one object too.
    assert label.track_ids.tolist()[0] == [0, 0, 61]
    assert label.track_ids.tolist()[1][:2] == [6100, 6101]


def test_instance_of_a_stuff_class_is_that_stuff(raw):
    (record,) = READER.load_records(raw, "val")
    frame = record["frames"][0]
    write_png(frame["pan_seg_file_name"], np.array([[200, 2, 125]], np.uint16))
    label = READER.read_panoptic(frame)
    assert label.class_ids.tolist() == [[CEILING, CEILING, 0]]
    assert label.track_ids.tolist() == [[0, 0, 0]]
    write_png(frame["pan_seg_file_name"], np.array([[12500]], np.uint16))
    with pytest.raises(FormatError, match="holds 12500 in 1 pixels"):
        READER.read_panoptic(frame)


def test_converted_form(converted):
    (record,) = READER.load_records(converted, "val")
    assert (record["height"], record["width"]) == (2, 3)
    frame = record["frames"][0]
    assert frame["file_name"].endswith(f"images/{VIDEO}/00000392.jpg")
    label = READER.read_panoptic(frame)
    assert label.class_ids.tolist() == [[CEILING, CEILING, PERSON], [255, PERSON, PERSON]]
    assert label.track_ids.tolist() == [[0, 0, 5], [0, 5, 5]]


def test_missing_files_are_named(raw, converted):
    (converted / f"images/{VIDEO}/00000392.jpg").unlink()
    with pytest.raises(TreeError, match=r"lists 353_-5sqmCF8OFU/00000392\.jpg, which"):
        READER.load_records(converted, "val")
    (converted / "panoptic_gt_VIPSeg_val.json").unlink()
    for mask in (raw / "panomasks" / VIDEO).iterdir():
        mask.unlink()
    with pytest.raises(TreeError, match="has no masks"):
        READER.load_records(raw, "val")


def test_frames_without_mask_are_unlabelled(raw):
    (raw / f"panomasks/{VIDEO}/00001494.png").unlink()
    (record,) = READER.load_records(raw, "val")
    assert [f["labelled"] for f in record["frames"]] == [True, False, True]


def test_video_lists_survive_blank_lines_and_a_missing_last_newline(tmp_path):
    (tmp_path / "l.txt").write_text("a_-b\n\nc\r\nd_")
    assert read_video_list(tmp_path / "l.txt") == ["a_-b", "c", "d_"]


def test_wrong_tree(tmp_path):
    with pytest.raises(TreeError, match=r"(?s)expected: imgs/.*or: images/.*is empty"):
        READER.load_records(tmp_path, "train")


def test_json_that_is_something_else(tmp_path):
    (tmp_path / "panoptic_gt_VIPSeg_val.json").write_text('{"annotations": []}')
    with pytest.raises(FormatError, match=r"missing KeyError.*videos"):
        READER.load_records(tmp_path, "val")
    (tmp_path / "panoptic_gt_VIPSeg_val.json").write_text('{"annotations": [')
    with pytest.raises(FormatError, match=r"val\.json is not valid JSON: .*line 1"):
        READER.load_records(tmp_path, "val")
