"""The visualizers: what is coloured, and where. Pictures are not compared pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from detectron2.data import MetadataCatalog
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks
from detectron2.utils.colormap import colormap, random_color, random_colors
from detectron2.utils.visualizer import (
    ColorMode,
    GenericMask,
    Visualizer,
    _create_text_labels,
    _PanopticPrediction,
)

HEIGHT, WIDTH = 60, 80
SQUARE = np.array([20.0, 10, 50, 10, 50, 40, 20, 40])


@pytest.fixture
def metadata():
    name = "toy_visualizer_test"
    yield MetadataCatalog.get(name).set(
        thing_classes=["car", "person"],
        stuff_classes=["road", "sky"],
        thing_colors=[(255, 0, 0), (0, 255, 0)],
        stuff_colors=[(0, 0, 255), (200, 200, 0)],
        thing_dataset_id_to_contiguous_id={11: 1},
        label_divisor=1000,
    )
    MetadataCatalog.pop(name)


@pytest.fixture
def grey():
    return np.full((HEIGHT, WIDTH, 3), 100, dtype=np.uint8)


def square_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:40, 20:50] = True
    return mask


def test_colors():
    assert colormap().shape == (74, 3)
    assert (colormap(rgb=True) == colormap()[:, ::-1]).all()
    assert colormap(maximum=1).max() <= 1 < colormap().max() <= 255
    np.random.seed(0)
    first = random_color(rgb=True, maximum=1)
    np.random.seed(0)
    assert (random_color(rgb=True, maximum=1) == first).all()
    assert len({tuple(color) for color in random_colors(10)}) == 10


def test_text_labels():
    names = ["car", "person"]
    assert _create_text_labels(None, None, names) is None
    assert _create_text_labels([1, 0], None, names) == ["person", "car"]
    assert _create_text_labels([1], None, None) == ["1"]
    assert _create_text_labels(None, [0.876], names) == ["88%"]
    labels = _create_text_labels([1, 0], [0.5, 0.6], names, [1, 0])
    assert labels == ["person 50%|crowd", "car 60%"]


def test_panoptic_maps_are_taken_apart():
    seg = torch.tensor([[0, 1], [2, 2]])
    segments = [
        {"id": 1, "isthing": True, "category_id": 3},
        {"id": 2, "isthing": False, "category_id": 1},
    ]
    prediction = _PanopticPrediction(seg, segments)
    ((stuff, stuff_info),) = prediction.semantic_masks()
    ((thing, thing_info),) = prediction.instance_masks()
    assert stuff.tolist() == [[False, False], [True, True]]
    assert thing.tolist() == [[False, True], [False, False]]
    assert (stuff_info["area"], thing_info["area"]) == (2, 1)
    assert prediction.non_empty_mask().tolist() == [[False, True], [True, True]]


def test_panoptic_ids_with_a_divisor(metadata):
    prediction = _PanopticPrediction(torch.tensor([[-1, 1002], [3, 3]]), None, metadata)
    ((_, thing_info),) = prediction.instance_masks()
    ((_, stuff_info),) = prediction.semantic_masks()
    assert thing_info["category_id"] == 1
    assert stuff_info["category_id"] == 0


def test_generic_masks():
    pixels = np.array([[0, 1, 1], [0, 1, 1], [0, 0, 0]], dtype=np.uint8)
    mask = GenericMask(pixels, 3, 3)
    assert mask.area() == 4
    assert not mask.has_holes
    (outline,) = mask.polygons
    assert outline.reshape(-1, 2).min(0).tolist() == [1.5, 0.5]
    ring = np.ones((5, 5), dtype=np.uint8)
    ring[2, 2] = 0
    assert GenericMask(ring, 5, 5).has_holes
    drawn = GenericMask([np.array([0.0, 0, 2, 0, 2, 2, 0, 2])], 3, 3)
    assert drawn.mask.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert drawn.bbox().tolist() == [0, 0, 2, 2]
    assert GenericMask(np.zeros((3, 3), dtype=np.uint8), 3, 3).polygons == []


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_a_mask_is_coloured_inside_only(grey, scale):
    visualizer = Visualizer(grey, scale=scale)
    output = visualizer.draw_binary_mask(square_mask(), color=(1.0, 0, 0), alpha=0.5)
    picture = output.get_image()
    assert picture.shape == (int(HEIGHT * scale), int(WIDTH * scale), 3)
    assert picture.dtype == np.uint8
    inside = picture[int(25 * scale), int(35 * scale)].astype(int)
    assert np.abs(inside - [178, 50, 50]).max() <= 3  # half way from grey to red
    assert np.abs(picture[int(50 * scale), int(70 * scale)].astype(int) - 100).max() <= 1


def test_small_parts_are_left_out(grey):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[5:7, 5:7] = True
    picture = Visualizer(grey).draw_binary_mask(mask, color="r", area_threshold=100).get_image()
    assert np.abs(picture.astype(int) - 100).max() <= 1


def test_the_image_itself_is_not_changed(grey):
    visualizer = Visualizer(grey)
    visualizer.draw_binary_mask(square_mask(), color="r")
    assert (grey == 100).all()


def test_panoptic_colours_come_from_the_metadata(grey, metadata):
    seg = torch.zeros(HEIGHT, WIDTH, dtype=torch.int32)
    seg[30:] = 5
    seg[5:25, 10:60] = 7
    segments = [
        {"id": 5, "isthing": False, "category_id": 0},
        {"id": 7, "isthing": True, "category_id": 0, "score": 0.9},
    ]
    visualizer = Visualizer(grey, metadata)
    picture = visualizer.draw_panoptic_seg(seg, segments, alpha=0.7).get_image()
    assert picture[57, 3].argmax() == 2  # road is blue
    assert picture[22, 55].argmax() == 0  # car is red
    assert np.abs(picture[2, 75].astype(int) - 100).max() <= 1  # void
    name = Visualizer.draw_panoptic_seg_predictions
    assert name(Visualizer(grey, metadata), seg, segments).get_image().shape == picture.shape


def test_semantic_maps(grey, metadata):
    sem_seg = torch.full((HEIGHT, WIDTH), 255)
    sem_seg[:20] = 1
    picture = Visualizer(grey, metadata).draw_sem_seg(sem_seg, draw_text=False).get_image()
    assert picture[5, 5, 2] < 60  # yellow
    assert np.abs(picture[50, 5].astype(int) - 100).max() <= 1  # no such class


def test_instances_of_a_detector(grey, metadata):
    instances = Instances((HEIGHT, WIDTH))
    instances.pred_boxes = Boxes([[20, 10, 50, 40]])
    instances.pred_classes = torch.tensor([0])
    instances.scores = torch.tensor([0.9])
    instances.pred_masks = torch.from_numpy(square_mask())[None]
    visualizer = Visualizer(grey, metadata, instance_mode=ColorMode.SEGMENTATION)
    picture = visualizer.draw_instance_predictions(instances).get_image()
    assert picture[35, 45].argmax() == 0
    assert np.abs(picture[3, 75].astype(int) - 100).max() <= 1
    nothing = Visualizer(grey, metadata).draw_instance_predictions(
        Instances((HEIGHT, WIDTH), pred_boxes=Boxes([]), scores=[], pred_classes=torch.zeros(0))
    )
    assert np.abs(nothing.get_image().astype(int) - 100).max() <= 1


def test_a_grey_image_around_instances(metadata):
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[..., 0] = 90
    instances = Instances((HEIGHT, WIDTH), pred_masks=torch.from_numpy(square_mask())[None])
    visualizer = Visualizer(image, metadata, instance_mode=ColorMode.IMAGE_BW)
    picture = visualizer.draw_instance_predictions(instances).get_image()
    assert np.abs(picture[55, 75].astype(int) - 30).max() <= 1


@pytest.mark.parametrize(
    "masks",
    [
        pytest.param(PolygonMasks([[SQUARE]]), id="PolygonMasks"),
        pytest.param(BitMasks(torch.from_numpy(square_mask())[None]), id="BitMasks"),
        pytest.param([[SQUARE]], id="polygons"),
        pytest.param(square_mask()[None], id="array"),
    ],
)
def test_overlays_of_all_kinds_of_masks(grey, masks):
    picture = Visualizer(grey).overlay_instances(
        masks=masks, labels=["x"], assigned_colors=[(0, 1.0, 0)], alpha=0.5
    )
    assert picture.get_image()[38, 48].argmax() == 1


def test_primitives(grey):
    visualizer = Visualizer(grey)
    visualizer.draw_box((10, 10, 30, 30), alpha=1, edge_color="r")
    visualizer.draw_line([5, 75], [50, 50], color="b", linewidth=3)
    visualizer.draw_circle((60, 20), color=(0, 1.0, 0), radius=4)
    output = visualizer.draw_text("hello", (60, 35), color="w")
    picture = output.get_image().astype(int)
    assert picture[20, 10].argmax() == 0
    assert picture[50, 20].argmax() == 2
    assert picture[20, 60].argmax() == 1
    assert (picture[35:50, 45:75] != 100).any()
    assert visualizer.get_output() is output


def test_soft_masks(grey):
    soft = np.zeros((HEIGHT, WIDTH))
    soft[:30] = 1.0
    picture = Visualizer(grey).draw_soft_mask(soft, color=(1.0, 0, 0), alpha=0.5).get_image()
    assert picture[10, 10, 0] > 150
    assert np.abs(picture[50, 10].astype(int) - 100).max() <= 1


def test_records(grey, metadata, tmp_path):
    label = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    label[50:] = 0
    Image.fromarray(label).save(tmp_path / "label.png")
    record = {
        "annotations": [
            {
                "bbox": [20, 10, 30, 30],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": 1,
                "segmentation": [SQUARE.tolist()],
            }
        ],
        "sem_seg_file_name": str(tmp_path / "label.png"),
    }
    visualizer = Visualizer(grey, metadata, instance_mode=ColorMode.SEGMENTATION)
    picture = visualizer.draw_dataset_dict(record).get_image()
    assert picture[38, 48].argmax() == 1  # person is green
    assert picture[58, 5].argmax() == 2  # road is blue


def test_saving(grey, tmp_path):
    Visualizer(grey, scale=2.0).get_output().save(str(tmp_path / "x.png"))
    assert Image.open(tmp_path / "x.png").size == (2 * WIDTH, 2 * HEIGHT)
