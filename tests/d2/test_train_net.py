"""train_net.py as people start it: several processes train as one, killed runs resume."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]

OVERRIDES = """
    MODEL.DEVICE cpu MODEL.META_ARCHITECTURE MinDVPS
    MODEL.BACKBONE.NAME build_resnet_backbone MODEL.BACKBONE.FREEZE_AT 0
    MODEL.RESNETS.DEPTH 18 MODEL.RESNETS.RES2_OUT_CHANNELS 64 MODEL.RESNETS.STRIDE_IN_1X1 False
    MODEL.RESNETS.OUT_FEATURES ['res2','res3','res4','res5'] MODEL.RESNETS.NORM FrozenBN
    MODEL.SEM_SEG_HEAD.FPN_IN_FEATURES ['res2'] MODEL.DVPS.COARSE_AUXILIARY False
    MODEL.SEM_SEG_HEAD.CONVS_DIM 32 MODEL.SEM_SEG_HEAD.MASK_DIM 32
    MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS 1 MODEL.MASK_FORMER.HIDDEN_DIM 32
    MODEL.MASK_FORMER.DENOISING.GROUPS 0 MODEL.MASK_FORMER.NUM_OBJECT_QUERIES 12
    MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD 0.0 MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD 0.0
    SOLVER.AMP.ENABLED False SOLVER.EMA_DECAY 0.0 SOLVER.IMS_PER_BATCH 2 SOLVER.MAX_ITER 2
    SOLVER.BASE_LR 0.0001 DATALOADER.NUM_WORKERS 0 TEST.PICTURES 0 SEED 5
""".split()

LAUNCHERS = {
    "one process": (),
    "--num-gpus 2": ("--num-gpus", "2", "--dist-url", "auto"),
    "torchrun": (),
}


def start(launcher, datasets, folder, *overrides, options=()):
    """Start train_net.py in a process of its own."""
    program = ["train_net.py"]
    if launcher == "torchrun":
        program = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    command = [
        sys.executable, *program, *LAUNCHERS[launcher], *options,
        "--config-file", "configs/experiments/street/mindvps_compact.yaml",
        *OVERRIDES, "OUTPUT_DIR", str(folder), *overrides,
    ]  # fmt: skip
    environment = {**os.environ, "DETECTRON2_DATASETS": str(datasets), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def finish(process):
    """Wait for a process that must succeed."""
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]


def train(launcher, datasets, folder):
    """Run train_net.py; returns (losses by iteration, scores)."""
    finish(start(launcher, datasets, folder))
    lines = [json.loads(x) for x in (folder / "metrics.json").read_text().splitlines()]
    losses = {line["iteration"]: line["total_loss"] for line in lines if "total_loss" in line}
    scores = {k: v for line in lines for k, v in line.items() if "/all" in k or "abs_rel" in k}
    return losses, scores


@pytest.fixture(scope="module")
def datasets(street_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    (root / "street").symlink_to(street_root, target_is_directory=True)
    return root


@pytest.fixture(scope="module")
def alone(datasets, tmp_path_factory):
    return train("one process", datasets, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("launcher", ["--num-gpus 2", "torchrun"])
def test_two_processes_equal_one(alone, datasets, tmp_path, launcher):
    losses, scores = train(launcher, datasets, tmp_path)
    expected_losses, expected_scores = alone
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert scores.keys() == expected_scores.keys()
    assert len(scores) > 2
    # Scores are counts of pixels behind thresholds: weights equal to float32 rounding may move
    # a few of them.
    assert scores == pytest.approx(expected_scores, abs=0.5, nan_ok=True)


def test_a_killed_run_resumes_to_the_same_weights(datasets, tmp_path):
    steps = ("SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "1", "DATASETS.TEST", "()")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    first = start("one process", datasets, whole, *steps)
    second = start("one process", datasets, killed, *steps)
    marker = killed / "last_checkpoint"
    deadline = time.monotonic() + 300
    while not marker.exists() and second.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    second.kill()
    second.communicate()
    finish(first)
    assert marker.read_text() != "model_final.pth", "the run ended before it could be killed"
    finish(start("one process", datasets, killed, *steps, options=("--resume",)))
    expected = torch.load(whole / "model_final.pth", weights_only=False)["model"]
    resumed = torch.load(killed / "model_final.pth", weights_only=False)["model"]
    for name, value in expected.items():
        assert torch.equal(value, resumed[name]), name
