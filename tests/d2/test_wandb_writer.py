"""W&B beside TensorBoard, with a module that stands for it."""

import sys
from types import SimpleNamespace

import pytest

from dvps_d2.d2 import Trainer
from dvps_d2.d2.wandb_writer import WandbWriter


class Fake:
    """Records what a run sends; W&B's module and its run at once."""

    def __init__(self):
        self.started, self.logged, self.finished = [], [], 0

    def init(self, **options):
        self.started.append(options)
        return SimpleNamespace(
            id=options["id"] or f"id{len(self.started)}", log=self.log, finish=self.finish
        )

    def log(self, values, step):
        assert not self.logged or step >= self.logged[-1][0], "W&B drops steps that go back"
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1

    class Image:
        def __init__(self, picture):
            self.shape = picture.shape


@pytest.fixture
def wandb(monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_scalars_scores_and_pictures_arrive_in_order(tiny_cfg, wandb, tmp_path):
    cfg = tiny_cfg("WANDB.ENABLED", True, "WANDB.PROJECT", "cats", "TEST.PICTURES", 1)
    cfg.merge_from_list(["SOLVER.MAX_ITER", 3, "TEST.EVAL_PERIOD", 2])
    trainer = Trainer(cfg)
    trainer.train()
    (options,) = wandb.started
    assert (options["project"], options["name"], options["mode"]) == ("cats", "run", "online")
    assert options["config"]["SOLVER"]["MAX_ITER"] == 3
    assert wandb.finished == 1
    sent = {name for _, values in wandb.logged for name in values}
    assert {"total_loss", "lr", "dvpq/all", "vpq/all"} <= sent
    pictures = [(n, v) for _, values in wandb.logged for n, v in values.items() if "/0" in n]
    assert {name for name, _ in pictures} == {"validation/000000"}
    assert all(picture.shape[-1] == 3 for _, picture in pictures)
    steps = {s for s, values in wandb.logged for n in values if n.startswith("validation/")}
    assert steps == {1, 3}  # after two iterations, and at the end
    # TensorBoard got its files as well.
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_a_resumed_run_goes_on_in_the_same_place(wandb, tmp_path):
    for _ in range(2):
        WandbWriter(str(tmp_path), project="cats", mode="offline").close()
    assert [options["id"] for options in wandb.started] == [None, "id1"]


def test_what_is_missing_or_wrong_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises((ValueError, ModuleNotFoundError), match="pip install wandb"):
        WandbWriter(str(tmp_path), project="cats")
    with pytest.raises(ValueError, match="WANDB.MODE='later' is not one of online, offline"):
        WandbWriter(str(tmp_path), project="cats", mode="later")


def test_off_means_that_nothing_is_asked_of_wandb(tiny_cfg, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    names = [type(writer).__name__ for writer in Trainer(tiny_cfg()).build_writers()]
    assert "WandbWriter" not in names
    assert "TensorboardXWriter" in names
