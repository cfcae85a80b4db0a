"""VideoVisualizer: colours follow objects."""

import numpy as np
import pytest
import torch

from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances
from detectron2.utils.video_visualizer import VideoVisualizer
from detectron2.utils.visualizer import ColorMode

FRAME = np.full((60, 80, 3), 100, dtype=np.uint8)


@pytest.fixture
def visualizer():
    name = "toy_video_visualizer_test"
    metadata = MetadataCatalog.get(name).set(thing_classes=["car"], stuff_classes=["road"])
    metadata.stuff_colors = [(0, 0, 255)]
    yield VideoVisualizer(metadata)
    MetadataCatalog.pop(name)


def panoptic(left: int, segment_id: int) -> tuple[torch.Tensor, list[dict]]:
    seg = torch.zeros(60, 80, dtype=torch.int32)
    seg[40:] = 1
    seg[5:35, left : left + 30] = segment_id
    return seg, [
        {"id": 1, "isthing": False, "category_id": 0},
        {"id": segment_id, "isthing": True, "category_id": 0},
    ]


def test_a_moving_object_keeps_its_colour(visualizer):
    pictures = []
    for left in (10, 13, 16):
        picture = visualizer.draw_panoptic_seg_predictions(FRAME, *panoptic(left, 10 + left))
        pictures.append(picture.get_image().astype(int))
    inside = [picture[8, 26] for picture in pictures]
    assert np.abs(inside[1] - inside[0]).max() <= 2
    assert np.abs(inside[2] - inside[0]).max() <= 2
    assert pictures[0][55, 70].argmax() == 2  # the road is blue


def test_detections(visualizer):
    for step in range(2):
        instances = Instances((60, 80))
        instances.pred_boxes = Boxes([[10 + step, 10, 40 + step, 40]])
        instances.pred_classes = torch.tensor([0])
        instances.scores = torch.tensor([0.5])
        picture = visualizer.draw_instance_predictions(FRAME, instances).get_image()
        assert (picture != 100).any()
    empty = Instances((60, 80), pred_boxes=Boxes([]), pred_classes=torch.zeros(0), scores=[])
    picture = visualizer.draw_instance_predictions(FRAME, empty).get_image()
    assert np.abs(picture.astype(int) - 100).max() <= 1


def test_semantic_maps(visualizer):
    picture = visualizer.draw_sem_seg(FRAME, torch.zeros(60, 80).long()).get_image()
    assert picture[55, 75].argmax() == 2


def test_colours_cannot_mean_classes(visualizer):
    with pytest.raises(AssertionError):
        VideoVisualizer(visualizer.metadata, ColorMode.SEGMENTATION)
