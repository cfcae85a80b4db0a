"""Films and folders of frames with masks become own data."""

import json

import numpy as np
import pytest
from PIL import Image

from dvps_d2.formats import FormatError, VideoPanopticReader
from dvps_d2.formats.check import check_json
from dvps_d2.formats.importers import MaskCoding, import_video_masks
from dvps_d2.formats.png import read_png, write_png

CAT, LAWN = 3, 6
CATEGORIES = [
    {"id": CAT, "name": "cat", "isthing": 1, "color": [1, 2, 3]},
    {"id": LAWN, "name": "lawn", "isthing": 0, "color": [4, 5, 6]},
]
FILM = [np.full((2, 4, 3), 60 * t, np.uint8) for t in range(4)]


def read_film(path):
    """Stands for a video decoder."""
    assert path.name == "garden.mp4"
    yield from FILM


def write_masks(folder, masks):
    for name, mask in masks.items():
        write_png(folder / f"{name}.png", np.array(mask, np.uint8))


def load(tmp_path, videos, masks, coding, **options):
    path = import_video_masks(
        videos,
        masks,
        tmp_path / "out",
        categories=CATEGORIES,
        coding=coding,
        read_video=read_film,
        **options,
    )
    assert not check_json(path).has_errors, check_json(path).lines()
    reader = VideoPanopticReader("imported", path)
    return reader, reader.load_records(tmp_path / "out")


@pytest.fixture
def film(tmp_path):
    (tmp_path / "garden.mp4").write_bytes(b"a film")
    masks = {"m_0000": [[7, 7, 9, 0]] * 2, "m_0002": [[8, 7, 9, 9]] * 2}
    write_masks(tmp_path / "masks", masks)
    return tmp_path / "garden.mp4"


OBJECTS = MaskCoding(objects={7: CAT, 8: CAT, 9: LAWN})


def test_a_film_with_object_masks(tmp_path, film):
    reader, (record,) = load(tmp_path, [film], tmp_path / "masks", OBJECTS, lossless=True)
    assert (record["video_id"], record["height"], record["width"]) == ("garden", 2, 4)
    assert [f["labelled"] for f in record["frames"]] == [True, False, True, False]
    assert [f["frame_id"] for f in record["frames"]] == [0, 1, 2, 3]
    first, third = (reader.read_panoptic(record["frames"][i]) for i in (0, 2))
    assert first.class_ids[0].tolist() == [0, 0, 1, 255]
    assert third.class_ids[0].tolist() == [0, 0, 1, 1]
    assert first.track_ids[0, 0] == third.track_ids[0, 1] > 0
    assert third.track_ids[0, 0] not in (0, third.track_ids[0, 1])
    assert (read_png(record["frames"][2]["file_name"]) == 120).all()


def test_only_labelled_frames_keep_their_numbers(tmp_path, film):
    _, (record,) = load(tmp_path, [film], tmp_path / "masks", OBJECTS, only_labelled=True)
    assert [f["frame_id"] for f in record["frames"]] == [0, 2]
    assert record["frames"][1]["file_name"].endswith("000002.jpg")


def test_masks_may_count_from_one_and_say_so(tmp_path, film):
    write_masks(tmp_path / "masks", {"m_0004": [[7, 7, 7, 7]] * 2})
    with pytest.raises(FormatError, match=r"m_0004.png is of frame 4, .* use --first 1"):
        load(tmp_path, [film], tmp_path / "masks", OBJECTS)
    (tmp_path / "masks/m_0000.png").unlink()
    _, (record,) = load(tmp_path, [film], tmp_path / "masks", OBJECTS, first=1)
    assert [f["labelled"] for f in record["frames"]] == [False, True, False, True]


@pytest.fixture
def folders(tmp_path):
    """Two folders of images, 2 x 4, with class and instance PNGs."""
    for video in ("a", "b"):
        for name in ("f1", "f2"):
            write_png(tmp_path / video / f"{name}.png", FILM[0])
            classes = [[CAT, CAT, LAWN, 255], [CAT, CAT, LAWN, LAWN]]
            write_masks(tmp_path / "classes" / video, {name: classes})
            write_masks(tmp_path / "masks" / video, {name: [[1, 2, 0, 0], [0, 2, 0, 5]]})
    return [tmp_path / "a", tmp_path / "b"]


