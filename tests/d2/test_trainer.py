import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from dvps_d2.d2 import Trainer
from dvps_d2.d2.checkpoint import ModelCheckpointer
from dvps_d2.d2.hooks import BestWeights
from dvps_d2.d2.trainer import autocast_precision


def run(cfg, *, resume=False, stop_after=None):
    """Train; ``stop_after`` stops like a kill after that many further steps."""
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    if stop_after is not None:
        trainer.max_iter = trainer.start_iter + stop_after
    trainer.train()
    return trainer


def weights(trainer):
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def test_a_resumed_run_equals_an_uninterrupted_one(tiny_cfg, tmp_path):
    whole = run(tiny_cfg("OUTPUT_DIR", str(tmp_path / "whole"), "SOLVER.MAX_ITER", 4))
    cut = ("OUTPUT_DIR", str(tmp_path / "cut"), "SOLVER.CHECKPOINT_PERIOD", 2)
    run(tiny_cfg(*cut), stop_after=2)
    resumed = run(tiny_cfg(*cut), resume=True)
    assert resumed.start_iter == 2
    expected = weights(whole)
    for name, value in weights(resumed).items():
        assert torch.equal(value, expected[name]), name
    averages = (t._trainer.average.module.state_dict() for t in (whole, resumed))
    for (name, a), b in zip(next(averages).items(), next(averages).values(), strict=True):
        assert torch.equal(a, b), name
    cost = json.loads((tmp_path / "cut" / "training.json").read_text())
    assert cost["iterations"] == 4
    assert cost["seconds"] > 0


def test_the_end_of_training_evaluates_the_average_and_saves_it(tiny_cfg, tmp_path):
    cfg = tiny_cfg("SOLVER.MAX_ITER", 2)
    trainer = run(cfg)
    scores = trainer._last_eval_results
    model = build_model(cfg)
    DetectionCheckpointer(model).load(f"{cfg.OUTPUT_DIR}/model_average.pth")
    again = Trainer.test(cfg, model)
    assert again["dvpq"]["all"] == pytest.approx(scores["dvpq"]["all"], abs=1e-9)
    assert again["depth"] == pytest.approx(scores["depth"])
    text = Path(cfg.OUTPUT_DIR, "metrics.json").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert any("dvpq/all" in line for line in lines)


def test_a_loss_that_is_not_finite_names_the_frames(tiny_cfg):
    trainer = Trainer(tiny_cfg())
    with torch.no_grad():
        trainer.model.pipeline.segmenter.predictor.class_embed.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"iteration 0: .*_leftImg8bit\.png"):
        trainer.train()
    (batch,) = Path(trainer.cfg.OUTPUT_DIR).glob("bad_batch_rank0.pth")
    items = torch.load(batch, weights_only=False)
    assert len(items) == 2
    assert items[0]["targets"].masks.any()


def test_half_precision_needs_a_gpu(tiny_cfg):
    cfg = tiny_cfg("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16")
    with pytest.raises(ValueError, match="float16 needs a CUDA device; use bfloat16"):
        autocast_precision(cfg)
    with pytest.raises(ValueError, match="PRECISION='fp8' is not one of"):
        autocast_precision(tiny_cfg("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "fp8"))


def test_bfloat16_and_accumulation_train_on_a_cpu(tiny_cfg):
    cfg = tiny_cfg(
        "SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "bfloat16",
        "SOLVER.ACCUMULATION_STEPS", 2, "SOLVER.IMS_PER_BATCH", 1, "SOLVER.MAX_ITER", 2,
        "DATASETS.TEST", "()",
    )  # fmt: skip
    trainer = Trainer(cfg)
    before = weights(trainer)
    trainer.train()
    changed = [k for k, v in weights(trainer).items() if not torch.equal(v, before[k])]
    assert len(changed) > len(before) // 2
    assert all(v.dtype != torch.bfloat16 for v in weights(trainer).values())


def test_evaluation_refuses_weights_of_another_model(tiny_cfg, tmp_path):
    cfg = tiny_cfg()
    other, part = tmp_path / "other.pth", tmp_path / "part.pth"
    torch.save({"model": {"head.weight": torch.zeros(2)}}, other)
    model = build_model(cfg)
    state = model.state_dict()
    del state["sem_seg_head.predictor.class_embed.weight"]
    torch.save({"model": state}, part)
    with pytest.raises(ValueError, match=r"other\.pth holds no tensor of MinDVPS: it has head"):
        ModelCheckpointer(model).load(str(other))
    ModelCheckpointer(model).load(str(part))  # fine-tuning may start from a part
    with pytest.raises(ValueError, match=r"lacks 1 of the \d+ tensors .*class_embed\.weight"):
        ModelCheckpointer(model, complete=True).load(str(part))
    with pytest.raises(FileNotFoundError, match="check MODEL.WEIGHTS"):
        ModelCheckpointer(model).load(str(tmp_path / "nowhere.pth"))


def test_best_weights_survive_a_worse_evaluation_and_a_resume(tmp_path):
    net = torch.nn.Linear(1, 1)

    def evaluations(hook, scores, start):
        with EventStorage(start) as storage:
            hook.trainer = SimpleNamespace(storage=storage)
            for iteration, score in enumerate(scores, start):
                storage.iter = iteration
                storage.put_scalar("dvpq/all", score, smoothing_hint=False)
                net.weight.data.fill_(score)
                hook.after_step()

    def make():
        return BestWeights(("dvpq/all", "vpq/all"), lambda: net, str(tmp_path))

    hook = make()
    evaluations(hook, [3.0, 5.0, 4.0, float("nan")], start=0)
    saved = torch.load(tmp_path / "model_best.pth")
    assert (saved["dvpq/all"], saved["iteration"], saved["model"]["weight"].item()) == (5.0, 1, 5.0)
    resumed = make()
    resumed.load_state_dict(hook.state_dict())
    evaluations(resumed, [4.5], start=4)
    assert torch.load(tmp_path / "model_best.pth")["dvpq/all"] == 5.0
    assert not (tmp_path / "last_checkpoint").exists()


def test_pictures_of_validation_frames_reach_the_event_file(tiny_cfg):
    cfg = tiny_cfg("SOLVER.MAX_ITER", 1, "TEST.PICTURES", 1)
    run(cfg)
    (file,) = Path(cfg.OUTPUT_DIR).glob("events.out.tfevents*")
    assert b"validation/000000" in file.read_bytes()


def test_the_note_of_the_newest_checkpoint_is_whole_or_the_one_before(tmp_path, monkeypatch):
    checkpointer = ModelCheckpointer(torch.nn.Linear(1, 1), str(tmp_path))
    checkpointer.save("first")

    def killed(self, *args, **kwargs):
        self.open("w").close()  # begun, and nothing in it
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save("second")
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "first.pth")
