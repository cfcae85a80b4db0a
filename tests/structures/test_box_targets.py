import torch

from dvps_d2.structures import BoxTargets
from dvps_d2.testing import draw_targets

ROAD, CAR = 0, 1


def test_boxes_and_semantics_of_one_frame():
    clip = draw_targets(["aarr aarr .brr", "rrrr raar rrrr"], {"a": CAR, "b": CAR, "r": ROAD})
    first, second = (BoxTargets.from_clip(clip, t, {CAR}) for t in range(2))
    assert first.boxes.tolist() == [[0, 0, 2, 2], [1, 2, 2, 3]]
    assert second.boxes.tolist() == [[1, 1, 3, 2]]
    assert first.semantic.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [255, 1, 0, 0]]
    assert first.same_as(second).tolist() == [[True], [False]]


def test_a_frame_without_things():
    targets = BoxTargets.from_clip(draw_targets(["rr rr"], {"r": ROAD}), 0, {CAR})
    assert targets.boxes.shape == (0, 4)
    assert targets.masks.shape == (0, 2, 2)
    assert torch.equal(targets.same_as(targets), torch.zeros(0, 0, dtype=torch.bool))
