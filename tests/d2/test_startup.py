import logging
import shutil

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from dvps_d2.d2 import register_video_dataset
from dvps_d2.d2.data import check_training_data, video_records
from dvps_d2.formats import FormatError, TreeError


@pytest.fixture
def broken(street_root, tmp_path):
    """A copy of the small street to break, registered as broken_train."""
    shutil.copytree(street_root, tmp_path / "street")
    for catalog in (DatasetCatalog, MetadataCatalog):
        if "broken_train" in catalog.list():
            catalog.remove("broken_train")
    register_video_dataset("broken_train", "cityscapes_dvps", tmp_path / "street", "train")
    return tmp_path / "street" / "video_sequence" / "train"


@pytest.fixture
def cfg(broken, tiny_cfg):
    return tiny_cfg("DATASETS.TRAIN", "('broken_train',)")


def pick(folder, kind):
    return sorted(folder.glob(f"*_{kind}.png"))[4]


def test_sound_data_is_described_once(cfg, caplog):
    logging.getLogger("dvps_d2").propagate = True
    with caplog.at_level("INFO"):
        assert not check_training_data(cfg).findings
        assert "12 labelled frames" in caplog.text
        assert "road" in caplog.text
        assert "depth on" in caplog.text
        caplog.clear()
        check_training_data(cfg)
    assert "was checked before" in caplog.text


def test_a_truncated_image_is_named(cfg, broken):
    path = pick(broken, "leftImg8bit")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FormatError, match=path.name):
        check_training_data(cfg)


def test_a_label_of_another_size_is_named(cfg, broken):
    path = pick(broken, "gtFine_instanceTrainIds")
    cv2.imwrite(str(path), np.zeros((8, 8), np.uint16))
    with pytest.raises(FormatError, match=rf"{path.name}: expected 128x64 .*, found 8x8"):
        check_training_data(cfg)


def test_a_frame_without_valid_depth_is_a_warning(cfg, broken):
    path = pick(broken, "depth")
    cv2.imwrite(str(path), np.zeros((64, 128), np.uint16))
    (finding,) = check_training_data(cfg).findings
    assert (finding.level, finding.message) == ("warning", "no pixel has depth")
    assert path.name in finding.where


def test_a_file_that_vanished_after_listing_is_named(cfg, broken):
    records = video_records("broken_train")
    path = pick(broken, "depth")
    DatasetCatalog.remove("broken_train")
    DatasetCatalog.register("broken_train", lambda: records)
    path.unlink()
    cfg.DATALOADER.CHECK = "files"
    with pytest.raises(FormatError, match=rf"{path.name}: this file is missing"):
        check_training_data(cfg)


def test_excluded_frames_are_not_looked_at(cfg, broken):
    path = pick(broken, "leftImg8bit")
    path.write_bytes(b"not a picture")
    cfg.DATASETS.EXCLUDE = [path.name, "000002"]
    assert not check_training_data(cfg).has_errors
    left = video_records("broken_train", exclude=cfg.DATASETS.EXCLUDE)
    assert [len(record["frames"]) for record in left] == [3, 2, 3]


def test_a_missing_root_shows_what_was_expected(tiny_cfg, tmp_path):
    register_video_dataset("nowhere_train", "cityscapes_dvps", tmp_path / "nowhere", "train")
    with pytest.raises(TreeError, match=r"(?s)nowhere.*expected.*video_sequence"):
        check_training_data(tiny_cfg("DATASETS.TRAIN", "('nowhere_train',)"))


def test_the_level_is_checked(cfg):
    cfg.DATALOADER.CHECK = "deep"
    with pytest.raises(ValueError, match="CHECK='deep' is not one of off, files, full"):
        check_training_data(cfg)
