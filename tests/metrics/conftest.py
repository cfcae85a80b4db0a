"""The drawing that most tests of this folder count on: two frames of 4 x 4 pixels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dvps_d2.metrics import ClassSet, Coding, LabelMap, Listing

ROAD, SKY, CAR = 0, 10, 13
CITYSCAPES = ClassSet.numbered(19, tuple(range(11, 19)))

# S sky, R road, A B cars of the truth, a b cars of the prediction, . void.
# The prediction swaps the two cars in the second frame.
TRUTH = ("SSSS/AABB/AABB/RRR.", "SSSS/AABB/AAB./RRRR")
PRED = ("SSSS/aabb/aabb/RRRR", "SSSR/bbaa/bbaa/RRRR")
MEANING = {
    ".": (255, 0),
    "S": (SKY, 0),
    "R": (ROAD, 0),
    "A": (CAR, 1),
    "B": (CAR, 2),
    "a": (CAR, 1),
    "b": (CAR, 2),
}
CODING = Coding(1000, (255,))


def draw(text: str, scale: int = 1) -> LabelMap:
    """A label map from rows of letters; every letter becomes scale x scale pixels."""
    rows = [[MEANING[c][0] * 1000 + MEANING[c][1] for c in row] for row in text.split("/")]
    ids = np.array(rows, np.int32)
    return LabelMap(np.kron(ids, np.ones((scale, scale), np.int32)), CODING)


def draw_listed(text: str, crowd: str = "", **options) -> LabelMap:
    """The same as ids with a segment list, in order of appearance; ids are arbitrary numbers."""
    letters = [c for c in dict.fromkeys(text.replace("/", "")) if c != "."]
    ids = np.array([[0 if c == "." else ord(c) for c in row] for row in text.split("/")], np.int32)
    info = [
        {
            "id": ord(c),
            "category_id": MEANING[c][0],
            "iscrowd": int(c in crowd),
            "area": int((ids == ord(c)).sum()),
        }
        for c in letters
    ]
    return LabelMap(ids, Listing.from_info(info, **options))


@pytest.fixture
def toy() -> SimpleNamespace:
    """The drawing and the functions that draw more like it."""
    return SimpleNamespace(
        truth=TRUTH,
        pred=PRED,
        draw=draw,
        draw_listed=draw_listed,
        classes=CITYSCAPES,
        coding=CODING,
        road=ROAD,
        sky=SKY,
        car=CAR,
    )
