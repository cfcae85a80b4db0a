import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.check.frame import FrameFacts
from dvps_d2.formats.check.tracks import box_gap, box_iou, check_tracks
from dvps_d2.formats.records import VideoRecord, frame_record

CAR, TRUCK = 13, 14


def check(*frames, reader="cityscapes_vps", every=1, labelled=True):
    """Findings of a video of 30 x 40 pixels (diagonal 50); a frame is {(class, track): box}."""
    facts = [
        FrameFacts(
            segments=dict.fromkeys(frame, 1), boxes={key[1]: box for key, box in frame.items()}
        )
        for frame in frames
    ]
    label = "x.png" if labelled else None
    records = [frame_record(f"{t}.png", t, label=label) for t in range(len(frames) * every)]
    record = VideoRecord(video_id="v", height=30, width=40, frames=records)
    return [
        (f.kind, f.message, [frame["frame_id"] for frame in f.frames], f.track)
        for f in check_tracks(READERS[reader], "v", record, facts, every)
    ]


def test_an_object_that_moves_by_less_than_its_box_and_a_fifth_of_the_frame_is_sound():
    assert check({(CAR, 5): (0, 0, 8, 8)}, {(CAR, 5): (18, 0, 26, 8)}) == []


def test_an_object_that_jumps_is_told_with_its_frames():
    (found,) = check({(CAR, 5): (0, 0, 8, 8)}, {(CAR, 5): (8, 0, 9, 8)}, {(CAR, 5): (30, 0, 38, 8)})
    told = "track 5 jumps: 21 pixels lie between its places in frames 1 and 2"
    assert found == ("jump", told, [1, 2], 5)


def test_jumps_are_not_looked_for_between_frames_that_do_not_follow_each_other():
    jump = {(CAR, 5): (0, 0, 8, 8)}, {(CAR, 5): (30, 0, 38, 8)}
    assert check(*jump, every=2) == []
    assert check(jump[0], {}, jump[1]) == []
    assert check(*jump, labelled=False) == []


def test_one_id_of_two_classes():
    (found,) = check({(CAR, 5): (0, 0, 8, 8)}, {(TRUCK, 5): (0, 0, 8, 8)})
    assert found == ("track", "track 5 is car and truck", [0, 1], 5)


def test_an_object_that_goes_on_as_another_class():
    """Where the id holds the class, it is another id; the object's number stays."""
    place = (0, 0, 8, 8)
    first, second = {(CAR, 13007): place}, {(TRUCK, 14007): place}
    (found,) = check(first, second, reader="cityscapes_dvps")
    told = "object 7 turns from car to truck between frames 0 and 1"
    assert found == ("track", told, [0, 1], 14007)
    elsewhere = {(TRUCK, 14007): (20, 20, 28, 28)}
    assert check(first, elsewhere, reader="cityscapes_dvps") == []
    both = {**first, **second}
    assert check(both, second, reader="cityscapes_dvps") == []


@pytest.mark.parametrize(
    ("other", "gap", "iou"),
    [
        ((0, 0, 4, 4), 0, 1),
        ((2, 0, 6, 4), 0, 8 / 24),
        ((4, 0, 8, 4), 0, 0),
        ((7, 8, 9, 9), 5, 0),
    ],
)
def test_boxes(other, gap, iou):
    box = (0, 0, 4, 4)
    assert (box_gap(box, other), box_iou(box, other)) == (gap, pytest.approx(iou))
    assert (box_gap(other, box), box_iou(other, box)) == (gap, pytest.approx(iou))


def test_boxes_of_a_frame_come_from_its_label():
    from dvps_d2.formats.check.frame import _boxes

    tracks = np.zeros((3, 4), np.int32)
    tracks[1:, 2:] = 7
    tracks[0, 0] = 9
    assert _boxes(tracks) == {7: (2, 1, 4, 3), 9: (0, 0, 1, 1)}
    assert _boxes(np.zeros((2, 2), np.int32)) == {}
