import json

import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.png import PALETTE, read_png, read_png_header
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


def test_the_download_reads_as_the_reorganised_form_does(root, write_street):
    raw_root = write_street("viper_raw", videos=2)
    stem = "001/001_00001"
    header = read_png_header(raw_root / f"val/cls/{stem}.png")
    assert header.color_type == PALETTE
    classes = read_png(raw_root / f"val/cls/{stem}.png")
    instances = read_png(raw_root / f"val/inst/{stem}.png", channels=3, bits=8)
    assert 24 in classes  # a car
    assert (
        instances[..., 0][instances[..., 1:].any(-1)] == classes[instances[..., 1:].any(-1)]
    ).all()
    reader = READERS["viper"]
    for raw, made in zip(
        reader.load_records(raw_root, "val"), reader.load_records(root, "val"), strict=True
    ):
        for a, b in zip(raw["frames"], made["frames"], strict=True):
            ours, theirs = reader.read_panoptic(a), reader.read_panoptic(b)
            assert np.array_equal(ours.class_ids, theirs.class_ids)
            assert np.array_equal(ours.track_ids > 0, theirs.track_ids > 0)
