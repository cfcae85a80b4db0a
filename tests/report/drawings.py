"""Drawn videos: a letter per pixel, small ones for predicted tracks."""

from functools import partial

import numpy as np

from dvps_d2.metrics import ClassSet, joint_map
from dvps_d2.report import ReportFrame, ReportVideo

ROAD, SKY, PERSON, CAR = range(4)
CLASSES = ClassSet(("road", "sky", "person", "car"), (PERSON, CAR))
COLORS = [(128, 64, 128), (70, 130, 180), (220, 20, 60), (0, 0, 142)]
# letter -> (class, track); a dot is void, "C" a crowd of cars
LETTERS = {
    "R": (ROAD, 0),
    "S": (SKY, 0),
    "A": (CAR, 1),
    "B": (CAR, 2),
    "C": (CAR, 0),
    "P": (PERSON, 7),
    "a": (CAR, 1),
    "b": (CAR, 2),
    "c": (CAR, 3),
    "p": (PERSON, 1),
    ".": (255, 0),
}


def label(text):
    """ "AA/RR" -> label map."""
    grid = [[LETTERS[letter] for letter in row] for row in text.split("/")]
    planes = np.array(grid)
    crowd = CLASSES.thing_ids
    return joint_map(planes[..., 0].astype(np.uint8), planes[..., 1], crowd_classes=crowd)


def draw(video_id, truth, pred, *, depth=None, images=None, scores=None):
    """A video of drawings, one per frame; a truth of None is a frame without label."""
    frames = [
        partial(
            ReportFrame,
            name=str(number),
            pred=label(p),
            truth=None if t is None else label(t),
            pred_depth=None if depth is None else depth[0],
            truth_depth=None if depth is None else depth[1],
            image=None if images is None else images[number],
            scores=scores or {},
        )
        for number, (t, p) in enumerate(zip(truth, pred, strict=True))
    ]
    return ReportVideo(video_id, tuple(frames))
