"""The own-data example from start to end, by the commands of its README."""

import glob
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, commands_in

README = ROOT / "examples" / "own_data" / "README.md"
# What is made smaller: the first words of a command -> words put behind it.
SHORT = {
    "python examples/own_data/make_frames.py": ["--train", "2", "--val", "1"],
    "python train_net.py": """SOLVER.MAX_ITER 2 SOLVER.IMS_PER_BATCH 2 SOLVER.AMP.ENABLED False
        MODEL.DEVICE cpu MODEL.COMPACT_RESNET.WIDTH 16 MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS 1
        MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD 0.0 DATALOADER.NUM_WORKERS 0
        MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD 0.0""".split(),
}
# All commands in one process: importing PyTorch takes longer than most of them.
DRIVER = """
import json, logging, runpy, sys
from dvps_d2.cli import main
for words in json.load(sys.stdin):
    print("+", *words, flush=True)
    if words[0] == "dvps":
        code = main(words[1:])
        if code:
            sys.exit(f"{words} ended with {code}")
        continue
    sys.argv = words[1:]
    runpy.run_path(words[1], run_name="__main__")
"""


def prepared(command):
    """The words of a command, patterns expanded later, shortened for the test."""
    words = list(command.words)
    for start, more in SHORT.items():
        if command.text.startswith(start):
            words += more
    return words


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder in which all commands of the README have run."""
    folder = tmp_path_factory.mktemp("example")
    for name in ("examples", "configs", "train_net.py"):
        (folder / name).symlink_to(ROOT / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["DETECTRON2_DATASETS"] = str(folder)
    steps = [prepared(command) for command in commands_in(README)]
    # Patterns need the files of the first command.
    for part in (steps[:1], steps[1:]):
        expanded = [
            [w for word in words for w in (sorted(glob.glob(str(folder / word))) or [word])]
            if "*" in " ".join(words)
            else words
            for words in part
        ]
        result = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps(expanded),
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return folder / "output" / "own_data"


def test_every_command_of_the_readme_leaves_its_result(finished):
    for name in (
        "raw/masks/val/garden0/005.png",
        "data/train.json",
        "data/val/depth/garden0/000.png",
        "clips.png",
        "run/model_average.pth",
        "run/inference/garden_val/garden_val_scores.json",
        "predictions/pred.json",
        "demo/overlay.mp4",
    ):
        assert (finished / name).is_file(), name
    assert list(finished.glob("run/*.html"))


def test_what_was_imported_is_what_was_drawn(finished):
    from dvps_d2.formats import VideoPanopticReader
    from dvps_d2.formats.png import read_png

    reader = VideoPanopticReader("example", finished / "data/val.json")
    assert reader.categories.names == ("sky", "lawn", "cat", "ball")
    (record,) = reader.load_records(finished / "data")
    assert len(record["frames"]) == 6
    for frame in record["frames"]:
        name = Path(frame["file_name"]).stem
        drawn = read_png(finished / f"raw/masks/val/garden0/{name}.png")
        label = reader.read_panoptic(frame)
        assert ((drawn == 1) == (label.class_ids == 0)).all()
        assert ((drawn // 10 == 1) == (label.class_ids == 2)).all()
        metres = read_png(finished / f"raw/depth/val/garden0/{name}.png") / 1000
        assert abs(reader.read_depth(frame) - metres).max() <= 1 / 512 + 1e-6


def test_the_same_object_has_one_track(finished):
    from dvps_d2.formats import VideoPanopticReader
    from dvps_d2.formats.png import read_png

    reader = VideoPanopticReader("example", finished / "data/val.json")
    (record,) = reader.load_records(finished / "data")
    tracks = {}
    for frame in record["frames"]:
        drawn = read_png(finished / f"raw/masks/val/garden0/{Path(frame['file_name']).stem}.png")
        for number in set(drawn[drawn > 2].tolist()):
            found = set(reader.read_panoptic(frame).track_ids[drawn == number].tolist())
            tracks.setdefault(number, set()).update(found)
    assert all(len(found) == 1 for found in tracks.values())
    assert len({found.pop() for found in tracks.values()}) == len(tracks)
