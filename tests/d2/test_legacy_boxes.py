import math

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import build_anchor_generator

from dvps_d2.d2.legacy_boxes import LegacyBoxTransform, legacy_cell_anchors
from dvps_d2.layers.roi import last_pixels


def as_published(deltas, box):
    """Decode (4,) deltas of a box that ends on its last pixel."""
    (dx, dy, dw, dh), (x0, y0, x1, y1) = deltas, box
    width, height = x1 - x0 + 1, y1 - y0 + 1
    x, y = (x0 + x1) / 2 + width * dx, (y0 + y1) / 2 + height * dy
    width, height = width * math.exp(dw), height * math.exp(dh)
    return [
        x - width / 2 + 0.5, y - height / 2 + 0.5, x + width / 2 - 0.5, y + height / 2 - 0.5
    ]  # fmt: skip


def test_boxes_are_those_that_end_on_their_last_pixel():
    transform = LegacyBoxTransform((1, 1, 1, 1))
    box = torch.tensor([[0.0, 0, 10, 10]])  # ten pixels wide
    deltas = torch.tensor([[0.5, 0, math.log(2), 0]])
    moved = transform.apply_deltas(deltas, box)
    assert moved[0].tolist() == pytest.approx([0, 0, 20, 10])
    published = as_published(deltas[0].tolist(), [0, 0, 9, 9])
    assert last_pixels(moved)[0].tolist() == pytest.approx(published, abs=1e-5)


def test_deltas_and_boxes_are_inverse():
    transform = LegacyBoxTransform((10, 10, 5, 5))
    boxes, targets = torch.tensor([[3.0, 4, 20, 30]]), torch.tensor([[1.0, 8, 40, 25]])
    deltas = transform.get_deltas(boxes, targets)
    torch.testing.assert_close(transform.apply_deltas(deltas, boxes), targets)
    two = transform.apply_deltas(torch.cat([deltas, 0 * deltas], dim=1), boxes)
    torch.testing.assert_close(two, torch.cat([targets, boxes], dim=1))


@pytest.mark.parametrize("weight", [1.0, 5.0])
def test_sides_change_by_bounded_factors(weight):
    transform = LegacyBoxTransform((1, 1, weight, weight))
    for step, factor in ((9.0, 62.5), (-9.0, 1 / 62.5)):
        box = transform.apply_deltas(
            torch.tensor([[0, 0, step * weight, 0]]), torch.tensor([[0.0, 0, 10, 10]])
        )
        assert (box[0, 2] - box[0, 0]).item() == pytest.approx(10 * factor, rel=1e-4)


def test_no_boxes():
    assert LegacyBoxTransform((1, 1, 1, 1)).apply_deltas(
        torch.zeros(0, 32), torch.zeros(0, 4)
    ).shape == (0, 32)


def test_anchors_are_whole_pixels():
    """Published as -14..17, the last pixel: 32 wide."""
    assert legacy_cell_anchors([32], [1.0], 4).tolist() == [[-14, -14, 18, 18]]
    wide, _, tall = legacy_cell_anchors([32], [0.5, 1.0, 2.0], 4).tolist()
    assert wide == [-21, -9, 25, 13]
    assert tall == [-9, -21, 13, 25]


def test_detectron2_builds_them_by_name():
    cfg = get_cfg()
    cfg.MODEL.ANCHOR_GENERATOR.NAME = "LegacyAnchorGenerator"
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64]]
    generator = build_anchor_generator(cfg, [ShapeSpec(stride=4), ShapeSpec(stride=8)])
    fine, coarse = generator([torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)])
    assert generator.num_anchors == [3, 3]
    assert len(fine) == 12
    assert fine.tensor[4].tolist() == [-10, -14, 22, 18]  # one place to the right
    assert len(coarse) == 3
    assert not generator.state_dict()
