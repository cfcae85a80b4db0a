import json

import numpy as np
import pytest

from dvps_d2.formats import READERS, TreeError, class_table
from dvps_d2.formats.png import read_png, rgb_to_id, write_depth_png, write_png
from dvps_d2.formats.prepare import cityscapes_dvps, cityscapes_vps
from dvps_d2.formats.prepare.cityscapes_vps import read_raw_label

TABLE = class_table("cityscapes")
ROAD, BUILDING, SKY, PERSON, CAR = 0, 2, 10, 11, 13
STEMS = [f"0005_{25 + i:04d}_lindau_000000_{1736 + 5 * i:06d}" for i in range(6)]
# A road, a sky, car 7, car 0, a crowd of cars, void.
CLASSES = np.array([[SKY, SKY, CAR, CAR], [ROAD, CAR, CAR, 255]], np.uint8)
OBJECTS = np.array([[0, 0, 26007, 26007], [0, 26000, 26, 0]], np.uint16)


def colors(classes):
    table = np.zeros((256, 3), np.uint8)
    table[: len(TABLE)] = TABLE.colors
    return table[classes]


@pytest.fixture
def release(tmp_path):
    """What one downloads: listings, raw labels of the new frames, Cityscapes' own files."""
    root, city = tmp_path / "vps", tmp_path / "cityscapes"
    listed, everything = [], []
    for i, stem in enumerate(STEMS):
        own = i == 3
        listed.append({"id": stem, "file_name": f"{stem}_{'left' if own else 'new'}Img8bit.png"})
        cityscapes_id = stem[10:]
        cls = city / f"gtFine/lindau/{cityscapes_id}_gtFine_color.png"
        inst = city / f"gtFine/lindau/{cityscapes_id}_gtFine_instanceIds.png"
        if not own:
            cls = root / f"val/cls/{stem}_final_mask.png"
            inst = root / f"val/inst/{stem}_original_image_instance_greyscale.png"
        write_png(cls, colors(CLASSES))
        write_png(inst, OBJECTS)
    for frame in range(1, 31):
        name = f"lindau_000000_{1731 + frame:06d}_leftImg8bit.png"
        write_png(city / "images/lindau" / name, np.full((2, 4, 3), frame, np.uint8))
        everything.append({"id": 50000 + frame, "file_name": name, "width": 4, "height": 2})
    (root / "panoptic_im_val_city_vps.json").write_text(json.dumps({"images": listed}))
    (root / "im_all_info_val_city_vps.json").write_text(json.dumps({"images": everything}))
    return root, city


def run(root, city, **options):
    cityscapes_vps.prepare(
        root, images=city / "images", gtfine=city / "gtFine", splits=["val"], **options
    )


def test_class_of_an_instance_is_that_of_most_of_its_pixels(tmp_path):
    classes = np.array([[CAR, CAR, PERSON], [BUILDING, BUILDING, CAR]], np.uint8)
    objects = np.array([[26003, 26003, 26003], [24009, 24009, 24009]], np.uint16)
    write_png(tmp_path / "c.png", colors(classes))
    write_png(tmp_path / "i.png", objects)
    class_ids, values = read_raw_label(str(tmp_path / "c.png"), str(tmp_path / "i.png"))
    assert class_ids.tolist() == classes.tolist()
    # Object 9 is mostly building: no instance, and its car pixel belongs to nothing.
    assert values.tolist() == [[13003, 13003, 13003], [BUILDING, BUILDING, 255]]


def test_preparation_gives_what_the_reader_takes(release):
    root, city = release
    run(root, city)
    (record,) = READERS["cityscapes_vps"].load_records(root, "val")
    assert [f["frame_id"] for f in record["frames"]] == list(range(30))
    labelled = [f for f in record["frames"] if f["labelled"]]
    assert len(labelled) == 6
    for frame in labelled:
        label = READERS["cityscapes_vps"].read_panoptic(frame)
        # The crowd of cars (value 26 has no object) is void.
        assert label.class_ids.tolist() == [[SKY, SKY, CAR, CAR], [ROAD, CAR, 255, 255]]
    tracks = [READERS["cityscapes_vps"].read_panoptic(f).track_ids for f in labelled]
    assert all((t == tracks[0]).all() for t in tracks)
    assert len(np.unique(tracks[0])) == 3  # none, car 7, car 0


