import torch

from dvps_d2.structures import FrameSegments
from dvps_d2.testing import clip_of
from dvps_d2.tracker import ClassSorting, DetectionOrder, FlowIouMatching

CAR, BUS = 0, 1


def frame(*objects):
    """A frame of 32 x 64 pixels with full boxes of (left edge, score, class), 16 wide."""
    edges = [float(edge) for edge, _, _ in objects]
    return FrameSegments(
        boxes=torch.tensor([[x, 0, x + 15, 31] for x in edges]).view(-1, 4),
        scores=torch.tensor([float(score) for _, score, _ in objects]),
        class_ids=torch.tensor([kind for *_, kind in objects], dtype=torch.int64),
        mask_logits=torch.ones(len(objects), 4, 4),
        semantic_logits=torch.zeros(2, 8, 16),
        pyramid={},
    )


def ids(tracker, *frames):
    tracked, _ = tracker(frames, clip_of(len(frames), 32, 64), None)
    return [f.track_ids.tolist() for f in tracked]


def moved_by(pixels):
    """Flow of a camera under which everything was ``pixels`` further to the right before."""

    def flow(key, reference, pairs=None):
        field = torch.zeros(len(key), 2, *key.shape[-2:])
        field[:, 0] = pixels
        return field

    return flow


def test_detection_order_is_the_order_of_the_scores():
    seen = frame((0, 0.2, CAR), (20, 0.9, BUS), (40, 0.5, CAR))
    assert ids(DetectionOrder(), seen, frame()) == [[2, 0, 1], []]


def test_class_sorting_ranks_within_a_class():
    seen = frame((0, 0.2, CAR), (20, 0.9, BUS), (40, 0.5, CAR))
    assert ids(ClassSorting(), seen, frame()) == [[1, 0, 0], []]


def test_masks_are_followed_along_the_flow():
    before, after = frame((32, 1, CAR), (48, 1, CAR)), frame((16, 1, CAR), (32, 1, CAR))
    assert ids(FlowIouMatching(moved_by(16)), before, after) == [[0, 1], [0, 1]]
    # Without motion the second car lies where the first was.
    assert ids(FlowIouMatching(moved_by(0)), before, after) == [[0, 1], [2, 0]]


def test_another_class_or_an_empty_frame_starts_new_tracks():
    tracker = FlowIouMatching(moved_by(0))
    assert ids(tracker, frame((0, 1, CAR)), frame((0, 1, BUS))) == [[0], [1]]
    assert ids(tracker, frame((0, 1, CAR)), frame(), frame((0, 1, CAR))) == [[0], [], [1]]


def test_a_window_continues_the_one_before():
    tracker, clip = FlowIouMatching(moved_by(0)), clip_of(1, 32, 64)
    _, state = tracker([frame((0, 1, CAR), (32, 1, CAR))], clip, None)
    (after,), _ = tracker([frame((32, 1, CAR), (0, 1, CAR))], clip, state)
    assert after.track_ids.tolist() == [1, 0]
