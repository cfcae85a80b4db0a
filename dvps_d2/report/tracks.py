"""Tracks through a video: when they are there, which objects they find, where they switch.

Everything is read off the tables that the scores are made of; no pixel is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dvps_d2.metrics import FrameTable
from dvps_d2.metrics.tables import HIDDEN, REGULAR, VOID, Segments
from dvps_d2.metrics.tubes import MATCH_IOU
from dvps_d2.report.frames import Key, segment_keys

# What is wrong with a pixel: values of ``error_table``.
RIGHT, NOT_JUDGED, MISSED, FALSE, WRONG_CLASS, WRONG_TRACK = range(6)
KINDS = 6


@dataclass(frozen=True)
class Switch:
    """An object that another track finds than the last one that found it.

    Attributes:
        frame: number of the frame, from 0.
        object: row of the true segment.
        before, after: rows of the predicted ones.
    """

    frame: int
    object: int
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class VideoTracks:
    """The segments of a video on both sides, and how they belong together.

    A row number is a place in ``pred`` or ``truth``; row 0 is void on both sides.

    Attributes:
        pred, truth: (class, track) of every row.
        pred_areas, truth_areas: (rows, T) int64 pixels; 0 where a segment is not there.
        hidden: rows of the truth that are not judged.
        matches: per frame, predicted row -> (true row, IoU); by class and IoU above 1/2.
        holders: row of a true object -> row of the track it belongs to: pairs of equal class are
            joined by the pixels that they share in the whole video, most first, each once.
        switches: in order of time.
    """

    pred: list[Key]
    truth: list[Key]
    pred_areas: np.ndarray
    truth_areas: np.ndarray
    hidden: frozenset[int]
    matches: list[dict[int, tuple[int, float]]]
    holders: dict[int, int]
    switches: list[Switch]

    def runs(self, row: int) -> list[tuple[int, int]]:
        """First and last frame of every stretch in which a predicted row is there."""
        return stretches(self.pred_areas[row])

    def finders(self, row: int) -> list[int]:
        """Per frame: the predicted row that finds a true row, 0 if missed, -1 if it is not there.

        Returns:
            T numbers.
        """
        by_truth = [{t: p for p, (t, _) in found.items()} for found in self.matches]
        return [
            found.get(row, 0) if area else -1
            for found, area in zip(by_truth, self.truth_areas[row].tolist(), strict=True)
        ]


def stretches(areas: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of values above 0; (T,) -> pairs."""
    there = np.concatenate([[0], np.asarray(areas) > 0, [0]]).astype(int)
    steps = np.diff(there)
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def follow_tracks(tables: Sequence[FrameTable], things: frozenset[int]) -> VideoTracks:
    """Follow all segments through the frames of one video.

    Source of the switches: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking
    Performance: The CLEAR MOT Metrics", 2008, section 2.2. Differs from it by: an object and a
    track correspond when their masks have one class and an IoU above 1/2.
    """
    sides = _Rows(len(tables)), _Rows(len(tables))
    pred, truth = sides
    shared: Counter[tuple[int, int]] = Counter()
    hidden: set[int] = set()
    matches, switches = [], []
    last: dict[int, int] = {}
    for frame, table in enumerate(tables):
        pred_rows = pred.add(frame, table.pred, things)
        truth_rows = truth.add(frame, table.truth, things)
        hidden |= set(truth_rows[table.truth.roles == HIDDEN].tolist())
        found = {}
        for t, p, pixels, iou in _same_class_pairs(table):
            row, other = int(truth_rows[t]), int(pred_rows[p])
            shared[row, other] += pixels
            if iou > MATCH_IOU:
                found[other] = (row, iou)
        matches.append(found)
        for other, (row, _) in found.items():
            if truth.keys[row][1] and last.setdefault(row, other) != other:
                switches.append(Switch(frame, row, last[row], other))
                last[row] = other
    holders = _join({pair: n for pair, n in shared.items() if truth.keys[pair[0]][1]})
    switches.sort(key=lambda switch: (switch.frame, switch.object))
    areas = pred.areas(), truth.areas()
    return VideoTracks(pred.keys, truth.keys, *areas, frozenset(hidden), matches, holders, switches)


def error_table(tracks: VideoTracks, things: frozenset[int]) -> np.ndarray:
    """What is wrong with a pixel of true row r and predicted row p.

    MISSED: a true object under stuff or nothing, or stuff under nothing. FALSE: an object on
    stuff. WRONG_CLASS: object on object or stuff on stuff. WRONG_TRACK: the right class, and not
    the track that the object belongs to (``VideoTracks.holders``).

    Returns:
        (true rows, predicted rows) uint8.
    """
    table = np.zeros((len(tracks.truth), len(tracks.pred)), np.uint8)
    for row, (true_class, object_id) in enumerate(tracks.truth):
        for other, (pred_class, _) in enumerate(tracks.pred):
            if row == 0 or row in tracks.hidden:
                error = NOT_JUDGED
            elif other == 0:
                error = MISSED
            elif true_class != pred_class:
                kinds = (true_class in things, pred_class in things)
                error = {(True, False): MISSED, (False, True): FALSE}.get(kinds, WRONG_CLASS)
            else:  # a crowd has no tracks to tell apart
                known = object_id == 0 or tracks.holders.get(row) == other
                error = RIGHT if known else WRONG_TRACK
            table[row, other] = error
    return table


@dataclass
class _Rows:
    """Numbers the segments of one side as they come up."""

    length: int
    keys: list[Key] = field(default_factory=lambda: [(-1, 0)])  # row 0 is void
    numbers: dict[Key, int] = field(default_factory=dict)
    counted: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, frame: int, segments: Segments, things: frozenset[int]) -> np.ndarray:
        """(N,) rows of a frame's segments."""
        rows = []
        areas = segments.areas.tolist()
        for key, area in zip(segment_keys(segments, things), areas, strict=True):
            if key not in self.numbers:
                self.numbers[key] = len(self.keys)
                self.keys.append(key)
            rows.append(self.numbers[key])
            self.counted.append((self.numbers[key], frame, area))
        return np.array(rows, int)

    def areas(self) -> np.ndarray:
        """(rows, T) pixels."""
        areas = np.zeros((len(self.keys), self.length), np.int64)
        for row, frame, area in self.counted:
            areas[row, frame] += area
        return areas


def _same_class_pairs(table: FrameTable) -> list[tuple[int, int, int, float]]:
    """(true index, predicted index, shared pixels, IoU) of pairs that could match."""
    pixels = table.pixels.sum(axis=1)
    on_void = table.truth_index == VOID
    hits = on_void & (table.pred_index >= 0)
    void_area = np.bincount(table.pred_index[hits], weights=pixels[hits], minlength=len(table.pred))
    both = np.flatnonzero((table.truth_index >= 0) & (table.pred_index >= 0))
    pairs = []
    for i in both:
        t, p, inter = int(table.truth_index[i]), int(table.pred_index[i]), int(pixels[i])
        same = table.truth.class_ids[t] == table.pred.class_ids[p]
        if same and table.truth.roles[t] == REGULAR:
            union = table.pred.areas[p] + table.truth.areas[t] - inter - void_area[p]
            pairs.append((t, p, inter, float(inter / union)))
    return pairs


def _join(shared: dict[tuple[int, int], int]) -> dict[int, int]:
    """One-to-one pairs, those with most shared pixels first."""
    holders: dict[int, int] = {}
    taken: set[int] = set()
    for (row, other), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if row not in holders and other not in taken:
            holders[row] = other
            taken.add(other)
    return holders
