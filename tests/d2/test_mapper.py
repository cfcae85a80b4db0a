from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data import transforms as T

from dvps_d2.d2.data import ClipMapper, ClipSampling, WindowMapper
from dvps_d2.d2.data.augmentations import magnification
from dvps_d2.formats import FormatError
from dvps_d2.formats.png import write_png

ROAD, CAR, VOID = 0, 13000, 32000


@pytest.fixture
def record(tmp_path):
    """Three frames of 2 x 4 pixels: a road, a car (instance 7) that leaves, a void pixel."""
    frames = []
    labels = [
        [[ROAD, CAR + 7, CAR + 7, VOID], [ROAD] * 4],
        [[ROAD, ROAD, CAR + 7, CAR + 7], [ROAD] * 4],
        [[ROAD] * 4, [ROAD] * 4],
    ]
    for t, label in enumerate(labels):
        stem = tmp_path / f"000000_{t:06d}_toy_000000_{t:06d}"
        image = np.full((2, 4, 3), 10 * t, np.uint8)
        image[0, 1] = 200 + t
        write_png(f"{stem}_leftImg8bit.png", image)
        write_png(f"{stem}_gtFine_instanceTrainIds.png", np.array(label, np.uint16))
        depth = np.full((2, 4), 256 * 20, np.uint16)
        depth[0, 0] = 0
        write_png(f"{stem}_depth.png", depth)
        frames.append(
            {
                "file_name": f"{stem}_leftImg8bit.png",
                "frame_id": t,
                "labelled": True,
                "pan_seg_file_name": f"{stem}_gtFine_instanceTrainIds.png",
                "segments_info": None,
                "depth_file_name": f"{stem}_depth.png",
            }
        )
    MetadataCatalog.pop("toy_mapper", None)
    MetadataCatalog.get("toy_mapper").set(reader="cityscapes_dvps")
    return {
        "video_id": "000000", "height": 2, "width": 4, "frames": frames,
        "dataset_name": "toy_mapper",
    }  # fmt: skip


def test_a_clip_carries_segments_and_depth(record):
    mapper = ClipMapper([], ClipSampling(3, 2), with_depth=True)
    item = mapper(record, draw=0)
    targets = item["targets"]
    assert [frame["frame_id"] for frame in item["frames"]] == [0, 1, 2]
    assert item["frames"][1]["image"].shape == (3, 2, 4)
    assert (item["width"], item["height"]) == (4, 2)
    assert sorted(targets.class_ids.tolist()) == [0, 13]
    car = targets.masks[targets.class_ids.tolist().index(13)]
    assert car.long().tolist() == [
        [[0, 1, 1, 0], [0] * 4], [[0, 0, 1, 1], [0] * 4], [[0] * 4, [0] * 4],
    ]  # fmt: skip
    assert not targets.masks[:, 0, 0, 3].any()  # void belongs to nobody
    assert targets.depth[:, 0, 0].tolist() == [0, 0, 0]
    assert targets.depth[:, 1, 1].tolist() == [20, 20, 20]


def test_one_flip_for_image_label_and_depth(record):
    mapper = ClipMapper([T.RandomFlip(1.0)], ClipSampling(3, 2), with_depth=True)
    item = mapper(record, draw=0)
    assert [frame["image"][0, 0, 2].item() for frame in item["frames"]] == [200, 201, 202]
    car = item["targets"].masks[item["targets"].class_ids.tolist().index(13)]
    assert car[0, 0].long().tolist() == [0, 1, 1, 0]
    assert car[1, 0].long().tolist() == [1, 1, 0, 0]
    assert item["targets"].depth[0, 0].tolist() == [20, 20, 20, 0]


def test_a_larger_image_is_a_nearer_camera(record):
    resize = [T.ResizeTransform(2, 4, 4, 8)]
    near = ClipMapper(resize, ClipSampling(), with_depth=True)(record, draw=0)
    same = ClipMapper(resize, ClipSampling(), with_depth=True, scale_depth=False)(record, draw=0)
    assert near["targets"].depth.unique().tolist() == [0, 10]
    assert same["targets"].depth.unique().tolist() == [0, 20]
    assert magnification(T.TransformList(resize)) == 2


