import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from dvps_d2.formats import READERS, PanopticLabel
from dvps_d2.formats.png import write_depth_png, write_png
from dvps_d2.formats.submission import WRITERS

ROAD, CAR, VOID = 0, 13, 255
CLASSES = {".": VOID, "R": ROAD, "A": CAR, "B": CAR}
TRUTH = ["RRR A.B"] * 4
SWAPPED = ["RRR A.B", "RRR A.B", "RRR B.A", "RRR B.A"]  # two cars change names half way


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[2] / "benchmarks" / "tracking_bounds.py"
    spec = importlib.util.spec_from_file_location("tracking_bounds", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def label(drawing):
    letters = np.array([list(row) for row in drawing.split()])
    classes = np.vectorize(CLASSES.get)(letters).astype(np.uint8)
    tracks = np.vectorize("..AB".find)(letters)
    return PanopticLabel(classes, np.where(tracks > 1, tracks - 1, 0).astype(np.int32))


@pytest.fixture
def tree(tmp_path):
    """Cityscapes-DVPS with one video of four frames."""
    for t, drawing in enumerate(TRUTH):
        stem = str(tmp_path / "video_sequence" / "val" / f"000000_00000{t}")
        found = label(drawing)
        coded = np.where(found.class_ids == VOID, 32, found.class_ids).astype(np.uint16) * 1000
        write_png(f"{stem}_gtFine_instanceTrainIds.png", coded + found.track_ids.astype(np.uint16))
        write_png(f"{stem}_leftImg8bit.png", np.zeros((*found.shape, 3), np.uint8))
        write_depth_png(f"{stem}_depth.png", np.ones(found.shape, np.float32))
    return tmp_path


def predict(tree, drawings, layout):
    reader = READERS["cityscapes_dvps"]
    records = reader.load_records(tree, "val")
    with WRITERS[layout](tree / layout, records, reader.categories) as writer:
        for frame, drawing in zip(records[0]["frames"], drawings, strict=True):
            found = label(drawing)
            ids = found.track_ids + (found.class_ids == ROAD) * 9
            classes = {9: ROAD, 1: CAR, 2: CAR}
            depth = np.full(ids.shape, 2.0, np.float32)
            writer.add("000000", frame["frame_id"], ids, classes, depth)
    return tree / layout


def arguments(tree, pred):
    return Namespace(
        reader="cityscapes_dvps", root=str(tree), split="val", pred=str(pred),
        out=str(tree / "renamed"), protocol=None, classes="road,car",
    )  # fmt: skip


@pytest.mark.parametrize("layout", ["vipseg", "cityscapes_dvps"])
def test_perfect_identity_undoes_a_swap(script, tree, layout):
    args = arguments(tree, predict(tree, SWAPPED, layout))
    numbers = script.run(args)
    # Windows of 1, 2, 3 and 4 frames: all tubes; those of 2 of 3 windows; none, as half is missing.
    cars = (1 + 4 / 6 + 0 + 0) / 4
    assert numbers["vpq_things"] == pytest.approx(cars)
    assert numbers["vpq"] == pytest.approx((cars + 1) / 2)
    assert numbers["identity_kept"] == pytest.approx(4 / 6)
    for name in ("vpq", "vpq_things", "stq", "identity_kept"):
        assert numbers[f"ceiling_{name}"] == pytest.approx(1)
    # What was written is a submission whose own ceiling it is.
    again = script.run(Namespace(**vars(args) | {"pred": args.out, "out": str(tree / "again")}))
    assert again["vpq"] == pytest.approx(1)


def test_pieces_are_named_by_their_best_overlap_one_per_object(script):
    truth = label("AAAA BBBB")
    pred = label("ABBB BBB.")
    # A covers 1 of 4 (IoU 1/4); B covers 3 of A (3/7) and 3 of B (3/7): the first of equals.
    assert script.overlaps(pred, truth) == {(CAR, 2): 1}
    assert script.overlaps(pred, truth, min_iou=0.45) == {}
    whole = label("AAAA ....")
    assert script.overlaps(whole, truth) == {(CAR, 1): 1}


def test_a_piece_that_shows_nothing_keeps_a_name_of_its_own(script):
    renaming = script.Renaming()
    shown = renaming(label("AB"), {(CAR, 2): 1})
    assert shown.track_ids.tolist() == [[1, 2]]
    # In the next frame piece A shows object 1, and B nothing.
    assert renaming(label("AB"), {(CAR, 1): 1}).track_ids.tolist() == [[2, 3]]


def test_pixels_without_a_label_do_not_count(script):
    assert script.overlaps(label("AAAA"), label("A...")) == {(CAR, 1): 1}
    assert script.overlaps(label("AAAA"), label("....")) == {}


def test_a_folder_that_is_no_submission_is_named(script, tree):
    with pytest.raises(ValueError, match=r"neither pred.json .* nor panoptic/"):
        script.run(arguments(tree, tree / "video_sequence"))
