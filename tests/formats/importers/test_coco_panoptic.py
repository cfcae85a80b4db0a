"""COCO panoptic files become own data that the reader and the check take."""

import json

import numpy as np
import pytest
from PIL import Image

from dvps_d2.formats import FormatError, VideoPanopticReader
from dvps_d2.formats.check import check_json
from dvps_d2.formats.importers import Grouping, import_coco_panoptic
from dvps_d2.formats.png import id_to_rgb, read_png, rgb_to_id, write_png

CAT, LAWN = 1, 4
CATEGORIES = [
    {"id": LAWN, "name": "lawn", "isthing": 0, "supercategory": "ground"},
    {"id": CAT, "name": "cat", "isthing": 1, "supercategory": "animal"},
]
# Two lawn segments in one frame; cat 70000 in both frames.
LABELS = {
    "a_1": ([[9, 9, 70000], [0, 11, 70000]], {9: LAWN, 11: LAWN, 70000: CAT}),
    "a_2": ([[9, 70000, 70000], [9, 9, 9]], {9: LAWN, 70000: CAT, 5: CAT}),
    "b_1": ([[3, 3, 3], [3, 3, 3]], {3: CAT}),
}


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    images, annotations = [], []
    for number, (name, (ids, categories)) in enumerate(LABELS.items()):
        write_png(root / "images" / f"{name}.png", np.full((2, 3, 3), number, np.uint8))
        write_png(root / "masks" / f"{name}.png", id_to_rgb(np.array(ids)))
        images.append({"id": number, "file_name": f"{name}.png", "width": 3, "height": 2})
        segments = [
            {"id": i, "category_id": c, "iscrowd": int(name == "b_1"), "area": 1, "bbox": []}
            for i, c in categories.items()
        ]
        annotations.append(
            {"image_id": number, "file_name": f"{name}.png", "segments_info": segments}
        )
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (root / "ann.json").write_text(json.dumps(content))
    return root


def load(coco, out, **options):
    path = import_coco_panoptic(
        coco / "ann.json", coco / "images", coco / "masks", out, name="train", **options
    )
    assert not check_json(path).has_errors, check_json(path).lines()
    reader = VideoPanopticReader("imported", path)
    return reader, reader.load_records(out)


def rewrite(coco, change):
    content = json.loads((coco / "ann.json").read_text())
    change(content)
    (coco / "ann.json").write_text(json.dumps(content))


def test_every_image_becomes_a_video(coco, tmp_path):
    reader, records = load(coco, tmp_path / "out")
    assert reader.categories.names == ("cat", "lawn")  # in order of ids
    assert len(set(reader.categories.colors)) == 2
    assert [(r["video_id"], len(r["frames"])) for r in records] == [
        ("a_1", 1), ("a_2", 1), ("b_1", 1),
    ]  # fmt: skip
    label = reader.read_panoptic(records[0]["frames"][0])
    assert label.class_ids.tolist() == [[1, 1, 0], [255, 1, 0]]
    assert label.track_ids.tolist() == [[0, 0, 70000], [0, 0, 70000]]


def test_segments_are_joined_counted_and_dropped(coco, tmp_path):
    load(coco, tmp_path / "out")
    content = json.loads((tmp_path / "out/train.json").read_text())
    segments = {
        video["video_id"]: video["annotations"][0]["segments_info"]
        for video in content["annotations"]
    }
    assert [(s["id"], s["area"]) for s in segments["a_1"]] == [(9, 3), (70000, 2)]
    assert [s["id"] for s in segments["a_2"]] == [9, 70000]  # 5 has no pixel
    assert [s["iscrowd"] for s in segments["b_1"]] == [1]


PATTERN = r"(?P<video>\w+)_(?P<frame>\d+)"


def test_images_are_grouped_by_their_names(coco, tmp_path):
    reader, records = load(coco, tmp_path / "out", grouping=Grouping(PATTERN), ids="tracks")
    assert [(r["video_id"], len(r["frames"])) for r in records] == [("a", 2), ("b", 1)]
    assert [f["frame_id"] for f in records[0]["frames"]] == [1, 2]
    first, second = (reader.read_panoptic(f) for f in records[0]["frames"])
    assert first.track_ids[0, 2] == second.track_ids[0, 2] == 70000


def test_ids_of_single_frames_make_no_tracks(coco, tmp_path):
    reader, records = load(coco, tmp_path / "out", grouping=Grouping(PATTERN), ids="frames")
    first, second = (reader.read_panoptic(f) for f in records[0]["frames"])
    assert first.track_ids[0, 2] != second.track_ids[0, 2]
    assert (first.class_ids == [[1, 1, 0], [255, 1, 0]]).all()


