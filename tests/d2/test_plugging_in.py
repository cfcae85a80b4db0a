"""Our models, loaders and evaluators in pipelines that people already have."""

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultPredictor, DefaultTrainer
from detectron2.engine.hooks import BestCheckpointer
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset
from detectron2.modeling import build_model

import dvps_d2.d2 as dvps


class UsersTrainer(DefaultTrainer):
    """The recipe of the ``dvps_d2.d2`` docstring, with a hook that projects like to add."""

    @classmethod
    def build_train_loader(cls, cfg):
        return dvps.build_clip_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg, name):
        return dvps.build_video_test_loader(cfg, name)

    @classmethod
    def build_evaluator(cls, cfg, name):
        return dvps.build_evaluator(cfg, name, cfg.OUTPUT_DIR)

    def build_hooks(self):
        hooks = super().build_hooks()
        best = BestCheckpointer(self.cfg.TEST.EVAL_PERIOD, self.checkpointer, "dvpq/all")
        return [*hooks[:-1], best, hooks[-1]]


def test_a_users_default_trainer(tiny_cfg):
    cfg = tiny_cfg(
        "SOLVER.MAX_ITER", 2, "TEST.EVAL_PERIOD", 1, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norm",
        "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", "(1,)",
    )  # fmt: skip
    trainer = UsersTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    assert set(trainer._last_eval_results) >= {"vpq", "dvpq", "depth"}
    saved = torch.load(f"{cfg.OUTPUT_DIR}/model_best.pth", weights_only=True)["model"]
    assert saved.keys() == trainer.model.state_dict().keys()


@pytest.fixture
def saved_model(tiny_cfg):
    cfg = tiny_cfg()
    model = build_model(cfg)
    DetectionCheckpointer(model, cfg.OUTPUT_DIR).save("toy")
    cfg.MODEL.WEIGHTS = f"{cfg.OUTPUT_DIR}/toy.pth"
    return cfg, model.eval()


@pytest.fixture(autouse=True)
def output_folder(tmp_path):
    (tmp_path / "run").mkdir()


def test_default_predictor_on_one_image(saved_model):
    cfg, model = saved_model
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    out = DefaultPredictor(cfg)(rgb[:, :, ::-1])  # the predictor takes BGR
    ids, info = out["panoptic_seg"]
    assert ids.shape == out["depth"].shape == (64, 96)
    (direct,) = model([{"image": torch.from_numpy(rgb.transpose(2, 0, 1).copy())}])
    assert torch.equal(ids, direct["panoptic_seg"][0])
    assert info == direct["panoptic_seg"][1]


class PanopticConsumer(DatasetEvaluator):
    """Takes what Detectron2's own panoptic evaluator takes: a map and its segments."""

    def reset(self):
        self.seen = []

    def process(self, inputs, outputs):
        for item, output in zip(inputs, outputs, strict=True):
            panoptic, info = output["panoptic_seg"]
            ids = set(np.unique(panoptic.cpu().numpy()).tolist()) - {0}
            assert ids == {s["id"] for s in info}
            assert all({"id", "category_id", "isthing"} <= s.keys() for s in info)
            self.seen.append(item["file_name"])

    def evaluate(self):
        return {"panoptic_seg": {"images": float(len(self.seen))}}


def test_flat_image_dicts_through_inference_on_dataset(saved_model):
    _, model = saved_model
    images = [
        [{"image": torch.full((3, 64, 64), v, dtype=torch.uint8), "file_name": str(v)}]
        for v in (0, 90, 250)
    ]
    results = inference_on_dataset(model, images, PanopticConsumer())
    assert results == {"panoptic_seg": {"images": 3.0}}


def test_windows_through_inference_on_dataset(saved_model):
    cfg, model = saved_model
    loader = dvps.build_video_test_loader(cfg, "toy_street_val")
    evaluator = dvps.build_evaluator(cfg, "toy_street_val", None)
    results = inference_on_dataset(model, loader, [evaluator])
    assert 0 <= results["dvpq"]["all"] <= results["vpq"]["all"] <= 100
