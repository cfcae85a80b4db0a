import json
from dataclasses import replace

import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.png import read_png, rgb_to_id
from dvps_d2.street import PRESETS
from dvps_d2.street.layouts import LAYOUTS
from dvps_d2.street.layouts.cityscapes_vps import run_lengths, video_number

FIVE = PRESETS["quick"]
IMAGE_ID = "0005_0025_synthstreet_000005_000004"


@pytest.fixture(scope="module")
def root(write_street):
    return write_street("cityscapes_vps", ("train", "val"))


def test_val_has_all_frames_and_train_the_labelled_ones(root, visible_files):
    files = visible_files(root)
    assert sum(name.startswith("val/img_all/") for name in files) == 10
    assert not any(name.startswith("train/img_all/") for name in files)
    expected = [f"val/img/{IMAGE_ID}_newImg8bit.png"]
    expected.append("val/img/0005_0026_synthstreet_000005_000009_newImg8bit.png")
    assert [name for name in files if name.startswith("val/img/")] == expected
    assert f"val/inst/{IMAGE_ID}_original_image_instance_greyscale.png" in files
    for folder in ("cls", "labelmap", "panoptic_inst", "panoptic_video"):
        assert f"val/{folder}/{IMAGE_ID}_final_mask.png" in files
    assert "train/img/0001_0001_synthstreet_000001_000004_newImg8bit.png" in files


def test_the_fourth_labelled_frame_is_named_as_cityscapes_names_it(write_street, visible_files):
    config = replace(FIVE, height=16, width=32, frames=4)
    files = visible_files(write_street("cityscapes_vps", ("train",), config=config))
    prefix = "0001_0004_synthstreet_000001_000019"
    for name in ("img/{}_leftImg8bit", "cls/{}_gtFine_color", "inst/{}_gtFine_instanceIds"):
        assert f"train/{name.format(prefix)}.png" in files


def test_panoptic_inst_multiplies_things_only(root, render):
    frame = render("cityscapes_vps", "val")[4]
    values = read_png(root / f"val/panoptic_inst/{IMAGE_ID}_final_mask.png", bits=16).astype(int)
    stuff, classes = frame.track_ids == 0, frame.class_ids.astype(int)
    assert (values[stuff] == frame.class_ids[stuff]).all()
    assert (values[~stuff] == classes[~stuff] * 1000 + frame.track_ids[~stuff]).all()
    assert (~stuff).any()


def test_segments_in_the_json_are_those_of_the_png(root):
    content = json.loads((root / "panoptic_gt_val_city_vps.json").read_text())
    assert set(content) == {"images", "annotations", "categories"}
    assert content["images"][0] == {
        "id": IMAGE_ID, "width": 96, "height": 48, "file_name": f"{IMAGE_ID}_newImg8bit.png",
    }  # fmt: skip
    assert len(content["categories"]) == 19
    assert {"id", "name", "supercategory", "isthing", "trainid", "ori_id", "color"} <= set(
        content["categories"][0]
    )
    entry = content["annotations"][0]
    assert entry["image_id"] == IMAGE_ID
    ids = rgb_to_id(read_png(root / "val/panoptic_video" / entry["file_name"]))
    areas = dict(zip(*np.unique(ids[ids > 0], return_counts=True), strict=True))
    assert {s["id"]: s["area"] for s in entry["segments_info"]} == areas
    assert set(entry["segments_info"][0]) == {"id", "category_id", "iscrowd", "area"}


def test_lists_of_images_and_instances(root):
    frames = json.loads((root / "im_all_info_val_city_vps.json").read_text())["images"]
    assert [image["id"] for image in frames] == list(range(50001, 50011))
    assert frames[0]["file_name"] == "synthstreet_000005_000000_leftImg8bit.png"
    images = json.loads((root / "panoptic_im_val_city_vps.json").read_text())["images"]
    assert [image["id"][:9] for image in images] == ["0005_0025", "0005_0026"]
    instances = json.loads((root / "instances_val_city_vps_rle.json").read_text())
    assert [image["id"] for image in instances["images"]] == [50025, 50026]
    assert [category["id"] for category in instances["categories"]] == list(range(11, 19))
    for annotation in instances["annotations"]:
        assert annotation["inst_id"] // 1000 == annotation["category_id"] == annotation["fcn_id"]
        counts = annotation["segmentation"]["counts"]
        assert sum(counts[1::2]) == annotation["area"]
        assert sum(counts) == 48 * 96


def test_the_reader_reads_it(root, render):
    reader = READERS["cityscapes_vps"]
    (record,) = reader.load_records(root, "val")
    assert [f["frame_id"] for f in record["frames"]] == list(range(10))
    assert [f["frame_id"] for f in record["frames"] if f["labelled"]] == [4, 9]
    label = reader.read_panoptic(record["frames"][4])
    frame = render("cityscapes_vps", "val")[4]
    assert (label.class_ids == frame.class_ids).all()
    assert ((label.track_ids > 0) == (frame.track_ids > 0)).all()


def test_video_numbers_of_the_splits_never_meet():
    numbers = [
        video_number(s, i) for s, n in (("train", 80), ("val", 9), ("test", 9)) for i in range(n)
    ]
    assert len(set(numbers)) == 98
    assert [video_number("val", i) for i in range(3)] == [5, 15, 25]
    assert [video_number("train", i) for i in range(5)] == [1, 2, 3, 4, 6]
    with pytest.raises(ValueError, match="enough for 1666 videos"):
        video_number("val", 167)


def test_run_lengths_go_down_the_columns():
    mask = np.array([[1, 0], [1, 1]], bool)
    assert run_lengths(mask) == {"counts": [0, 2, 1, 1], "size": [2, 2]}
    assert run_lengths(~mask) == {"counts": [2, 1, 1], "size": [2, 2]}


def test_more_than_six_labelled_frames_are_refused():
    with pytest.raises(ValueError, match="at most 6 labelled frames, got 7"):
        LAYOUTS["cityscapes_vps"].video_config(replace(FIVE, frames=7), "val")
