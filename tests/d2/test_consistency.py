import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog

from dvps_d2.d2 import build_evaluator
from dvps_d2.d2.evaluation import ConsistencyEvaluator
from dvps_d2.layers.flow_estimators import ZeroFlow

ROAD, SKY = 0, 10
DATASET = "toy_street_val"


def outputs(drawn):
    """One window per video: frame by frame, the share of columns that are road; the rest is sky."""
    for record in DatasetCatalog.get(DATASET):
        frames = []
        for frame, columns in zip(record["frames"], drawn, strict=False):
            ids = torch.full((record["height"], record["width"]), 2, dtype=torch.int32)
            ids[:, :columns] = 1
            info = [
                {"id": 1, "category_id": ROAD, "isthing": False, "score": 1.0},
                {"id": 2, "category_id": SKY, "isthing": False, "score": 1.0},
            ]
            frames.append({"frame_id": frame["frame_id"], "panoptic_seg": (ids, info)})
        yield {"video_id": record["video_id"], "frames": iter(frames)}


def test_consistency_by_hand(toy_street):
    evaluator = ConsistencyEvaluator(DATASET, ZeroFlow())
    for output in outputs([64, 32]):  # of 128 columns
        evaluator.process([], [output])
    # Road has 32 columns in common and 64 in the union, sky 64 and 96.
    expected = 100 * (32 / 64 + 64 / 96) / 2
    assert evaluator.evaluate()["tc"]["all"] == pytest.approx(expected)
    evaluator.reset()
    assert np.isnan(evaluator.evaluate()["tc"]["all"])


def test_flow_brings_the_next_frame_back(toy_street):
    def flow(key, reference, pairs):
        (pair,) = pairs
        assert pair.reference_frame > pair.key_frame
        assert 0 <= key.min() < 50 < key.max() <= 255
        field = torch.zeros(1, 2, *key.shape[-2:])
        field[:, 0] = -32
        return field

    evaluator = ConsistencyEvaluator(DATASET, flow)
    for output in outputs([64, 32]):
        evaluator.process([], [output])
    assert evaluator.evaluate()["tc"]["all"] == pytest.approx(100)


def test_flow_is_estimated_where_the_model_computes(tiny_cfg):
    devices = set()

    def flow(key, reference, pairs):
        devices.update(image.device.type for image in (key, reference))
        return torch.zeros(1, 2, *key.shape[-2:])

    evaluator = build_evaluator(
        tiny_cfg("TEST.CONSISTENCY_FLOW", "zero", "MODEL.DEVICE", "meta"), DATASET
    ).evaluators[1]
    evaluator.flow = flow
    for output in outputs([64, 32]):
        evaluator.process([], [output])
    assert devices == {"meta"}


def test_a_config_key_adds_it_to_the_scores(tiny_cfg, tmp_path):
    cfg = tiny_cfg("TEST.CONSISTENCY_FLOW", "zero")
    evaluator = build_evaluator(cfg, DATASET, str(tmp_path))
    evaluator.reset()
    for output in outputs([64] * 6):
        evaluator.process([], [output])
    results = evaluator.evaluate()
    assert results["tc"]["all"] == pytest.approx(100)
    assert "vpq" in results


def test_an_unknown_estimator_is_named(tiny_cfg):
    with pytest.raises(ValueError, match="'sift' is not one of raft"):
        build_evaluator(tiny_cfg("TEST.CONSISTENCY_FLOW", "sift"), DATASET)
