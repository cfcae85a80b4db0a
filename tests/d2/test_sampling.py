from itertools import islice

import pytest

from dvps_d2.d2.data import ClipBatchSampler, VideoSampler


def take(sampler, count):
    return list(islice(sampler, count))


def test_every_video_is_drawn_once_per_pass():
    batches = take(ClipBatchSampler(6, 2, seed=0), 6)
    videos = [video for batch in batches for video, _ in batch]
    assert sorted(videos[:6]) == sorted(videos[6:]) == list(range(6))
    assert videos[:6] != videos[6:]
    assert [draw for batch in batches for _, draw in batch] == list(range(12))


def test_a_resumed_stream_continues_the_uninterrupted_one():
    whole = take(ClipBatchSampler(5, 3, seed=7), 10)
    assert take(ClipBatchSampler(5, 3, seed=7, start_batch=4), 6) == whole[4:]


def test_seeds_differ():
    assert take(ClipBatchSampler(50, 5, seed=0), 2) != take(ClipBatchSampler(50, 5, seed=1), 2)


def test_processes_share_the_batch(monkeypatch):
    alone = take(ClipBatchSampler(5, 4, seed=3), 3)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 2)
        monkeypatch.setattr("detectron2.utils.comm.get_rank", lambda rank=rank: rank)
        shares.append(take(ClipBatchSampler(5, 4, seed=3), 3))
    assert [a + b for a, b in zip(*shares, strict=True)] == alone


def test_a_batch_that_does_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: 3)
    with pytest.raises(ValueError, match="IMS_PER_BATCH=4 must be a positive multiple"):
        ClipBatchSampler(5, 4, seed=0)


def window(video_id, frames):
    return {"video_id": video_id, "frames": [None] * frames}


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (1, [[0, 1, 2, 3, 4]]),
        # "a" has 5 frames; "b" and "c" with 2 and 1 balance it.
        (2, [[0, 1], [2, 3, 4]]),
        (4, [[0, 1], [2, 3], [4], []]),
    ],
)
def test_videos_stay_whole_and_are_balanced(monkeypatch, world, expected):
    windows = [window("a", 3), window("a", 2), window("b", 1), window("b", 1), window("c", 1)]
    monkeypatch.setattr("detectron2.utils.comm.get_world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr("detectron2.utils.comm.get_rank", lambda rank=rank: rank)
        sampler = VideoSampler(windows)
        assert list(sampler) == expected[rank]
        assert len(sampler) == len(expected[rank])
