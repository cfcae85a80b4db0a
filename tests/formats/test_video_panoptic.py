import copy
import json

import numpy as np
import pytest

from dvps_d2.formats import READERS, FormatError, TreeError, VideoPanopticReader, add_reader
from dvps_d2.formats.png import id_to_rgb, write_depth_png, write_png

CONTENT = {
    "categories": [
        {"id": 5, "name": "cat", "isthing": 1, "color": [220, 20, 60]},
        {"id": 2, "name": "lawn", "isthing": 0, "color": [0, 128, 0]},
    ],
    "videos": [
        {
            "video_id": "garden",
            "width": 2,
            "height": 1,
            "images": [
                {"id": "a", "file_name": "f/a.png", "depth_file_name": "d/a.png"},
                {"id": "b", "file_name": "f/b.png"},
            ],
        }
    ],
    "annotations": [
        {
            "video_id": "garden",
            "annotations": [
                {
                    "image_id": "a",
                    "file_name": "l/a.png",
                    "segments_info": [
                        {"id": 7, "category_id": 5, "iscrowd": 0, "area": 1},
                        {"id": 9, "category_id": 2, "iscrowd": 0, "area": 1},
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture
def root(tmp_path):
    write_png(tmp_path / "l/a.png", id_to_rgb(np.array([[7, 9]])))
    write_depth_png(tmp_path / "d/a.png", np.array([[1.5, 0]]))
    (tmp_path / "own.json").write_text(json.dumps(CONTENT))
    return tmp_path


def test_own_data_reads_like_any_dataset(root):
    reader = VideoPanopticReader("own", root / "own.json")
    assert reader.categories.names == ("lawn", "cat")
    (record,) = reader.load_records(root)
    first, second = record["frames"]
    assert (first["labelled"], second["labelled"]) == (True, False)
    assert [first["frame_id"], second["frame_id"]] == [0, 1]
    label = reader.read_panoptic(first)
    assert label.class_ids.tolist() == [[1, 0]]
    assert label.track_ids.tolist() == [[7, 0]]
    assert reader.read_depth(first).tolist() == [[1.5, 0]]


def test_frame_numbers_may_be_given(root):
    content = copy.deepcopy(CONTENT)
    for image, number in zip(content["videos"][0]["images"], (10, 14), strict=True):
        image["frame_id"] = number
    (root / "own.json").write_text(json.dumps(content))
    (record,) = VideoPanopticReader("own", root / "own.json").load_records(root)
    assert [f["frame_id"] for f in record["frames"]] == [10, 14]


def test_incomplete_json_points_to_the_check(root):
    (root / "own.json").write_text("{}")
    with pytest.raises(FormatError, match=r"lacks annotations, categories, videos; .dvps check"):
        VideoPanopticReader("own", root / "own.json")
    content = copy.deepcopy(CONTENT)
    del content["videos"][0]["images"][1]["file_name"]
    (root / "own.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"missing 'file_name'.*dvps check"):
        VideoPanopticReader("own", root / "own.json").load_records(root)
    with pytest.raises(TreeError, match="do not exist"):
        VideoPanopticReader("own", root / "gone.json")


def test_a_reader_is_added_once_under_its_own_name(root):
    assert add_reader(VideoPanopticReader("test_own_data", root / "own.json")) == "test_own_data"
    assert READERS.pop("test_own_data").categories.names[1] == "cat"
    with pytest.raises(ValueError, match="'vipseg' belongs to VIPSeg"):
        add_reader(VideoPanopticReader("vipseg", root / "own.json"))