def test_ground_truth_json_field_by_field(release):
    root, city = release
    run(root, city)
    content = json.loads((root / "panoptic_gt_val_city_vps.json").read_text())
    assert sorted(content) == ["annotations", "categories", "images"]
    assert content["images"][3] == {
        "id": STEMS[3],
        "width": 4,
        "height": 2,
        "file_name": f"{STEMS[3]}_leftImg8bit.png",
    }
    assert [entry["image_id"] for entry in content["annotations"]] == STEMS
    entry = content["annotations"][0]
    assert entry["file_name"] == f"{STEMS[0]}_final_mask.png"
    ids = rgb_to_id(read_png(root / "val/panoptic_video" / entry["file_name"]))
    for segment in entry["segments_info"]:
        assert sorted(segment) == ["area", "category_id", "id", "iscrowd"]
        assert (ids == segment["id"]).sum() == segment["area"]
    assert [s["category_id"] for s in entry["segments_info"]] == [ROAD, SKY, CAR, CAR]
    assert entry["segments_info"][1]["id"] == 70 + 130 * 256 + 180 * 65536
    assert content["categories"][7] == {
        "id": 7,
        "name": "traffic sign",
        "supercategory": "object",
        "isthing": 0,
        "instance_eval": 0,
        "trainid": 7,
        "ori_id": 20,
        "color": [220, 220, 0],
    }


def test_intermediate_files_have_the_published_coding(release):
    root, city = release
    run(root, city)
    name = f"{STEMS[3]}_gtFine_color.png"
    assert read_png(root / "val/labelmap" / name, bits=8).tolist() == CLASSES.tolist()
    values = read_png(root / "val/panoptic_inst" / name, bits=16)
    assert values.tolist() == [[10, 10, 13007, 13007], [0, 13000, 255, 255]]


def test_two_runs_give_the_same_bytes_and_a_third_does_nothing(release, tmp_path):
    root, city = release
    copy = tmp_path / "again"
    copy.mkdir()
    for name in ("panoptic_im_val_city_vps.json", "im_all_info_val_city_vps.json"):
        (copy / name).write_bytes((root / name).read_bytes())
    for path in [*(root / "val").rglob("*.png")]:
        write_png(copy / path.relative_to(root), read_png(path))
    run(root, city)
    run(copy, city, workers=2)
    files = {p.relative_to(root): p for p in root.rglob("*") if p.is_file()}
    assert {p.relative_to(copy) for p in copy.rglob("*") if p.is_file()} == set(files)
    for name, path in files.items():
        assert (copy / name).read_bytes() == path.read_bytes(), name
    times = {name: path.stat().st_mtime_ns for name, path in files.items() if name.suffix == ".png"}
    run(root, city)
    assert {name: (root / name).stat().st_mtime_ns for name in times} == times


def test_missing_inputs_say_what_to_give(release):
    root, city = release
    with pytest.raises(FileNotFoundError, match="leftImg8bit"):
        cityscapes_vps.prepare(root, images=city / "nowhere", splits=["val"])
    with pytest.raises(TreeError, match="give --gtfine to add them"):
        cityscapes_vps.prepare(root, images=city / "images", splits=["val"])
    with pytest.raises(TreeError, match=r"panoptic_im_train_city_vps\.json is not there"):
        cityscapes_vps.prepare(root, images=city / "images", splits=["train"])


def test_depth_release_gets_labels_and_images(release, tmp_path):
    root, city = release
    run(root, city)
    dvps = tmp_path / "dvps"
    for i, stem in enumerate(STEMS):
        path = dvps / f"video_sequence/val/000000_{i:06d}_{stem[10:]}_depth.png"
        write_depth_png(path, np.full((2, 4), 5.0))
    cityscapes_dvps.prepare(dvps, root, splits=["val"])
    reader = READERS["cityscapes_dvps"]
    (record,) = reader.load_records(dvps, "val")
    assert [f["frame_id"] for f in record["frames"]] == [0, 1, 2, 3, 4, 5]
    values = read_png(record["frames"][3]["pan_seg_file_name"])
    assert values.tolist() == [[10000, 10000, 13007, 13007], [0, 13000, 32000, 32000]]
    label = reader.read_panoptic(record["frames"][3])
    assert label.track_ids.tolist() == [[0, 0, 13007, 13007], [0, 13000, 0, 0]]
    write_depth_png(dvps / "video_sequence/val/000001_000000_bonn_000000_000019_depth.png",
                    np.ones((2, 4)))  # fmt: skip
    with pytest.raises(TreeError, match=r"bonn_000000_000019, which .* does not hold"):
        cityscapes_dvps.prepare(dvps, root, splits=["val"])
