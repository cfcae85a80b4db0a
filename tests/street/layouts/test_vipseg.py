import json

import cv2
import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.png import read_png


@pytest.fixture(scope="module")
def root(write_street):
    return write_street("vipseg")


def test_names(root, visible_files):
    assert visible_files(root) == [
        "images/0_street-val/00000300.jpg",
        "images/0_street-val/00000303.jpg",
        "panomasksRGB/0_street-val/00000300.png",
        "panomasksRGB/0_street-val/00000303.png",
        "panoptic_gt_VIPSeg_val.json",
    ]


def test_json_fields(root):
    content = json.loads((root / "panoptic_gt_VIPSeg_val.json").read_text())
    assert set(content) == {"videos", "annotations", "categories"}
    assert [c["id"] for c in content["categories"]] == list(range(124))
    (video,), (annotation,) = content["videos"], content["annotations"]
    assert video["video_id"] == annotation["video_id"] == "0_street-val"
    assert video["images"][1] == {
        "id": "00000303", "width": 96, "height": 48, "file_name": "00000303.png",
    }  # fmt: skip
    entry = annotation["annotations"][1]
    assert (entry["image_id"], entry["file_name"]) == ("00000303", "00000303.png")
    assert set(entry["segments_info"][0]) == {"id", "category_id", "iscrowd", "area"}


def test_images_survive_compression(root, render):
    image = cv2.imread(str(root / "images/0_street-val/00000300.jpg"))[..., ::-1].astype(int)
    assert np.abs(image - render("vipseg", "val")[0].image).mean() < 4


def test_classes_are_renamed_and_identities_kept(root, render):
    reader = READERS["vipseg"]
    (record,) = reader.load_records(root, "val")
    pairs = set()
    for place, frame in enumerate(render("vipseg", "val")):
        label = reader.read_panoptic(record["frames"][place])
        names = np.array([*reader.categories.names, *["void"] * 132])
        assert set(names[label.class_ids[frame.class_ids == 0]]) == {"road"}
        assert set(names[label.class_ids[frame.class_ids == 10]]) == {"sky"}
        riders = np.isin(frame.class_ids, (11, 12))
        assert set(names[label.class_ids[riders]]) <= {"person"}
        thing = frame.track_ids > 0
        assert ((label.track_ids > 0) == thing).all()
        pairs |= set(zip(frame.track_ids[thing], label.track_ids[thing], strict=True))
    # One id here for one id there, in all frames.
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs) > 0


def test_the_download_reads_as_the_converted_form_does(write_street):
    root, raw_root = write_street("vipseg"), write_street("vipseg_raw")
    assert (raw_root / "val.txt").read_text() == "0_street-val\n"
    mask = read_png(raw_root / "panomasks/0_street-val/00000303.png", channels=1, bits=16)
    assert mask.max() >= 125  # things: (class + 1) * 100 + number
    reader = READERS["vipseg"]
    (raw,), (made,) = (reader.load_records(r, "val") for r in (raw_root, root))
    for a, b in zip(raw["frames"], made["frames"], strict=True):
        ours, theirs = reader.read_panoptic(a), reader.read_panoptic(b)
        assert np.array_equal(ours.class_ids, theirs.class_ids)
        pairs = {
            *zip(ours.track_ids.ravel().tolist(), theirs.track_ids.ravel().tolist(), strict=True)
        }
        assert len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})