def test_folders_with_classes_and_instances(tmp_path, folders):
    coding = MaskCoding(classes=str(tmp_path / "classes"), void=(255,))
    reader, records = load(tmp_path, folders, tmp_path / "masks", coding)
    assert [r["video_id"] for r in records] == ["a", "b"]
    label = reader.read_panoptic(records[0]["frames"][1])
    assert label.class_ids.tolist() == [[0, 0, 1, 255], [0, 0, 1, 1]]
    one, two, crowd = label.track_ids[0, 0], label.track_ids[0, 1], label.track_ids[1, 0]
    assert len({one, two, 0}) == 3
    assert crowd == 0  # a thing without instance
    content = json.loads((tmp_path / "out/train.json").read_text())
    segments = content["annotations"][0]["annotations"][0]["segments_info"]
    assert sum(s["iscrowd"] for s in segments) == 1
    assert [s["area"] for s in segments if s["category_id"] == LAWN] == [3]  # 0 and 5 are one


def test_a_divisor_splits_category_and_instance(tmp_path, folders):
    for video in ("a", "b"):
        for name in ("f1", "f2"):
            mask = np.array([[3001, 3002, 6000, 0]] * 2, np.uint16)
            write_png(tmp_path / "coded" / video / f"{name}.png", mask)
    reader, records = load(
        tmp_path, folders, tmp_path / "coded", MaskCoding(divisor=1000), workers=2
    )
    label = reader.read_panoptic(records[1]["frames"][0])
    assert label.class_ids[0].tolist() == [0, 0, 1, 255]
    assert label.track_ids[0, 0] != label.track_ids[0, 1]


def test_palette_masks_are_read_by_index(tmp_path, film):
    image = Image.fromarray(np.array([[7, 7, 9, 9]] * 2, np.uint8), mode="P")
    image.putpalette([200] * 768)
    image.save(tmp_path / "masks/m_0000.png")
    reader, (record,) = load(tmp_path, [film], tmp_path / "masks", OBJECTS)
    assert reader.read_panoptic(record["frames"][0]).class_ids[0].tolist() == [0, 0, 1, 1]


def test_masks_that_fit_nothing_are_named(tmp_path, film, folders):
    with pytest.raises(FormatError, match=r"m_0000.png: object 9 in 2 pixels is not in the list"):
        load(tmp_path, [film], tmp_path / "masks", MaskCoding(objects={7: CAT, 8: CAT}))
    with pytest.raises(FormatError, match=r"category 5 .* is not in categories, which has 3, 6"):
        load(tmp_path, [film], tmp_path / "masks", MaskCoding(objects={7: 5, 8: 5, 9: 5}))
    write_masks(tmp_path / "masks/a", {"f3": [[1, 1, 1, 1]] * 2})
    coding = MaskCoding(classes=str(tmp_path / "classes"), void=(255,))
    with pytest.raises(FormatError, match=r"a/f3.png belongs to no image"):
        load(tmp_path, folders, tmp_path / "masks", coding)
    with pytest.raises(FormatError, match=r"expected in .*nowhere/a"):
        load(tmp_path, folders, tmp_path / "nowhere", coding)


def test_a_grey_mask_saved_in_colour_is_told(tmp_path, film):
    write_masks(tmp_path / "masks", {"m_0000": [[[7, 7, 7]] * 4] * 2})
    with pytest.raises(FormatError, match="R = G = B = 7: a grey PNG that was saved in colour"):
        load(tmp_path, [film], tmp_path / "masks", OBJECTS)


def test_hidden_files_are_passed_over(tmp_path, folders):
    for folder in ("a", "classes/a", "masks/a"):
        (tmp_path / folder / "._f1.png").write_bytes(b"notes of a file manager")
    coding = MaskCoding(classes=str(tmp_path / "classes"), void=(255,))
    _, records = load(tmp_path, folders, tmp_path / "masks", coding)
    assert [len(record["frames"]) for record in records] == [2, 2]


def test_exactly_one_coding():
    with pytest.raises(ValueError, match="0 were given"):
        MaskCoding()
    with pytest.raises(ValueError, match="2 were given"):
        MaskCoding(divisor=1000, classes="classes")
