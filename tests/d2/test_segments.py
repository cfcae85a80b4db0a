import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data import transforms as T

from dvps_d2.d2.data import ClipMapper, ClipSampling
from dvps_d2.d2.data.segments import number_segments
from dvps_d2.formats import READERS, PanopticLabel, class_table
from dvps_d2.formats.png import write_png
from dvps_d2.formats.records import frame_record

ROAD, CAR, VOID = 0, 13, 255


def label(classes, tracks):
    return PanopticLabel(np.array(classes, np.uint8), np.array(tracks, np.int32))


@pytest.mark.parametrize(
    ("crowd", "segments", "second"),
    [("drop", [(ROAD, 0), (CAR, 7)], [2, 0, 0, 1]), ("segment", None, [3, 2, 0, 1])],
)
def test_crowds_are_void_or_one_segment(crowd, segments, second):
    labels = [
        label([[ROAD, ROAD, CAR, CAR]], [[0, 0, 7, 7]]),
        label([[CAR, CAR, VOID, ROAD]], [[7, 0, 0, 0]]),
    ]
    numbered = number_segments(labels, class_table("cityscapes"), crowd=crowd)
    found = list(zip(numbered.class_ids.tolist(), numbered.track_ids.tolist(), strict=True))
    assert found == (segments or [(ROAD, 0), (CAR, 0), (CAR, 7)])
    assert numbered.maps[1].tolist() == [second]


def test_more_segments_than_a_byte_counts():
    tracks = np.arange(1, 601, dtype=np.int32).reshape(20, 30)
    numbered = number_segments(
        [label(np.full((20, 30), CAR), tracks)], class_table("cityscapes"), crowd="drop"
    )
    assert np.array_equal(numbered.maps[0], tracks)
    assert numbered.track_ids.tolist() == list(range(1, 601))


# Two frames of 2 x 6 pixels in panoptic_inst coding: car 13007 is in the first only, person
# 11000 (object 0) in both; one pixel of a crowd of cars; the last column is void.
FIRST = [[0, 13007, 13007, 11000, 255, 255], [0, 13007, 13007, 0, 0, 255]]
SECOND = [[0, 0, 0, 0, 11000, 255], [0, 0, 0, 0, 0, 255]]
CROWD = (0, 4)


