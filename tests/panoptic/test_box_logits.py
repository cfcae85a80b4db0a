import json
from pathlib import Path

import pytest
import torch

from dvps_d2.panoptic.box_logits import panoptic_logits, paste_masks, semantic_terms

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "upsnet_terms.json").read_text())
STUFF = range(11)


def wave(shape, phase=0.0):
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(0.37 * k**1.1 + phase).reshape(shape)


def test_the_published_terms_are_reproduced():
    semantic, masks = wave((19, 12, 20)), wave((2, 28, 28), 2)
    boxes = torch.tensor([[4.0, 8, 31, 40], [30, 3, 70, 44]])
    class_ids = torch.tensor([11, 13])
    parts = {
        "stuff": semantic[list(STUFF)],
        "inst": semantic_terms(semantic, boxes, class_ids),
        "mask": paste_masks(masks, boxes, (12, 20)),
    }
    for name, record in RECORDS.items():
        assert [1, *parts[name].shape] == record["shape"]
        assert parts[name].sum().item() == pytest.approx(record["sum"], abs=2e-6), name
        assert parts[name].abs().sum().item() == pytest.approx(record["abs"], abs=2e-6), name
    whole = panoptic_logits(semantic, masks, boxes, class_ids, STUFF)
    torch.testing.assert_close(whole, torch.cat([parts["stuff"], parts["inst"] + parts["mask"]]))


def test_terms_are_drawn_in_their_box():
    semantic = torch.arange(3.0).view(3, 1, 1).expand(3, 2, 4)
    boxes = torch.tensor([[4.0, 0, 8, 4]])  # cells 1..2, rows 0..1
    logits = panoptic_logits(
        semantic, torch.full((1, 2, 2), 10.0), boxes, torch.tensor([2]), [0, 1]
    )
    assert logits[2].tolist() == [[0, 12, 12, 0], [0, 12, 12, 0]]
    assert logits[0].unique().tolist() == [0]
    assert logits[1].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param([-8, -8, 4, 4], [[1, 1, 0], [1, 1, 0]], id="over the upper left corner"),
        pytest.param([8, 4, 40, 40], [[0, 0, 0], [0, 0, 1]], id="over the lower right corner"),
        pytest.param([-40, -40, -20, -20], [[0, 0, 0], [0, 0, 0]], id="before the image"),
        pytest.param([400, 0, 420, 4], [[0, 0, 0], [0, 0, 0]], id="behind the image"),
        pytest.param([4, 0, 4, 0], [[0, 1, 0], [0, 0, 0]], id="without extent"),
    ],
)
def test_boxes_that_leave_the_image_are_cut(box, expected):
    pasted = paste_masks(torch.ones(1, 4, 4), torch.tensor([box]).float(), (2, 3))
    assert pasted[0].tolist() == expected
    terms = semantic_terms(torch.ones(1, 2, 3), torch.tensor([box]).float(), torch.tensor([0]))
    assert terms.shape == (1, 2, 3)


def test_without_boxes_only_stuff_is_left():
    empty = torch.zeros(0, 4)
    logits = panoptic_logits(
        torch.ones(3, 2, 2),
        torch.zeros(0, 28, 28),
        empty,
        torch.zeros(0, dtype=torch.int64),
        [0, 2],
    )
    assert logits.shape == (2, 2, 2)


def test_gradients_reach_masks_and_semantics():
    semantic = torch.zeros(2, 2, 4, requires_grad=True)
    masks = torch.zeros(1, 2, 2, requires_grad=True)
    boxes = torch.tensor([[4.0, 0, 8, 4]])
    logits = panoptic_logits(semantic, masks, boxes, torch.tensor([1]), [0])
    logits[1].sum().backward()
    assert masks.grad.sum() == 4
    assert semantic.grad[1].tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]
