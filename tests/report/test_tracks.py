import numpy as np
import pytest

from dvps_d2.report.scores import score_video
from dvps_d2.report.tracks import (
    FALSE,
    MISSED,
    NOT_JUDGED,
    RIGHT,
    WRONG_CLASS,
    WRONG_TRACK,
    Switch,
    error_table,
    stretches,
)
from tests.report.drawings import CLASSES, LETTERS, draw

THINGS = frozenset(CLASSES.thing_ids)


@pytest.fixture
def follow(vps):
    """Tracks of a video given as truth and prediction, frames with spaces between."""

    def make(truth, pred):
        return score_video(draw("v", truth.split(), pred.split()), vps, CLASSES).tracks

    return make


def row(keys, letter):
    return keys.index(LETTERS[letter])


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ([0, 0], []),
        ([5, 5, 5], [(0, 2)]),
        ([1, 0, 2, 2, 0], [(0, 0), (2, 3)]),
        ([0, 3], [(1, 1)]),
    ],
)
def test_stretches(areas, expected):
    assert stretches(np.array(areas)) == expected


def test_births_and_deaths_of_predicted_tracks(follow):
    tracks = follow("AARR AARR AARR AARR", "RRRR aaRR RRbb aaRR")
    a, b = row(tracks.pred, "a"), row(tracks.pred, "b")
    assert tracks.runs(a) == [(1, 1), (3, 3)]
    assert tracks.runs(b) == [(2, 2)]
    assert tracks.pred_areas[a].tolist() == [0, 2, 0, 2]


def test_another_track_taking_over_is_a_switch(follow):
    tracks = follow("AAAA AAAA AAAA AAAA", "aaaa aaaa bbbb bbbb")
    A, a, b = row(tracks.truth, "A"), row(tracks.pred, "a"), row(tracks.pred, "b")
    assert tracks.switches == [Switch(2, A, a, b)]
    assert tracks.finders(A) == [a, a, b, b]


def test_coming_back_after_a_miss_is_no_switch(follow):
    tracks = follow("AAAA AAAA AAAA", "aaaa RRRR aaaa")
    assert tracks.switches == []
    assert tracks.finders(row(tracks.truth, "A"))[1] == 0


def test_a_switch_across_a_gap_counts_once(follow):
    tracks = follow("AAAA AAAA AAAA AAAA", "aaaa RRRR bbbb bbbb")
    assert [switch.frame for switch in tracks.switches] == [2]


def test_swapped_tracks_are_two_switches(follow):
    tracks = follow("AABB AABB AABB", "aabb aabb bbaa")
    A, B = row(tracks.truth, "A"), row(tracks.truth, "B")
    assert [(switch.frame, switch.object) for switch in tracks.switches] == [(2, A), (2, B)]
    assert tracks.holders == {A: row(tracks.pred, "a"), B: row(tracks.pred, "b")}


def test_half_an_object_is_not_found(follow):
    tracks = follow("AAAARR AAAARR", "aaRRRR aaaRRR")
    assert tracks.finders(row(tracks.truth, "A")) == [0, row(tracks.pred, "a")]
    assert tracks.matches[1][row(tracks.pred, "a")][1] == pytest.approx(0.75)


def test_void_leaves_the_union(follow):
    tracks = follow("AA..", "aaaa")
    assert tracks.matches[0][1] == (row(tracks.truth, "A"), pytest.approx(1.0))


def test_an_object_that_leaves_has_no_finder(follow):
    tracks = follow("AARR RRRR", "aaRR RRRR")
    assert tracks.finders(row(tracks.truth, "A")) == [row(tracks.pred, "a"), -1]


@pytest.mark.parametrize(
    ("true", "pred", "expected"),
    [
        ("A", "a", RIGHT),
        ("A", "b", WRONG_TRACK),
        ("A", "p", WRONG_CLASS),
        ("A", "R", MISSED),
        ("A", ".", MISSED),
        ("R", "R", RIGHT),
        ("R", "S", WRONG_CLASS),
        ("R", "a", FALSE),
        ("R", ".", MISSED),
        (".", "a", NOT_JUDGED),
        ("C", "c", RIGHT),
        ("C", "R", MISSED),
    ],
)
def test_what_is_wrong_with_a_pixel(follow, true, pred, expected):
    tracks = follow("AAAACRS. AAAACRS.", "aaabcRSp aaaabRS.")
    rows = [
        0 if letter == "." else row(keys, letter)
        for keys, letter in ((tracks.truth, true), (tracks.pred, pred))
    ]
    assert error_table(tracks, THINGS)[tuple(rows)] == expected


def test_frames_without_truth_have_tracks(vps):
    video = draw("v", [None, "AA"], ["aa", "aa"])
    scored = score_video(video, vps, CLASSES)
    assert scored.tracks.runs(1) == [(0, 1)]
    assert scored.counts.frames == 1