@pytest.fixture
def record(tmp_path):
    MetadataCatalog.pop("toy_boxes", None)
    MetadataCatalog.get("toy_boxes").set(reader="cityscapes_vps")
    frames = []
    for t, values in enumerate((FIRST, SECOND)):
        values = np.array(values, np.uint16)
        classes = np.where(values >= 1000, values // 1000, values).astype(np.uint8)
        if t == 0:
            classes[CROWD] = CAR
        name = f"0001_{t + 1:04d}_toy_000000_{t:06d}"
        image, target = f"{name}_newImg8bit.png", f"{name}_final_mask.png"
        write_png(tmp_path / "train/img" / image, np.full((2, 6, 3), t, np.uint8))
        write_png(tmp_path / "train/panoptic_inst" / target, values)
        write_png(tmp_path / "train/labelmap" / target, classes)
        path = tmp_path / "train/panoptic_inst" / target
        frames.append(frame_record(tmp_path / "train/img" / image, 5 * t + 4, label=path))
    return {
        "video_id": "0001", "height": 2, "width": 6, "frames": frames, "dataset_name": "toy_boxes",
    }  # fmt: skip


def both_frames(record, augmentations=(), **settings):
    mapper = ClipMapper(list(augmentations), ClipSampling(2, 1), with_boxes=True, **settings)
    return mapper(record, draw=0)


def test_boxes_and_published_instance_ids(record):
    first, second = (frame["instances"] for frame in both_frames(record)["frames"])
    assert first.gt_track_ids.tolist() == [11000, 13007]
    assert first.gt_classes.tolist() == [0, 2]  # person and car among the eight things
    assert first.gt_boxes.tensor.tolist() == [[3, 0, 4, 1], [1, 0, 3, 2]]
    assert first.gt_masks.tensor[1].long().tolist() == [[0, 1, 1, 0, 0, 0]] * 2
    assert second.gt_track_ids.tolist() == [11000]
    assert second.gt_boxes.tensor.tolist() == [[4, 0, 5, 1]]


def test_vanished_things_stay_with_an_id_of_their_own(record):
    item = both_frames(record, keep_vanished=True)
    first, second = (frame["instances"] for frame in item["frames"])
    assert first.gt_track_ids.tolist() == [11000, 13007]
    assert second.gt_track_ids.tolist() == [11000, -1]
    assert second.gt_classes.tolist() == [0, 2]
    assert second.gt_boxes.tensor[1].tolist() == [0, 0, 0, 0]
    assert item["targets"].masks.shape == (3, 2, 2, 6)  # road, person, car: empty masks stay
    assert not item["targets"].masks[2, 1].any()


def test_a_crowd_has_a_class_and_no_box_and_void_has_neither(record):
    item = both_frames(record)
    semantic = item["frames"][0]["sem_seg"]
    assert semantic.tolist() == [[0, 13, 13, 11, 13, 255], [0, 13, 13, 0, 0, 255]]
    assert not item["targets"].masks[:, 0, 0, 4].any()
    assert READERS["cityscapes_vps"].read_panoptic(record["frames"][0]).class_ids[CROWD] == VOID


def test_without_a_labelmap_classes_come_from_the_panoptic_label(record, tmp_path):
    for path in (tmp_path / "train/labelmap").iterdir():
        path.unlink()
    assert both_frames(record)["frames"][0]["sem_seg"][CROWD] == VOID


def test_one_transform_for_everything_in_a_clip(record):
    item = both_frames(record, [T.HFlipTransform(6), T.CropTransform(1, 0, 4, 2)])
    first, second = (frame["instances"] for frame in item["frames"])
    assert first.image_size == (2, 4)
    assert first.gt_boxes.tensor.tolist() == [[1, 0, 2, 1], [2, 0, 4, 2]]
    assert second.gt_boxes.tensor.tolist() == [[0, 0, 1, 1]]
    assert item["frames"][0]["sem_seg"].tolist() == [[13, 11, 13, 13], [0, 0, 13, 13]]
    assert torch.equal(item["frames"][1]["sem_seg"] == 11, item["targets"].masks[1, 1])


def test_frames_without_anything_are_kept(record):
    for frame in record["frames"]:
        write_png(frame["pan_seg_file_name"], np.full((2, 6), VOID, np.uint16))
    item = both_frames(record, keep_vanished=True)
    assert item["targets"].masks.shape == (0, 2, 2, 6)
    assert [len(frame["instances"]) for frame in item["frames"]] == [0, 0]
    assert item["frames"][0]["instances"].gt_boxes.tensor.shape == (0, 4)


def test_a_clip_without_things_is_drawn_again(record):
    # Columns 0 to 2 hold no thing in the second frame; columns 3 to 5 hold one in both.
    crops = [T.RandomCrop("absolute", (2, 3))]
    once = [len(both_frames(record, crops, seed=s)["frames"][1]["instances"]) for s in range(20)]
    assert 0 in once
    again = [
        [len(f["instances"]) for f in both_frames(record, crops, seed=s, redraws=50)["frames"]]
        for s in range(20)
    ]
    assert all(min(counts) > 0 for counts in again)


def test_the_key_frame_is_marked(record):
    mapper = ClipMapper([], ClipSampling(2, 1, direction="past"))
    items = [mapper(record, draw) for draw in range(20)]
    keys = {(i["frames"][i["key_frame"]]["frame_id"], i["frames"][0]["frame_id"]) for i in items}
    assert keys == {(4, 4), (9, 4)}


def test_the_crowd_rule_is_checked():
    with pytest.raises(ValueError, match=r"INPUT\.CROWD='hide' is none of drop, segment"):
        ClipMapper([], ClipSampling(), crowd="hide")


def test_a_clip_leaves_the_loader_as_numbers(record):
    maps = both_frames(record)["targets"]
    assert maps.numbers.dtype == torch.uint8
    assert maps.numbers[0].tolist() == [[1, 3, 3, 2, 0, 0], [1, 3, 3, 1, 1, 0]]
    assert maps.class_ids.tolist() == [ROAD, 11, CAR]
    targets = maps.expand()
    assert torch.equal(targets.masks, maps.masks)
    assert targets.masks.dtype == torch.bool
    assert targets.masks.flatten(2).sum(-1).tolist() == [[4, 9], [1, 1], [4, 0]]
    assert targets.depth is None


def test_more_than_255_segments_in_a_clip(record):
    tracks = CAR * 1000 + np.arange(400, dtype=np.uint16).reshape(20, 20)
    for frame in record["frames"]:
        write_png(frame["file_name"], np.zeros((20, 20, 3), np.uint8))
        write_png(frame["pan_seg_file_name"], tracks)
    maps = ClipMapper([], ClipSampling())(record, draw=0)["targets"]
    assert maps.track_ids.tolist() == (13000 + np.arange(400)).tolist()
    assert maps.masks.flatten(1).sum(1).tolist() == [1] * 400
