import json
import logging

import cv2
import numpy as np
import pytest

from dvps_d2.formats import READERS, TreeError
from dvps_d2.formats.png import read_png, rgb_to_id, write_depth_png, write_png
from dvps_d2.formats.prepare import semkitti_dvps, viper, vipseg


def write_image(path, shape=(4, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*shape, 3), 90, np.uint8))


# --- VIPSeg ----------------------------------------------------------------------------------

VIDEO = "353_-5sqmCF8OFU"


@pytest.fixture
def vipseg_root(tmp_path):
    mask = np.zeros((4, 9), np.uint16)
    mask[:, 3:6], mask[:, 6:] = 2, 6101
    for name in ("00000392", "00000395"):
        write_image(tmp_path / f"imgs/{VIDEO}/{name}.jpg", (4, 9))
        write_png(tmp_path / f"panomasks/{VIDEO}/{name}.png", mask)
    write_image(tmp_path / f"imgs/{VIDEO}/00000398.jpg", (4, 9))  # no mask: left out
    write_image(tmp_path / "imgs/9_x/00000001.jpg", (4, 9))
    (tmp_path / "val.txt").write_text(VIDEO)
    (tmp_path / "test.txt").write_text("9_x\n")
    return tmp_path


def test_vipseg_at_other_height(vipseg_root, caplog):
    with caplog.at_level(logging.WARNING):
        vipseg.prepare(vipseg_root, rows=8)
    assert "train.txt is not there" in caplog.text
    out = vipseg_root / "VIPSeg_720P"
    (record,) = READERS["vipseg"].load_records(vipseg_root, "val")
    assert (record["height"], record["width"]) == (8, 18)
    assert [f["frame_id"] for f in record["frames"]] == [392, 395]
    label = READERS["vipseg"].read_panoptic(record["frames"][0])
    assert label.class_ids[3].tolist() == [255] * 6 + [1] * 6 + [60] * 6
    assert (label.track_ids[:, 12:] > 0).all()
    assert read_png(out / f"panomasks/{VIDEO}/00000392.png").max() == 6101
    (test,) = READERS["vipseg"].load_records(out, "test")
    assert [f["labelled"] for f in test["frames"]] == [False]


def test_vipseg_json_field_by_field(vipseg_root):
    vipseg.prepare(vipseg_root, rows=8)
    out = vipseg_root / "VIPSeg_720P"
    content = json.loads((out / "panoptic_gt_VIPSeg_val.json").read_text())
    assert content["videos"] == [
        {
            "video_id": VIDEO,
            "images": [
                {"id": name, "width": 18, "height": 8, "file_name": f"{name}.png"}
                for name in ("00000392", "00000395")
            ],
        }
    ]
    (video,) = content["annotations"]
    assert sorted(video) == ["annotations", "video_id"]
    entry = video["annotations"][1]
    assert (entry["image_id"], entry["file_name"]) == ("00000395", "00000395.png")
    ids = rgb_to_id(read_png(out / f"panomasksRGB/{VIDEO}/00000395.png"))
    assert [s["category_id"] for s in entry["segments_info"]] == [1, 60]
    assert [(ids == s["id"]).sum() for s in entry["segments_info"]] == [48, 48]
    assert content["categories"][60] | {"color": 0} == {
        "id": 60,
        "name": "person",
        "isthing": 1,
        "color": 0,
    }
    everything = json.loads((out / "panoptic_gt_VIPSeg.json").read_text())
    assert [v["video_id"] for v in everything["videos"]] == [VIDEO]


def test_segments_are_in_order_of_raw_value_and_a_slip_is_one_stuff_segment(caplog):
    mask = np.array([[6100, 3, 200, 2, 12400, 0]], np.uint16)  # 3: a door without number
    with caplog.at_level(logging.WARNING):
        rgb, info = vipseg.encode_mask(mask, "x.png")
    assert [s["category_id"] for s in info] == [1, 2, 60, 123]
    assert info[0]["area"] == 2
    assert "x.png holds 200, an instance of the stuff class ceiling" in caplog.text
    assert rgb_to_id(rgb)[0, 5] == 0


