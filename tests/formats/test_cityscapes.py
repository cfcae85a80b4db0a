"""Cityscapes images, drawn by hand."""

import numpy as np
import pytest

from dvps_d2.formats import VOID, FormatError, FrameRecord, TreeError
from dvps_d2.formats.cityscapes import Cityscapes
from dvps_d2.formats.png import write_png

# Road (7), a caravan (29, void), a person (24) with number 1, ego vehicle (1, void), a group of
# trucks (27).
DRAWN = np.array([[7, 7, 29, 24001], [7, 1, 27, 24001]], dtype=np.uint16)
ROAD, PERSON, TRUCK = 0, 11, 14


@pytest.fixture
def tree(tmp_path):
    city = "aachen"
    image = np.zeros((2, 4, 3), dtype=np.uint8)
    for number in (19, 20):
        name = f"{city}_000003_{number:06d}_leftImg8bit.png"
        write_png(tmp_path / "leftImg8bit_sequence/val" / city / name, image)
    write_png(tmp_path / "leftImg8bit/val" / city / f"{city}_000003_000020_leftImg8bit.png", image)
    label = tmp_path / "gtFine/val" / city / f"{city}_000003_000020_gtFine_instanceIds.png"
    write_png(label, DRAWN)
    return tmp_path


def test_an_image_is_a_video_with_the_raw_frame_before_it(tree):
    (record,) = Cityscapes().load_records(tree, "val")
    assert record["video_id"] == "aachen_000003_000020"
    assert (record["height"], record["width"]) == (2, 4)
    assert [(f["frame_id"], f["labelled"]) for f in record["frames"]] == [(19, False), (20, True)]
    assert Cityscapes().recognises(tree)


def test_without_the_sequence_it_stands_alone(tree, caplog):
    (tree / "leftImg8bit_sequence/val/aachen/aachen_000003_000019_leftImg8bit.png").unlink()
    (record,) = Cityscapes().load_records(tree, "val")
    assert [f["frame_id"] for f in record["frames"]] == [20]
    assert "1 of 1 images have no frame before them" in caplog.text


def test_labels_are_classes_and_things_that_were_told_apart(tree):
    reader = Cityscapes()
    (record,) = reader.load_records(tree, "val")
    label = reader.read_panoptic(record["frames"][1])
    assert label.class_ids.tolist() == [[ROAD, ROAD, VOID, PERSON], [ROAD, VOID, VOID, PERSON]]
    assert label.track_ids.tolist() == [[0, 0, 0, 24001], [0, 0, 0, 24001]]
    assert label.problems(reader.categories) == []
    semantic = reader.read_semantic(record["frames"][1], label)
    assert semantic[1].tolist() == [ROAD, VOID, TRUCK, PERSON]


def test_what_is_wrong_is_named(tree):
    with pytest.raises(TreeError, match="gtFine"):
        Cityscapes().load_records(tree / "leftImg8bit", "val")
    image = tree / "leftImg8bit/val/aachen/aachen_000003_000020_leftImg8bit.png"
    image.unlink()
    with pytest.raises(TreeError, match="has no image"):
        Cityscapes().load_records(tree, "val")
    bad = tree / "bad.png"
    write_png(bad, np.full((1, 2), 34, dtype=np.uint16))
    frame = FrameRecord(
        file_name="x",
        frame_id=0,
        labelled=True,
        pan_seg_file_name=str(bad),
        segments_info=None,
        depth_file_name=None,
    )
    with pytest.raises(FormatError, match="holds 34 in 2 pixels"):
        Cityscapes().read_panoptic(frame)
