"""Own data named in a config: registered, its classes compared with the model's."""

import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from dvps_d2.d2 import load_config
from dvps_d2.d2.data import check_training_data
from dvps_d2.formats import READERS, FormatError
from dvps_d2.formats.png import id_to_rgb, write_depth_png, write_png

NAMES = ("own_test_train", "own_test_val")
CATEGORIES = [
    {"id": 1, "name": "cat", "isthing": 1, "color": [220, 20, 60]},
    {"id": 2, "name": "lawn", "isthing": 0, "color": [0, 128, 0]},
    {"id": 3, "name": "sky", "isthing": 0, "color": [0, 128, 255]},
]


@pytest.fixture
def write(tmp_path):
    """Write a set of one video with one frame, 2 x 4; names are forgotten afterwards."""

    def make(name, categories=CATEGORIES, depth=False):
        write_png(tmp_path / f"{name}.png", np.zeros((2, 4, 3), np.uint8))
        write_png(tmp_path / f"{name}_label.png", id_to_rgb(np.array([[1, 1, 2, 2]] * 2)))
        image = {"id": "0", "file_name": f"{name}.png"}
        if depth:
            write_depth_png(tmp_path / f"{name}_depth.png", np.ones((2, 4)))
            image["depth_file_name"] = f"{name}_depth.png"
        segments = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 2}]
        label = {"image_id": "0", "file_name": f"{name}_label.png", "segments_info": segments}
        content = {
            "categories": categories,
            "videos": [{"video_id": "v", "width": 4, "height": 2, "images": [image]}],
            "annotations": [{"video_id": "v", "annotations": [label]}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return str(tmp_path / f"{name}.json")

    yield make
    for name in NAMES:
        READERS.pop(name, None)
        for catalog in (DatasetCatalog, MetadataCatalog):
            if name in catalog.list():
                catalog.remove(name)


def config(tmp_path, train, val=None, *overrides):
    own = [[NAMES[0], train]] + ([[NAMES[1], val]] if val else [])
    file = tmp_path / "config.yaml"
    file.write_text(
        f"MODEL: {{META_ARCHITECTURE: MinVIS, DEVICE: cpu, SEM_SEG_HEAD: {{NUM_CLASSES: 3}}}}\n"
        f"DATASETS: {{OWN: {json.dumps(own)}, TRAIN: [{NAMES[0]}], "
        f"TEST: [{NAMES[1] if val else ''}]}}\n"
        f"OUTPUT_DIR: {tmp_path / 'run'}\n"
    )
    return load_config(file, overrides)


def test_own_data_of_a_config_is_registered_once(tmp_path, write):
    cfg = config(tmp_path, write("train"), write("val", depth=True))
    assert not check_training_data(cfg).has_errors
    config(tmp_path, cfg.DATASETS.OWN[0][1])  # again: the same file
    (record,) = DatasetCatalog.get(NAMES[0])
    assert record["frames"][0]["file_name"] == str(tmp_path / "train.png")
    metadata = [MetadataCatalog.get(name) for name in NAMES]
    assert [m.evaluator_type for m in metadata] == ["cityscapes_vps", "cityscapes_dvps"]
    assert metadata[0].eval_classes == [0, 1]  # no label has a sky


def test_another_number_of_classes_names_both_numbers_and_the_key(tmp_path, write):
    train = write("train")
    cfg = config(tmp_path, train, None, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 19)
    with pytest.raises(ValueError) as error:
        check_training_data(cfg)
    told = str(error.value)
    assert "MODEL.SEM_SEG_HEAD.NUM_CLASSES is 19" in told
    assert f"({train}) has 3 classes (cat, lawn, sky)" in told
    assert "set MODEL.SEM_SEG_HEAD.NUM_CLASSES 3" in told


def test_a_box_model_counts_things(tmp_path, write):
    cfg = config(tmp_path, write("train"), None, "MODEL.META_ARCHITECTURE", "VPSNet")
    with pytest.raises(ValueError, match=r"ROI_HEADS.NUM_CLASSES is 80, .* 1 thing classes \(cat"):
        check_training_data(cfg)


def test_validation_must_have_the_classes_of_training(tmp_path, write):
    other = [{**CATEGORIES[0], "name": "dog"}, *CATEGORIES[1:]]
    cfg = config(tmp_path, write("train"), write("val", other))
    with pytest.raises(ValueError, match=r"val.json\) has other classes .* 'dog', not 'cat'"):
        check_training_data(cfg)


def test_names_and_files_that_are_wrong(tmp_path, write):
    train = write("train")
    with pytest.raises(FormatError, match=r"nowhere.json do not exist"):
        config(tmp_path, str(tmp_path / "nowhere.json"))
    with pytest.raises(ValueError, match=r"is \[name, JSON\]"):
        config(tmp_path, train, None, "DATASETS.OWN", ["train.json"])
    with pytest.raises(ValueError, match="'street_val' is the name of another dataset"):
        config(tmp_path, train, None, "DATASETS.OWN", [["street_val", train]])
    cfg = config(tmp_path, train, None, "DATASETS.TRAIN", ["forgotten"])
    with pytest.raises(ValueError, match=r"'forgotten', which is not registered"):
        check_training_data(cfg)
