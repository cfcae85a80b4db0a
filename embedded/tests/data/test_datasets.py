"""COCO's formats and folders of label maps."""

import json

import pytest

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import (
    load_coco_json,
    load_sem_seg,
    register_coco_instances,
    register_coco_panoptic,
)
from detectron2.structures import BoxMode

SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]


@pytest.fixture
def coco_file(tmp_path):
    """Two images, categories 7 and 3, one valid polygon, one invalid, one RLE."""
    content = {
        "images": [
            {"id": 5, "file_name": "b.jpg", "height": 4, "width": 5},
            {"id": 2, "file_name": "a.jpg", "height": 4, "width": 5},
        ],
        "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 7,
                "bbox": [1, 1, 2, 2],
                "iscrowd": 0,
                "area": 4,
                "segmentation": [SQUARE, [0, 0, 1, 1]],
            },
            {
                "id": 2,
                "image_id": 5,
                "category_id": 3,
                "bbox": [0, 0, 1, 1],
                "iscrowd": 0,
                "area": 1,
                "segmentation": [[0, 0, 1, 1]],
            },
            {
                "id": 3,
                "image_id": 2,
                "category_id": 3,
                "bbox": [0, 0, 1, 1],
                "iscrowd": 1,
                "area": 1,
                "segmentation": {"counts": [0, 1, 19], "size": [4, 5]},
            },
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return str(tmp_path / "instances.json")


@pytest.fixture
def name():
    yield "toy_datasets_test"
    DatasetCatalog.pop("toy_datasets_test", None)
    MetadataCatalog.pop("toy_datasets_test", None)


def test_coco_instances(coco_file, name):
    register_coco_instances(name, {"extra": 1}, coco_file, "images")
    first, second = DatasetCatalog.get(name)
    assert (first["file_name"], first["image_id"]) == ("images/a.jpg", 2)
    assert (second["height"], second["width"]) == (4, 5)
    (annotation,) = second["annotations"]  # the one with only two points is left out
    assert annotation["segmentation"] == [SQUARE]
    assert annotation["bbox_mode"] == BoxMode.XYWH_ABS
    assert annotation["category_id"] == 1  # 3 -> 0, 7 -> 1
    (crowd,) = first["annotations"]
    assert isinstance(crowd["segmentation"], dict)
    assert crowd["iscrowd"] == 1
    metadata = MetadataCatalog.get(name)
    assert metadata.thing_classes == ["three", "seven"]
    assert metadata.thing_dataset_id_to_contiguous_id == {3: 0, 7: 1}
    assert (metadata.evaluator_type, metadata.extra) == ("coco", 1)


def test_coco_instances_without_a_name_keep_their_ids(coco_file):
    records = load_coco_json(coco_file, "images", extra_annotation_keys=["area"])
    assert records[1]["annotations"][0]["category_id"] == 7
    assert records[1]["annotations"][0]["area"] == 4


def test_coco_panoptic(tmp_path, name):
    segments = [
        {"id": 1, "category_id": 11, "iscrowd": 0},
        {"id": 2, "category_id": 30, "iscrowd": 0},
    ]
    content = {
        "annotations": [{"image_id": 4, "file_name": "x.png", "segments_info": segments}],
        "categories": [],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    for file in ("x.png", "x.jpg"):
        (tmp_path / file).touch()
    metadata = {
        "thing_dataset_id_to_contiguous_id": {11: 0},
        "stuff_dataset_id_to_contiguous_id": {30: 5},
    }
    folder = str(tmp_path)
    register_coco_panoptic(name, metadata, folder, folder, str(tmp_path / "panoptic.json"))
    (record,) = DatasetCatalog.get(name)
    assert record["file_name"] == str(tmp_path / "x.jpg")
    assert record["pan_seg_file_name"] == str(tmp_path / "x.png")
    assert record["image_id"] == 4
    found = [(segment["category_id"], segment["isthing"]) for segment in record["segments_info"]]
    assert found == [(0, True), (5, False)]
    metadata = MetadataCatalog.get(name)
    assert metadata.evaluator_type == "coco_panoptic_seg"
    assert (metadata.ignore_label, metadata.label_divisor) == (255, 1000)


def test_folders_of_label_maps(tmp_path):
    for file in ("gt/1.png", "gt/0.png", "im/0.jpg", "im/1.jpg", "im/notes.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    records = load_sem_seg(str(tmp_path / "gt"), str(tmp_path / "im"))
    assert [record["file_name"] for record in records] == [
        str(tmp_path / "im/0.jpg"),
        str(tmp_path / "im/1.jpg"),
    ]
    assert records[1]["sem_seg_file_name"] == str(tmp_path / "gt/1.png")
    (tmp_path / "im/9.jpg").touch()  # no label
    assert len(load_sem_seg(str(tmp_path / "gt"), str(tmp_path / "im"))) == 2
