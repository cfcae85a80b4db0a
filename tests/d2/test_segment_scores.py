import torch

from dvps_d2.d2.submission import segment_scores


def test_a_score_stands_at_a_pixel_of_its_segment():
    ids = torch.tensor([[0, 4, 4], [7, 7, 4]])
    info = [{"id": 4, "score": 0.75}, {"id": 7, "score": 0.123456}, {"id": 9, "score": 1.0}]
    assert segment_scores(ids, info) == [[1, 0, 0.75], [0, 1, 0.1235]]


def test_segments_without_a_score_are_left_out():
    assert segment_scores(torch.tensor([[4]]), [{"id": 4}]) == []


def test_large_frames_are_looked_at_coarsely():
    ids = torch.zeros(1024, 16, dtype=torch.int32)
    ids[512:, 8:] = 3
    ids[1, 1] = 5  # a single pixel between those that are looked at
    found = segment_scores(ids, [{"id": 3, "score": 0.5}, {"id": 5, "score": 0.5}])
    assert found == [[8, 512, 0.5]]
