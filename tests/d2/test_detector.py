import pytest
import torch

from dvps_d2.d2.detector import Selection, select_detections

SIZE = (100, 200)
HERE, NEARLY_HERE, THERE = [10.0, 10, 50, 50], [12.0, 10, 52, 50], [60.0, 10, 99, 50]


def select(boxes, probs, **rules):
    """``boxes``: one per proposal, for all classes; ``probs``: last column background."""
    found = select_detections(
        torch.tensor(boxes).view(-1, 1, 4),
        torch.tensor(probs).view(-1, 3),
        SIZE,
        Selection(**rules),
    )
    return [part.tolist() for part in found]


def test_every_sure_pair_of_box_and_class_is_a_candidate():
    boxes, scores, classes = select(
        [HERE, THERE], [[0.7, 0.1, 0.2], [0.1, 0.8, 0.1]], score_threshold=0.6
    )
    assert boxes == [THERE, HERE]
    assert scores == pytest.approx([0.8, 0.7])
    assert classes == [1, 0]


def test_background_and_doubt_are_dropped():
    assert select([HERE, THERE], [[0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]) == [[], [], []]


def test_suppression_over_all_classes_or_within_each():
    probs = [[0.7, 0.0, 0.3], [0.0, 0.9, 0.1]]
    assert select([HERE, NEARLY_HERE], probs)[2] == [1]
    assert select([HERE, NEARLY_HERE], probs, class_agnostic=False)[2] == [1, 0]


def test_boxes_end_at_the_image_and_the_surest_are_kept():
    probs = [[0.7, 0.0, 0.3], [0.9, 0.0, 0.1]]
    boxes, scores, _ = select([HERE, [150.0, -20, 400, 50]], probs, limit=1)
    assert boxes == [[150, 0, 200, 50]]
    assert scores == pytest.approx([0.9])


def test_no_proposals():
    assert select([], []) == [[], [], []]


def test_boxes_per_class():
    boxes = torch.tensor([[HERE, THERE]])
    found, _, classes = select_detections(boxes, torch.tensor([[0.1, 0.8, 0.1]]), SIZE, Selection())
    assert found.tolist() == [THERE]
    assert classes.tolist() == [1]
