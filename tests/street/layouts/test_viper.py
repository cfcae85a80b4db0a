import json

import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.street import StreetConfig, StreetVideo
from dvps_d2.street.layouts import LAYOUTS


@pytest.fixture(scope="module")
def root(write_street):
    return write_street("viper", videos=2)


def test_names(root, visible_files):
    names = [f"00{s}_0000{t}" for s in (1, 2) for t in (1, 2)]
    expected = [f"val_day/img/{name[:3]}/{name}.jpg" for name in names]
    expected += [f"val_day/panoptic_video/{name}.png" for name in names]
    assert visible_files(root) == [*expected, "viper_panoptic_val_day_video.json"]


def test_json_fields(root):
    content = json.loads((root / "viper_panoptic_val_day_video.json").read_text())
    assert [c["id"] for c in content["categories"]] == list(range(23))
    assert [i["file_name"] for i in content["images"]][2] == "002/002_00001.jpg"
    assert [a["image_id"] for a in content["annotations"]] == [i["id"] for i in content["images"]]


def test_thing_ids_differ_between_videos(root):
    content = json.loads((root / "viper_panoptic_val_day_video.json").read_text())
    things = [
        {s["id"] for s in entry["segments_info"] if s["category_id"] >= 13}
        for entry in content["annotations"]
    ]
    assert not (things[0] | things[1]) & (things[2] | things[3])


def test_the_reader_reads_it(root, render):
    reader = READERS["viper"]
    records = reader.load_records(root, "val")
    assert [record["video_id"] for record in records] == ["001", "002"]
    for record, index in zip(records, (0, 1), strict=True):
        label = reader.read_panoptic(record["frames"][1])
        frame = render("viper", "val", index)[1]
        # Bicycles are ignored by this benchmark.
        void = (frame.class_ids == 255) | (frame.class_ids == 18)
        assert ((label.class_ids == 255) == void).all()
        assert ((label.track_ids > 0) == ((frame.track_ids > 0) & ~void)).all()
        assert (
            reader.categories.names.index("road") == label.class_ids[frame.class_ids == 0]
        ).all()
        assert np.isin(label.class_ids[frame.class_ids == 13], [19]).all()


def test_a_thousand_sequences_are_too_many():
    video = StreetVideo(StreetConfig(), 0)
    with pytest.raises(ValueError, match="three digits for a sequence, got number 1000"):
        LAYOUTS["viper"].write_video(None, "val", 999, video)
