import json
import logging

import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError, TreeError
from dvps_d2.formats.cityscapes_vps import parse_name
from dvps_d2.formats.png import id_to_rgb, write_png

READER = READERS["cityscapes_vps"]
BLANK = np.zeros((2, 3, 3), np.uint8)
# Video 0005, whose six labelled frames are 25..30 of the dataset; the fourth is Cityscapes' own.
STEMS = [f"0005_{25 + i:04d}_frankfurt_000000_{1736 + 5 * i:06d}" for i in range(6)]


def image_name(i):
    return STEMS[i] + ("_leftImg8bit.png" if i == 3 else "_newImg8bit.png")


def label_name(i):
    return STEMS[i] + ("_gtFine_color.png" if i == 3 else "_final_mask.png")


@pytest.fixture
def root(tmp_path):
    values = np.array([[0, 10, 255], [11000, 13004, 13004]], np.uint16)
    for i in range(6):
        write_png(tmp_path / "val/img" / image_name(i), BLANK)
        write_png(tmp_path / "val/panoptic_inst" / label_name(i), values)
    return tmp_path


def write_json_labels(root):
    """The same frames as RGB ids with a ground-truth JSON."""
    annotations = []
    for i in range(6):
        write_png(root / "val/panoptic_video" / label_name(i), id_to_rgb(np.full((2, 3), 77 + i)))
        info = [{"id": 77 + i, "category_id": 13, "iscrowd": 0, "area": 6}]
        annotations.append(
            {"image_id": STEMS[i], "file_name": label_name(i), "segments_info": info}
        )
    path = root / "panoptic_gt_val_city_vps.json"
    path.write_text(json.dumps({"images": [], "annotations": annotations, "categories": []}))
    return path


def write_all_frames(root):
    """The 30 frames by their Cityscapes names."""
    images = []
    for frame in range(1, 31):
        name = f"frankfurt_000000_{1731 + frame:06d}_leftImg8bit.png"
        write_png(root / "val/img_all" / name, BLANK)
        images.append({"id": 50000 + frame, "file_name": name, "width": 3, "height": 2})
    (root / "im_all_info_val_city_vps.json").write_text(json.dumps({"images": images}))


def test_names_of_the_documentation():
    new = parse_name("img/0005_0025_frankfurt_000000_001736_newImg8bit.png")
    assert (new.image_id, new.video_id) == ("0005_0025_frankfurt_000000_001736", "0005")
    assert (new.cityscapes_id, new.frame_id) == ("frankfurt_000000_001736", 4)
    assert new.label_name == "0005_0025_frankfurt_000000_001736_final_mask.png"
    own = parse_name("0005_0028_frankfurt_000000_001751_leftImg8bit.png")
    assert own.frame_id == 19
    assert own.label_name == "0005_0028_frankfurt_000000_001751_gtFine_color.png"
    assert parse_name("frankfurt_000000_001751_leftImg8bit.png") is None


def test_six_frames_with_sixteen_bit_labels(root, caplog):
    with caplog.at_level(logging.WARNING):
        (record,) = READER.load_records(root, "val")
    assert "labelled frames only" in caplog.text
    assert (record["video_id"], record["height"], record["width"]) == ("0005", 2, 3)
    assert [f["frame_id"] for f in record["frames"]] == [4, 9, 14, 19, 24, 29]
    label = READER.read_panoptic(record["frames"][3])
    assert label.class_ids.tolist() == [[0, 10, 255], [11, 13, 13]]
    assert label.track_ids.tolist() == [[0, 0, 0], [11000, 13004, 13004]]


def test_ground_truth_json_comes_before_sixteen_bit_labels(root):
    write_json_labels(root)
    (record,) = READER.load_records(root, "val")
    frame = record["frames"][1]
    assert frame["pan_seg_file_name"].endswith(f"val/panoptic_video/{STEMS[1]}_final_mask.png")
    assert frame["segments_info"][0]["id"] == 78
    assert READER.read_panoptic(frame).track_ids.tolist() == [[78] * 3] * 2


def test_all_thirty_frames_in_order(root):
    write_all_frames(root)
    (record,) = READER.load_records(root, "val")
    assert [f["frame_id"] for f in record["frames"]] == list(range(30))
    assert [f["frame_id"] for f in record["frames"] if f["labelled"]] == [4, 9, 14, 19, 24, 29]
    first = record["frames"][0]
    assert first["file_name"].endswith("img_all/frankfurt_000000_001732_leftImg8bit.png")
    with pytest.raises(ValueError, match="has no panoptic label"):
        READER.read_panoptic(first)


def test_missing_files_are_named(root):
    write_json_labels(root)
    (root / "val/panoptic_video" / label_name(2)).unlink()
    with pytest.raises(TreeError, match=r"has no label .*0005_0027"):
        READER.load_records(root, "val")


def test_json_without_an_image_and_image_without_json(root):
    path = write_json_labels(root)
    (root / "val/img" / image_name(0)).unlink()
    with pytest.raises(TreeError, match=r"1 frames of .* have no image in val/img, .*0005_0025"):
        READER.load_records(root, "val")
    write_png(root / "val/img" / image_name(0), BLANK)
    content = json.loads(path.read_text())
    del content["annotations"][4]
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="does not list 0005_0029"):
        READER.load_records(root, "val")


def test_test_split_needs_no_labels_and_train_does(root):
    (root / "val").rename(root / "test")
    (root / "test" / "panoptic_inst").rename(root / "elsewhere")
    (record,) = READER.load_records(root, "test")
    assert not any(f["labelled"] for f in record["frames"])
    (root / "test").rename(root / "train")
    with pytest.raises(TreeError, match=r"(?s)no labels for 'train'.*prepare_cityscapes_vps\.py"):
        READER.load_records(root, "train")


def test_values_that_cannot_be(root):
    (record,) = READER.load_records(root, "val")
    for value in (12, 3004, 19000):
        write_png(record["frames"][0]["pan_seg_file_name"], np.full((2, 3), value, np.uint16))
        with pytest.raises(FormatError, match=f"holds {value} in 6 pixels"):
            READER.read_panoptic(record["frames"][0])


def test_wrong_tree_and_no_depth(root, tmp_path):
    with pytest.raises(TreeError, match=r"(?s)Cityscapes-VPS.*expected:.*newImg8bit.*found:.*val/"):
        READER.load_records(tmp_path, "train")
    assert READER.recognises(root)
    assert not READERS["vipseg"].recognises(root)
    assert not READERS["viper"].recognises(root)
    (record,) = READER.load_records(root, "val")
    with pytest.raises(ValueError, match="has no depth"):
        READER.read_depth(record["frames"][0])
