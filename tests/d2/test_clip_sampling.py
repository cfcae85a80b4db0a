import numpy as np
import pytest

from dvps_d2.d2.data import ClipSampling


def clips(sampling, frame_ids, draws=300):
    """Clips that come out of a video, as frame numbers with the key frame first."""
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(draws):
        places, key = sampling.draw(frame_ids, rng)
        frames = [frame_ids[place] for place in places]
        found.add((frames[key], *frames))
    return found


CITYSCAPES_VPS = [4, 9, 14, 19, 24, 29]


@pytest.mark.parametrize(
    ("settings", "frame_ids", "expected"),
    [
        pytest.param({}, [3], {(3, 3, 3, 3)}, id="one frame: repeated"),
        pytest.param(
            {"num_frames": 2, "max_distance": 1},
            [4, 9, 14],
            {(4, 4, 9), (9, 4, 9), (9, 9, 14), (14, 9, 14)},
            id="VPSNet on Cityscapes-VPS: the annotated frame before or after",
        ),
        pytest.param(
            {"num_frames": 2, "max_distance": 5, "unit": "number"},
            [4, 9, 14],
            {(4, 4, 9), (9, 4, 9), (9, 9, 14), (14, 9, 14)},
            id="the same in video frames",
        ),
        pytest.param(
            {"num_frames": 2, "max_distance": 1, "direction": "past"},
            [0, 1, 2],
            {(0, 0, 0), (1, 0, 1), (2, 1, 2)},
            id="the past; the first frame has only itself",
        ),
        pytest.param(
            {"num_frames": 2, "max_distance": 1, "direction": "future"},
            [0, 1, 2],
            {(0, 0, 1), (1, 1, 2), (2, 2, 2)},
            id="the future",
        ),
        pytest.param(
            {"num_frames": 2, "offsets": (-2, 2), "unit": "number"},
            [1, 2, 3, 4, 5],
            {(1, 1, 3), (2, 2, 4), (3, 1, 3), (3, 3, 5), (4, 2, 4), (5, 3, 5)},
            id="SiamTrack: exact offsets",
        ),
        pytest.param(
            {"num_frames": 2, "offsets": (-10, 10), "unit": "number"},
            [1, 2, 3],
            {(1, 1, 3), (2, 1, 2), (2, 2, 3), (3, 1, 3)},
            id="offsets longer than the video: as far as it goes",
        ),
        pytest.param(
            {"num_frames": 2, "max_distance": 2, "unit": "number"},
            [0, 100, 300],
            {(0, 0, 100), (100, 0, 100), (300, 100, 300)},
            id="frames further apart than the range: the nearest",
        ),
        pytest.param(
            {"num_frames": 3, "max_distance": 1},
            [0, 1, 2, 3],
            {(1, 0, 1, 2), (2, 1, 2, 3)},
            id="all within the range: every stretch",
        ),
        pytest.param(
            {"num_frames": 3, "max_distance": 1, "method": "published"},
            [0, 1, 2, 3],
            {(1, 0, 1, 2)},
            id="as published never the last stretch",
        ),
        pytest.param(
            {"num_frames": 2, "max_distance": 1, "reverse": 1.0},
            [0, 1],
            {(0, 1, 0), (1, 1, 0)},
            id="backwards",
        ),
    ],
)
def test_clips_of_a_short_video(settings, frame_ids, expected):
    settings = {"num_frames": 3, "max_distance": 2} | settings
    assert clips(ClipSampling(**settings), frame_ids) == expected


@pytest.mark.parametrize(("frames", "distance"), [(5, 2), (21, 10)])
def test_vipseg_clips_are_stretches_and_every_one_has_its_turn(frames, distance):
    video = list(range(300, 300 + 3 * 24, 3))
    corrected = clips(ClipSampling(frames, distance), video, draws=600)
    starts = {clip[1] for clip in corrected}
    assert starts == set(video[: 24 - frames + 1])
    assert all(
        list(clip[1:]) == list(range(clip[1], clip[1] + 3 * frames, 3)) for clip in corrected
    )
    published = clips(ClipSampling(frames, distance, method="published"), video, draws=600)
    assert {clip[1] for clip in published} == set(video[: 24 - frames])


def test_published_clips_repeat_frames_and_end_out_of_order():
    rng = np.random.default_rng(0)
    small = ClipSampling(4, 2, method="published")
    draws = [small.draw(range(24), rng) for _ in range(100)]
    assert any(len(set(places)) < 4 for places, _ in draws)
    assert all(places == sorted(places) for places, _ in draws)
    corrected = [ClipSampling(4, 2).draw(range(24), rng).places for _ in range(100)]
    assert all(len(set(places)) == 4 for places in corrected)

    long = ClipSampling(21, 10, method="published").draw(range(15), rng).places
    assert long[:15] == list(range(15))
    assert long != sorted(long)
    long = ClipSampling(21, 10).draw(range(15), rng).places
    assert long == sorted(long)
    assert len(long) == 21


def test_half_of_the_clips_run_backwards():
    rng = np.random.default_rng(0)
    sampling = ClipSampling(2, 1, reverse=0.5)
    backwards = sum(p[0] > p[1] for p, _ in (sampling.draw(range(9), rng) for _ in range(400)))
    assert 160 < backwards < 240


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, "num_frames >= 1"),
        ({"unit": "seconds"}, "unit must be one of labelled, number, got 'seconds'"),
        ({"direction": "up"}, "direction must be one of both, past, future"),
        ({"method": "other"}, "method must be one of corrected, published"),
        ({"reverse": 2.0}, "reverse is a probability, 0 to 1, got 2"),
        ({"offsets": (-1, 0)}, "offset 0 is the key frame"),
        ({"method": "published", "offsets": (1,)}, "'published' knows distances in labelled"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        ClipSampling(**settings)