def test_scaled_depth_can_be_bound_to_the_range_of_its_map(record):
    resize = [T.ResizeTransform(2, 4, 4, 8)]
    mapper = ClipMapper(resize, ClipSampling(), with_depth=True, bound_depth=True)
    depth = mapper(record, draw=0)["targets"].depth  # 20 m everywhere: 10 m is below the least
    assert depth.unique().tolist() == [0, 20]


def test_a_segment_cropped_away_is_no_target(record):
    mapper = ClipMapper([T.CropTransform(0, 1, 4, 1)], ClipSampling(2, 1))
    assert mapper(record, draw=0)["targets"].class_ids.tolist() == [0]


def test_the_same_draw_gives_the_same_clip(record):
    augmentations = [T.RandomFlip(), T.RandomBrightness(0.5, 1.5), T.RandomCrop("absolute", (1, 3))]
    mapper = ClipMapper(augmentations, ClipSampling(2, 1), with_depth=True, seed=3)
    first, again, other = (mapper(record, draw=draw) for draw in (11, 11, 12))
    assert torch.equal(first["frames"][0]["image"], again["frames"][0]["image"])
    assert torch.equal(first["targets"].masks, again["targets"].masks)
    draws = [mapper(record, draw=draw) for draw in range(20)]
    assert len({item["frames"][0]["frame_id"] for item in draws}) > 1
    assert any(
        not torch.equal(first["frames"][0]["image"], item["frames"][0]["image"]) for item in draws
    )
    assert other["video_id"] == "000000"


def test_mapping_leaves_the_global_generators_alone(record):
    before = np.random.get_state()[1]  # noqa: NPY002
    ClipMapper([T.RandomFlip()], ClipSampling())(record, draw=0)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("frames", "distance", "labelled", "possible"),
    [
        (1, 2, [4, 9], {(4,), (9,)}),
        (2, 1, [0, 1, 2], {(0, 1), (1, 2)}),
        (3, 1, [0], {(0, 0, 0)}),
        (3, 1, [0, 1], {(0, 0, 1), (0, 1, 1)}),
    ],
    ids=["key only", "neighbours", "lone frame repeats", "too few repeat"],
)
def test_sampling(frames, distance, labelled, possible):
    sampling = ClipSampling(frames, distance)
    rng = np.random.default_rng(0)
    drawn = [sampling.draw(labelled, rng).places for _ in range(60)]
    assert {tuple(labelled[place] for place in places) for places in drawn} == possible


def test_a_video_without_labels_is_named(record):
    for frame in record["frames"]:
        frame["labelled"] = False
    with pytest.raises(ValueError, match="video '000000' of toy_mapper has no labelled frame"):
        ClipMapper([], ClipSampling())(record, draw=0)


def test_label_of_another_size_is_named(record):
    write_png(record["frames"][0]["pan_seg_file_name"], np.zeros((3, 5), np.uint16))
    with pytest.raises(ValueError, match="_gtFine_instanceTrainIds.png is 5 x 3"):
        ClipMapper([], ClipSampling(3, 2))(record, draw=0)


@pytest.mark.parametrize("content", [None, b"not a picture", "half"])
def test_an_unreadable_image_is_named(record, content):
    path = Path(record["frames"][1]["file_name"])
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50] if content == "half" else content)
    for map_it in (
        lambda: ClipMapper([], ClipSampling(3, 2))(record, draw=0),
        lambda: WindowMapper([])({**record, "is_first": True, "is_last": True}),
    ):
        with pytest.raises(FormatError, match=f"{path.name} is not a readable image"):
            map_it()


def test_frames_of_two_sizes_are_named(record):
    write_png(record["frames"][2]["file_name"], np.zeros((2, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="_000002_leftImg8bit.png is 5 x 2, but .* is 4 x 2"):
        ClipMapper([], ClipSampling(3, 2))(record, draw=0)


def test_windows_keep_output_size_and_resize_the_image(record):
    mapper = WindowMapper([T.ResizeShortestEdge(4, 100)])
    item = mapper({**record, "position": 0, "is_first": True, "is_last": True})
    assert item["frames"][2]["image"].shape == (3, 4, 8)
    assert (item["frames"][2]["height"], item["frames"][2]["width"]) == (2, 4)
    assert item["is_last"]
