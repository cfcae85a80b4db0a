"""An ordinary script of a user runs as it is, on whichever Detectron2 is installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_argument_parser
from detectron2.utils.events import EventStorage

DATA = Path(__file__).parents[1] / "data"
SCRIPT, CONFIG = DATA / "third_party_script.py", DATA / "third_party.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the script, then resume it for two more iterations; the output folder."""
    folder = tmp_path_factory.mktemp("scenes") / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--config-file", str(CONFIG)]
    options = ["OUTPUT_DIR", str(folder), "SOLVER.MAX_ITER"]
    for more in ([*options, "20"], ["--resume", *options, "22"]):
        done = subprocess.run(
            [*command, *more], env=environment, cwd=folder.parent, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return folder


def test_training_went_on_where_it_stopped(run):
    lines = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    losses = {line["iteration"]: line["total_loss"] for line in lines if "total_loss" in line}
    assert sorted(losses) == [19, 21]
    # The sum is 4.6 in the first iteration and a median of 20 in the first line.
    assert losses[21] < losses[19] < 3.5
    assert [line["iteration"] for line in lines if "sem_seg/mIoU" in line] == [9, 20, 22]
    saved = torch.load(run / "model_final.pth", map_location="cpu", weights_only=False)
    assert saved["iteration"] == 21
    assert saved["trainer"].keys() >= {"_trainer", "hooks"}


def test_scores(run):
    summary = json.loads((run / "summary.json").read_text())
    scores = summary["scores"]["sem_seg"]
    assert 50 < scores["mIoU"] <= 100  # 12 when nothing is learned
    assert scores["IoU-sky"] > 50
    assert 0 <= summary["scores"]["shapes"]["recall"] <= 1
    assert summary["segments"] > 0
    assert (run / "model_best.pth").is_file()


@pytest.mark.parametrize("name", ["panoptic", "instances", "truth"])
def test_pictures(run, name):
    drawn = cv2.imread(str(run / f"{name}.png"))
    picture = cv2.imread(str(run / "scenes" / "scene_6.png"))
    assert drawn.shape == (128, 192, 3)
    plain = cv2.resize(picture, (192, 128))
    assert (cv2.absdiff(drawn, plain) > 40).any()


# Made by running Detectron2 0.6 on a CPU: pictures (number, sum of pixels) and losses of the first
# two iterations.
FIRST_STEPS = [
    (
        [(3, 3472189), (0, 3777373)],
        {
            "loss_sem_seg": 2.070766,
            "loss_rpn_cls": 0.692776,
            "loss_rpn_loc": 0.004764,
            "loss_cls": 1.108491,
            "loss_box_reg": 0.001722,
            "loss_mask": 0.692455,
        },
    ),
    (
        [(1, 2100222), (5, 2105132)],
        {
            "loss_sem_seg": 2.371812,
            "loss_rpn_cls": 0.693159,
            "loss_rpn_loc": 0.006084,
            "loss_cls": 1.119803,
            "loss_box_reg": 0.153561,
            "loss_mask": 0.692436,
        },
    ),
]


@pytest.fixture
def script(tmp_path):
    """The script as a module, its config, and its data registered for the length of a test."""
    spec = importlib.util.spec_from_file_location("third_party_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = ["--config-file", str(CONFIG), "OUTPUT_DIR", str(tmp_path)]
    yield module, module.setup(default_argument_parser().parse_args(arguments))
    for split in ("train", "val"):
        DatasetCatalog.remove(f"scenes_{split}")
        MetadataCatalog.remove(f"scenes_{split}")


def test_a_seed_gives_the_weights_pictures_and_losses_of_the_original(script):
    module, cfg = script
    trainer = module.Trainer(cfg)
    batches = iter(trainer.data_loader)
    with EventStorage():
        for pictures, expected in FIRST_STEPS:
            batch = next(batches)
            seen = [(item["image_id"], int(item["image"].sum())) for item in batch]
            # Resizing may differ by a grey level between versions of Pillow.
            assert [number for number, _ in seen] == [number for number, _ in pictures]
            assert [s for _, s in seen] == pytest.approx([s for _, s in pictures], rel=1e-3)
            losses = trainer.model(batch)
            found = {name: loss.item() for name, loss in losses.items()}
            assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)
            trainer.optimizer.zero_grad()
            sum(losses.values()).backward()
            trainer.optimizer.step()
