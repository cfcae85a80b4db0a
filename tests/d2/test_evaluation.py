"""The evaluator: windows of videos in, Detectron2's result dict out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog

from dvps_d2.d2.evaluation import build_evaluator, video_panoptic
from dvps_d2.formats import PanopticLabel
from dvps_d2.metrics import ClassSet

ROAD, SKY, CAR = 0, 1, 2
LETTERS = {".": (255, 0), "R": (ROAD, 0), "S": (SKY, 0), "A": (CAR, 1), "B": (CAR, 2)}


class Drawings:
    """A reader whose files are drawings: the file name is the label map itself."""

    categories = ClassSet(("road", "sky", "car"), thing_ids=(CAR,))

    def read_panoptic(self, frame):
        cells = np.array([[LETTERS[c] for c in row] for row in frame["file_name"].split("/")])
        return PanopticLabel(cells[..., 0].astype(np.uint8), cells[..., 1].astype(np.int32))

    def read_depth(self, frame):
        shape = self.read_panoptic(frame).class_ids.shape
        return np.full(shape, 10.0, np.float32)


def record(video_id, drawings, labelled=None):
    frames = [
        {
            "file_name": drawing,
            "frame_id": i,
            "labelled": labelled is None or i in labelled,
            "depth_file_name": "yes",
        }
        for i, drawing in enumerate(drawings)
    ]
    return {"video_id": video_id, "height": 2, "width": 4, "frames": frames}


VIDEO = ["SSAA/RRRR", "SSAA/RRRR", "SAAS/RRRR"]


@pytest.fixture
def dataset(monkeypatch):
    """Register two videos of three frames under a fresh name."""
    names = []

    def register(records=None, kind="cityscapes_dvps", **metadata):
        name = f"drawn_{len(names)}"
        names.append(name)
        records = records or [record("one", VIDEO), record("two", VIDEO)]
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(
            reader="drawings",
            evaluator_type=kind,
            **metadata,
        )
        return name

    monkeypatch.setitem(video_panoptic.READERS, "drawings", Drawings())
    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def predict(drawing, frame_id, depth=10.0):
    """An output frame in which id = letter."""
    ids = torch.tensor([[0 if c == "." else ord(c) for c in r] for r in drawing.split("/")])
    info = [
        {"id": ord(c), "category_id": LETTERS[c][0], "isthing": c in "AB", "score": 1.0}
        for c in sorted(set(drawing) - set("./"))
    ]
    frame = {"frame_id": frame_id, "panoptic_seg": (ids.int(), info)}
    if depth is not None:
        frame["depth"] = torch.full(ids.shape, depth)
    return frame


def window(video_id, drawings, first=0, **options):
    """One output; its frames are an iterator, to be consumed once."""
    frames = (predict(d, first + i, **options) for i, d in enumerate(drawings))
    return {"video_id": video_id, "frames": frames}


def run(name, outputs, output_dir=None):
    evaluator = build_evaluator(None, name, output_dir)
    evaluator.reset()
    for output in outputs:
        evaluator.process([{}], [output])
    return evaluator.evaluate()


def test_perfect_prediction_scores_100(dataset, tmp_path):
    name = dataset()
    results = run(name, [window("one", VIDEO), window("two", VIDEO)], tmp_path)
    for task in ("vpq", "dvpq"):
        assert results[task]["all"] == pytest.approx(100)
        assert results[task]["k1_things"] == results[task]["k3_stuff"] == pytest.approx(100)
        assert results[task]["all-car"] == pytest.approx(100)
        assert math.isnan(results[task]["k4_all"])  # no video is that long
    assert results["dvpq"]["l0.10_all"] == pytest.approx(100)
    assert results["stq"] == pytest.approx(
        {"stq": 100, "aq": 100, "sq": 100, "sq-road": 100, "sq-sky": 100, "sq-car": 100}
    )
    assert results["depth"]["abs_rel"] == 0
    written = json.loads((tmp_path / f"{name}_scores.json").read_text())
    assert written["vpq"]["1"]["per_class"]["2"]["tp"] == 6
    assert written["protocol"] == "cityscapes_dvps"


def test_windows_of_a_video_add_up_and_videos_may_interleave(dataset):
    parts = [
        window("one", VIDEO[:2]),
        window("two", VIDEO[:1]),
        window("one", VIDEO[2:], first=2),
        {"video_id": "two", "frames": []},
        window("two", VIDEO[1:], first=1),
    ]
    split = run(dataset(), parts)
    whole = run(dataset(), [window("one", VIDEO), window("two", VIDEO)])
    assert split["vpq"] == pytest.approx(whole["vpq"], nan_ok=True)


def test_an_identity_switch_costs_the_long_windows(dataset):
    switched = [VIDEO[0], VIDEO[1].replace("A", "B"), VIDEO[2].replace("A", "B")]
    vpq = run(dataset([record("one", VIDEO)]), [window("one", switched)])["vpq"]
    assert vpq["k1_things"] == pytest.approx(100)
    # Windows (1, 2) without a match: 2 px of 4 px; (2, 3) with one: PQ = 1 / (1 + 2/2 + 1/2).
    assert vpq["k2_things"] == pytest.approx(100 / 2.5)


def test_depth_out_of_the_threshold_removes_the_prediction(dataset):
    dvpq = run(dataset([record("one", VIDEO)]), [window("one", VIDEO, depth=8.0)])["dvpq"]
    assert dvpq["l0.25_all"] == dvpq["l0.50_all"] > 0
    assert dvpq["l0.10_all"] == 0


def test_a_model_without_depth_gets_no_depth_scores(dataset):
    results = run(dataset([record("one", VIDEO)]), [window("one", VIDEO, depth=None)])
    assert sorted(results) == ["stq", "vpq"]
    assert results["vpq"]["k1_all"] == pytest.approx(100)


def test_unlabelled_frames_are_passed_over(dataset):
    name = dataset([record("one", ["....", *VIDEO[:2]], labelled=(1, 2))])
    vpq = run(name, [window("one", ["RRRR", *VIDEO[:2]])])["vpq"]
    assert vpq["k2_all"] == pytest.approx(100)


def test_eval_classes_are_the_classes_of_the_mean(dataset):
    only_road = ["RRRR/RRRR"]
    vpq = run(dataset([record("one", only_road)]), [window("one", only_road)])["vpq"]
    assert vpq["k1_all"] == pytest.approx(100 / 3)  # the official mean is over all classes
    name = dataset([record("one", only_road)], eval_classes=[ROAD])
    assert run(name, [window("one", only_road)])["vpq"]["k1_all"] == pytest.approx(100)
    assert math.isnan(run(name, [window("one", only_road)])["vpq"]["k1_things"])


@pytest.mark.parametrize("kind", ["cityscapes_vps", "viper", "vipseg", "kitti_step"])
def test_every_type_builds_and_scores(dataset, kind):
    name = dataset([record("one", VIDEO)], kind=kind)
    results = run(name, [window("one", VIDEO)])
    assert results["stq"]["stq"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        pytest.param([window("one", VIDEO[:2])], "no prediction for 1 labelled", id="cut short"),
        pytest.param([], "no prediction for 1 of 1 videos", id="nothing"),
        pytest.param([window("one", VIDEO[1:], 1)], "labelled frame 0 has no", id="late start"),
        pytest.param(
            [window("one", VIDEO[:1]), window("one", VIDEO[:1])], "predicted twice", id="twice"
        ),
        pytest.param(
            [window("one", VIDEO), window("one", VIDEO[2:], 2)], "came twice", id="after the end"
        ),
        pytest.param([window("three", VIDEO)], "no video 'three'", id="unknown video"),
        pytest.param([window("one", VIDEO, 7)], "no such frame", id="unknown frame"),
        pytest.param([window("one", ["SSA/RRR"])], "2 x 3 but truth is 2 x 4", id="size"),
        pytest.param([{"panoptic_seg": 0}], "plain image dicts", id="image dict"),
    ],
)
def test_bad_predictions_are_named(dataset, outputs, message):
    name = dataset([record("one", VIDEO)])
    with pytest.raises(ValueError, match=message):
        run(name, outputs)


def test_an_id_without_a_segment_is_named(dataset):
    name = dataset([record("one", VIDEO)])
    frame = predict(VIDEO[0], 0)
    frame["panoptic_seg"][1].pop()
    with pytest.raises(ValueError, match="frame 0: prediction: id 83 has 2 pixels"):
        run(name, [{"video_id": "one", "frames": [frame]}])


def test_unknown_evaluator_type_is_named(dataset):
    with pytest.raises(KeyError, match="evaluator_type 'coco'"):
        build_evaluator(None, dataset(kind="coco"), None)


def test_tables_of_all_ranks_are_added_on_the_main_process(dataset, monkeypatch):
    """Two evaluators with one video each, as two ranks would have them."""
    name = dataset()
    ranks = [build_evaluator(None, name, None) for _ in range(2)]
    for evaluator, video in zip(ranks, ("one", "two"), strict=True):
        evaluator.process([{}], [window(video, VIDEO)])
    sent = []
    monkeypatch.setattr(video_panoptic.comm, "gather", lambda data: sent.append(data) or sent)
    monkeypatch.setattr(video_panoptic.comm, "is_main_process", lambda: len(sent) == 2)
    assert ranks[1].evaluate() is None
    assert ranks[0].evaluate()["vpq"]["k1_all"] == pytest.approx(100)