def test_wrong_vipseg_folder(tmp_path):
    with pytest.raises(TreeError, match="panomasks/<video>"):
        vipseg.prepare(tmp_path)


# --- VIPER -----------------------------------------------------------------------------------


@pytest.fixture
def viper_root(tmp_path):
    classes = np.array([[3, 24, 24, 22]], np.uint8)  # road, car, car, bicycle (ignored)
    instances = np.zeros((1, 4, 3), np.uint8)
    instances[0, 1] = (24, 0, 5)
    for sequence, frames in (("001", 3), ("007", 2)):
        for number in range(1, frames + 1):
            stem = f"{sequence}/{sequence}_{number:05d}"
            write_image(tmp_path / f"val/img/{stem}.jpg", (1, 4))
            write_png(tmp_path / f"val/cls/{stem}.png", classes)
            write_png(tmp_path / f"val/inst/{stem}.png", instances)
    return tmp_path


def test_viper_becomes_the_reorganised_form(viper_root):
    raw = READERS["viper"].load_records(viper_root, "val")
    raw_label = READERS["viper"].read_panoptic(raw[0]["frames"][0])
    viper.prepare(viper_root, splits=["val"], sequences=["001"], frame_limit=2)
    (record,) = READERS["viper"].load_records(viper_root, "val")
    assert (record["video_id"], len(record["frames"])) == ("001", 2)
    label = READERS["viper"].read_panoptic(record["frames"][0])
    assert label.class_ids.tolist() == raw_label.class_ids.tolist() == [[1, 19, 19, 255]]
    assert ((label.track_ids > 0) == (raw_label.track_ids > 0)).all()


def test_viper_json_field_by_field(viper_root):
    viper.prepare(viper_root, splits=["val"], sequences=["007"])
    content = json.loads((viper_root / "viper_panoptic_val_day_video.json").read_text())
    assert content["images"][1] == {
        "id": "007_00002",
        "width": 4,
        "height": 1,
        "file_name": "007/007_00002.jpg",
    }
    entry = content["annotations"][1]
    assert (entry["image_id"], entry["file_name"]) == ("007_00002", "007_00002.png")
    assert [(s["category_id"], s["iscrowd"], s["area"]) for s in entry["segments_info"]] == [
        (1, 0, 1),
        (19, 1, 1),
        (19, 0, 1),
    ]
    assert len(content["categories"]) == 23
    assert (viper_root / "val_day/img/007/007_00002.jpg").is_file()


def test_other_choices_are_made_anew(viper_root):
    viper.prepare(viper_root, splits=["val"], sequences=["001"], frame_limit=1)
    viper.prepare(viper_root, splits=["val"], sequences=["001"])
    (record,) = READERS["viper"].load_records(viper_root, "val")
    assert len(record["frames"]) == 3


# --- SemKITTI --------------------------------------------------------------------------------


def test_semkitti_gets_its_images(tmp_path):
    folder = tmp_path / "dvps/video_sequence/val"
    for frame in range(2):
        stem = f"000008_{frame:06d}"
        write_png(folder / f"{stem}_gtFine_class.png", np.zeros((1, 2), np.uint8))
        write_png(folder / f"{stem}_gtFine_instance.png", np.zeros((1, 2), np.uint16))
        write_depth_png(folder / f"{stem}_depth_707.09.png", np.ones((1, 2)))
        write_image(tmp_path / f"kitti/08/image_2/{frame:06d}.png", (1, 2))
    semkitti_dvps.prepare(tmp_path / "dvps", tmp_path / "kitti", splits=["val"])
    (record,) = READERS["semkitti_dvps"].load_records(tmp_path / "dvps", "val")
    assert [f["frame_id"] for f in record["frames"]] == [0, 1]
    with pytest.raises(TreeError, match="SS/image_2/FFFFFF"):
        semkitti_dvps.prepare(tmp_path / "dvps", tmp_path, splits=["val"])
