"""Sampling at points, and the colour jitter."""

import random

import numpy as np
import pytest
import torch

from detectron2.config import get_cfg
from detectron2.projects.point_rend import ColorAugSSDTransform, add_pointrend_config
from detectron2.projects.point_rend.point_features import (
    generate_regular_grid_point_coords,
    get_point_coords_wrt_image,
    get_uncertain_point_coords_on_grid,
    get_uncertain_point_coords_with_randomness,
    point_sample,
    point_sample_fine_grained_features,
)
from detectron2.structures import Boxes


def test_sampled_values_equal_the_recorded_ones(read_records, wave):
    record = read_records("b_projects")["point_rend"]["point_sample"]
    points = (wave((2, 4, 2), 1) + 1) / 2
    sampled = point_sample(wave((2, 3, 5, 6)), points, align_corners=False)
    np.testing.assert_allclose(sampled, record["output"], rtol=1e-7)


def test_pixel_centres_and_grids_of_points():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    centres = torch.tensor([[[1 / 6, 0.25], [5 / 6, 0.75], [2.0, 2.0]]])
    sampled = point_sample(image, centres, align_corners=False)
    assert sampled.flatten().tolist() == pytest.approx([0, 5, 0], abs=1e-5)
    grid = centres[:, :2].reshape(1, 1, 2, 2)
    assert point_sample(image, grid, align_corners=False).shape == (1, 1, 1, 2)


def test_uncertain_points_equal_the_recorded_ones(read_records, wave):
    record = read_records("b_projects")["point_rend"]
    expected = record["get_uncertain_point_coords_with_randomness"]["output"]
    torch.manual_seed(0)
    logits = wave((2, 1, 6, 7), 0, 3, torch.float32)
    points = get_uncertain_point_coords_with_randomness(logits, lambda x: -x.abs(), 8, 3, 0.75)
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-7)


def test_shares_of_uncertain_points_at_the_ends():
    logits = torch.zeros(1, 1, 4, 4)
    for share in (0.0, 1.0):
        points = get_uncertain_point_coords_with_randomness(logits, lambda x: -x.abs(), 5, 1, share)
        assert points.shape == (1, 5, 2)
    for ratio, share in ((0.5, 0.5), (1, 1.5)):
        with pytest.raises(AssertionError):
            get_uncertain_point_coords_with_randomness(logits, torch.neg, 5, ratio, share)


def test_uncertain_pixels_equal_the_recorded_ones(read_records, wave):
    record = read_records("b_projects")["point_rend"]["get_uncertain_point_coords_on_grid"]
    indices, points = get_uncertain_point_coords_on_grid(wave((1, 1, 4, 5)), 3)
    assert indices.tolist() == record["indices"]
    np.testing.assert_allclose(points, record["coords"], rtol=1e-6)
    indices, _ = get_uncertain_point_coords_on_grid(torch.zeros(2, 1, 2, 2), 9)
    assert indices.shape == (2, 4)


def test_regular_grid():
    points = generate_regular_grid_point_coords(2, 2, torch.device("cpu"))
    assert points[1].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_points_within_boxes():
    boxes = torch.tensor([[10.0, 20, 30, 60]])
    points = torch.tensor([[[0.0, 0.0], [0.5, 0.25]]])
    assert get_point_coords_wrt_image(boxes, points).tolist() == [[[10, 20], [20, 30]]]


def test_features_at_points_of_boxes_of_two_images():
    x = torch.arange(8.0).expand(2, 1, 4, 8) + torch.tensor([0.0, 100.0]).view(2, 1, 1, 1)
    boxes = [Boxes(torch.tensor([[0.0, 0, 16, 8]])), Boxes(torch.tensor([[8.0, 0, 16, 8]]))]
    middle = torch.full((2, 1, 2), 0.5)
    features, points = point_sample_fine_grained_features([x, x * 2], [0.5, 0.5], boxes, middle)
    assert points.tolist() == [[[8, 4]], [[12, 4]]]
    # x / 2 - 0.5 in feature pixels: 3.5 and 5.5.
    assert features.squeeze(2).tolist() == [[3.5, 7.0], [105.5, 211.0]]


def recorded_image():
    y, x, k = np.meshgrid(np.arange(37), np.arange(53), np.arange(3), indexing="ij")
    return ((7 * y + 13 * x + 29 * k + 5 * ((x * y) % 17)) % 256).astype(np.uint8)


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize("seed", range(5))
def test_jittered_colours_equal_the_recorded_ones(read_records, image_format, seed):
    cases = read_records("b_projects")["color_aug_ssd"]["cases"]
    record = cases[f"random.seed({seed}) {image_format}"]
    random.seed(seed)
    image = ColorAugSSDTransform(img_format=image_format).apply_image(recorded_image())
    assert list(image.shape) == record["shape"]
    assert str(image.dtype) == record["dtype"]
    # OpenCV's HSV differs by one between versions.
    assert image.astype(float).sum() == pytest.approx(record["sum"], abs=image.size)
    assert image.flatten()[:8].tolist() == pytest.approx(record["first"], abs=1)


def test_jitter_leaves_the_rest_alone_and_draws_anew_each_time():
    jitter = ColorAugSSDTransform("BGR")
    coords, labels = np.ones((2, 2)), np.ones((3, 3), np.uint8)
    assert jitter.apply_coords(coords) is coords
    assert jitter.apply_segmentation(labels) is labels
    random.seed(0)
    results = [jitter.apply_image(recorded_image()) for _ in range(4)]
    assert any((results[0] != other).any() for other in results[1:])
    with pytest.raises(AssertionError):
        ColorAugSSDTransform("L")


def test_defaults():
    cfg = get_cfg()
    add_pointrend_config(cfg)
    assert cfg.INPUT.COLOR_AUG_SSD is False
    assert cfg.MODEL.ROI_MASK_HEAD.OUTPUT_SIDE_RESOLUTION == 7
    assert cfg.MODEL.ROI_MASK_HEAD.IN_FEATURES == ("p2",)
    head = cfg.MODEL.POINT_HEAD
    assert (head.TRAIN_NUM_POINTS, head.SUBDIVISION_NUM_POINTS) == (196, 784)
    assert (head.OVERSAMPLE_RATIO, head.IMPORTANCE_SAMPLE_RATIO) == (3, 0.75)
    assert cfg.MODEL.IMPLICIT_POINTREND.PARAMS_L2_REGULARIZER == 1e-5