def test_folders_are_videos_in_the_order_of_numbers():
    names = ["x/f10.png", "x/f2.png", "deep/er/f1.png"]
    grouped = Grouping("folder").group(names)
    assert {video: [f.frame for f in frames] for video, frames in grouped.items()} == {
        "deep_er": ["f1"],
        "x": ["f2", "f10"],
    }


def test_a_stopped_import_goes_on_and_changed_masks_are_done_again(coco, tmp_path):
    out = tmp_path / "out"
    (coco / "masks" / "b_1.png").rename(coco / "away.png")
    with pytest.raises(FormatError, match=r"masks/b_1.png does not exist"):
        load(coco, out)
    assert not (out / "train.json").exists()
    (coco / "away.png").rename(coco / "masks" / "b_1.png")
    kept = out / "train/labels/a_1/a_1.png"
    before = kept.stat().st_mtime_ns
    load(coco, out)
    assert kept.stat().st_mtime_ns == before
    rewrite(coco, lambda c: c["annotations"][0]["segments_info"][2].update(category_id=LAWN))
    reader, records = load(coco, out)
    assert reader.read_panoptic(records[0]["frames"][0]).track_ids.max() == 0


def test_depth_is_brought_to_the_units_of_the_readers(coco, tmp_path):
    millimetres = np.array([[1500, 0, 0], [0, 0, 2000]], np.uint16)
    write_png(coco / "depth/a_1.png", millimetres)
    reader, records = load(coco, tmp_path / "out", depth=coco / "depth", depth_scale=1000.0)
    assert reader.read_depth(records[0]["frames"][0]).tolist() == [[1.5, 0, 0], [0, 0, 2.0]]
    assert records[1]["frames"][0]["depth_file_name"] is None


def test_turned_photographs_are_written_upright(coco, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter: 2 x 3 pixels in the file, 3 x 2 when shown
    Image.new("RGB", (2, 3)).save(coco / "images/a_1.jpg", exif=exif)
    rewrite(coco, lambda c: c["images"][0].update(file_name="a_1.jpg"))
    load(coco, tmp_path / "out")
    with Image.open(tmp_path / "out/train/frames/a_1/a_1.jpg") as image:
        assert image.size == (3, 2)
        assert image.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("categories"), r"ann.json lacks categories"),
        (lambda c: c["categories"][0].pop("isthing"), r"categories\[0\]: isthing must be 0 or 1"),
        (lambda c: c["annotations"][0].pop("segments_info"), r"an entry lacks 'segments_info'"),
        (lambda c: c["annotations"][0].update(image_id=99), r"annotates image_id 99"),
        (
            lambda c: c["annotations"][0]["segments_info"].pop(),
            r"masks/a_1.png: id 70000 in 2 pixels is not in the JSON",
        ),
        (
            lambda c: c["annotations"][0]["segments_info"][0].update(category_id=77),
            r"a_1.png: segment 9 has category_id 77",
        ),
    ],
)
def test_what_is_wrong_is_named(coco, tmp_path, change, message):
    rewrite(coco, change)
    with pytest.raises(FormatError, match=message):
        load(coco, tmp_path / "out")


def test_grouping_asks_what_ids_mean_and_refuses_tracks_that_change_class(coco, tmp_path):
    with pytest.raises(ValueError, match="--ids tracks"):
        load(coco, tmp_path / "out", grouping=Grouping(PATTERN))
    rewrite(
        coco,
        lambda c: (
            c["categories"].append({"id": 8, "name": "dog", "isthing": 1}),
            c["annotations"][1]["segments_info"][1].update(category_id=8),
        ),
    )
    with pytest.raises(FormatError, match=r"id 70000 has category 1 in .*a_1.png and 8 in"):
        load(coco, tmp_path / "out", grouping=Grouping(PATTERN), ids="tracks")


def test_frames_of_one_video_have_one_size(coco, tmp_path):
    write_png(coco / "images/a_2.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FormatError, match=r"a_2.png is 4x4, but .*a_1.png .* is 3x2"):
        load(coco, tmp_path / "out", grouping=Grouping(PATTERN), ids="tracks")


@pytest.mark.parametrize(
    ("rule", "message"),
    [("(", "neither none nor folder"), (r"\d+", r"lacks frame and video")],
)
def test_bad_rules_are_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        Grouping(rule)


def test_workers_write_the_same(coco, tmp_path):
    load(coco, tmp_path / "one")
    load(coco, tmp_path / "two", workers=2)
    for path in (tmp_path / "one").rglob("*.png"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()
    label = read_png(tmp_path / "two/train/labels/b_1/b_1.png", channels=3)
    assert (rgb_to_id(label) == 3).all()
