"""Every command of the documents and of the help texts runs, in the order of the pages.

One after the other in one folder, the workshop, as a reader would who begins with the quick start:
so the module runs as a whole (``--dist loadscope``), not case by case. A command that several pages
show runs once. Three things stand for something else:

* Commands are made smaller by words put behind them, and a few words of the reader's choice
  (CONFIG, VIDEO) get a value: see ``SMALLER`` and ``CHOSEN``.
* ``make`` runs dry: what its targets do is what continuous integration does itself (test, lint,
  docs), or begins with an installation from PyPI (setup, demo).
* ``pip``, ``source`` and ``git`` do not run; ``tests/test_docs.py`` looks at what pip is told.

Commands marked ``# needs ...`` do not run at all; what may be marked is in ``NEEDS``.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from dvps_d2.formats.png import id_to_rgb, write_png
from dvps_d2.visualize import VideoWriter
from tests.commands import ROOT, Command, document_commands, help_commands, run_program

COMMANDS = document_commands() + help_commands()
NOT_RUN = ("pip", "source", "git")
NEEDS = {
    *("Cityscapes", "Cityscapes-VPS", "Cityscapes-DVPS", "KITTI", "SemKITTI-DVPS"),
    *("VIPER", "VIPSeg", "published weights", "a camera", "a stream", "a screen"),
    *("GitHub", "matplotlib"),
}  # fmt: skip
# Imported once, before any command. Not dvps_d2.d2: what is exported must be there when it is.
PRELOADED = [
    *("torch", "torchvision", "torch.utils.tensorboard", "scipy.optimize"),
    *("detectron2.engine", "detectron2.evaluation", "detectron2.projects.point_rend", "cv2"),
    *("detectron2.projects.deeplab", "dvps_d2.report", "dvps_d2.visualize", "tests.commands"),
]
TIMEOUT = 120  # seconds

# Words of the reader's choice.
CHOSEN = {
    r"\bCONFIG\b": "configs/experiments/street/mindvps_compact.yaml",
    r"\bVIDEO\b": "street.mp4",
    r"\bOLD_RUN\b": "output/demo",
    r"/path/to/datasets\b": "datasets",
    # As many processes as any machine has, on a port that nobody else uses.
    r"--num-gpus 8\b": "--num-gpus 2 --dist-url auto",
    r"--nproc-per-node 8\b": "--standalone --nproc-per-node 2",
}
STREET = "--train 2 --val 2 --frames-val 4 --height 64 --width 128 --workers 1"
TRAINING = """
    MODEL.COMPACT_RESNET.WIDTH 16 MODEL.COMPACT_RESNET.BLOCKS [1,1,1,1]
    MODEL.SEM_SEG_HEAD.CONVS_DIM 32 MODEL.SEM_SEG_HEAD.MASK_DIM 32
    MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS 1 MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_FEEDFORWARD 32
    MODEL.MASK_FORMER.HIDDEN_DIM 32 MODEL.MASK_FORMER.DIM_FEEDFORWARD 32
    MODEL.MASK_FORMER.DENOISING.GROUPS 1
    MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD 0.0 MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD 0.0
    SOLVER.IMS_PER_BATCH 2 SOLVER.MAX_ITER 2 SOLVER.WARMUP_ITERS 1
    SOLVER.AMP.ENABLED False DATALOADER.NUM_WORKERS 0 TEST.EVAL_PERIOD 0 TEST.PICTURES 0
"""
# What is in a command -> words put behind it; the last of two values counts.
SMALLER = {
    "make_street.py": STREET,
    "dvps make-street": STREET,
    "train_net.py": TRAINING,
    "make_frames.py": "--train 2 --val 1",
    "dvps analyze": "--size 64 96 --repeat 1",
    "tensorboard": "--inspect",  # instead of serving until it is stopped
}
# Packages of our extras, which the pages tell to install and `make test` does.
EXTRAS = {"dvps convert-weights": "safetensors"}
# Options whose value is a file or folder that must be there afterwards.
WRITTEN = ("--out", "--output", "--json", "--archive", "--root")


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: exit code; None when it took too long.
        told: its output.
        words: it was run with.
    """

    code: int | None
    told: str
    words: tuple[str, ...]


class Workshop:
    """The folder in which commands run.

    Python programs run in processes that are forked where PyTorch has been imported once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exported: dict[str, dict[str, str]] = {}  # document -> variables
        self._outcomes: dict[tuple, Outcome] = {}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def run(self, command: Command) -> Outcome:
        """Run a command, unless a page before had the same."""
        text = command.text
        for pattern, value in CHOSEN.items():
            text = re.sub(pattern, value, text)
        for part, more in SMALLER.items():
            if part in text:
                text = f"{text} {' '.join(more.split())}"
        exported = self._exported.setdefault(command.document, {})
        key = (text, *exported.items())
        if key not in self._outcomes:
            self._outcomes[key] = self._run(self._split(text), exported)
        return self._outcomes[key]

    def _split(self, text: str) -> tuple[str, ...]:
        """The words of a command, patterns of files expanded, as the shell sees it."""
        script = f"printf '%s\\0' {text}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return tuple(done.stdout.split("\0")[:-1])

    def _run(self, words: tuple[str, ...], exported: dict[str, str]) -> Outcome:
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            exported[name] = value
            return Outcome(0, "", words)
        if words[0] == "make":
            done = subprocess.run(
                ["make", "--dry-run", *words[1:]],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            return Outcome(done.returncode, done.stdout, words)
        for path in self.results(words):
            if path.is_file():  # of another command
                path.unlink()
        log = self.folder / "log.txt"
        log.write_text("")
        process = self._context.Process(
            target=run_program, args=(words, str(self.folder), str(log), exported)
        )
        process.start()
        process.join(TIMEOUT)
        too_long = process.is_alive()
        if too_long:
            process.terminate()
            process.join(10)
            process.kill()
            process.join()
        told = log.read_text("utf-8", errors="replace")
        return Outcome(None if too_long else process.exitcode, told, words)

    def results(self, words: tuple[str, ...]) -> list[Path]:
        """What a command must leave."""
        values = dict(pairwise(words))
        found = [values[option] for option in WRITTEN if option in values]
        if words[1] == "quickstart":
            found.append(f"{values['--run']}/result.json")
        if words[1] == "convert-weights":
            found.append(words[3])
        if words[1] == "demo" and words[2].endswith(".mp4") and "--output" not in values:
            found.append(f"demo/{Path(words[2]).stem}/overlay.mp4")
        if words[1] == "report" and "--output" not in values:
            run = (self.folder / words[2] / "config.yaml").is_file()
            found.append(f"{words[2]}/report.html" if run else f"{words[2]}.html")
        if "train_net.py" in words and "--eval-only" not in words and "OUTPUT_DIR" in values:
            found.append(f"{values['OUTPUT_DIR']}/model_average.pth")
        return [self.folder / name for name in found]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, street_root):
    """The project's files, small data beside them, and what pages take for granted."""
    folder = tmp_path_factory.mktemp("workshop")
    for name in ("configs", "examples", "benchmarks", "train_net.py"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "datasets").mkdir()
    for script in (ROOT / "datasets").glob("*.py"):
        (folder / "datasets" / script.name).symlink_to(script)
    frames = sorted((street_root / "video_sequence" / "val").glob("000000_*_leftImg8bit.png"))
    make_films(folder, [cv2.imread(str(path))[..., ::-1] for path in frames])
    make_own_data(folder)
    (folder / "output").mkdir()
    (folder / "output" / "other_run").symlink_to("demo")  # which the quick start will train
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=":")  # the preloading process has no other
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.delenv("DETECTRON2_DATASETS", raising=False)
        yield Workshop(folder)


def make_films(folder: Path, images: list[np.ndarray]) -> None:
    """street.mp4, frames/*.jpg, and long.mp4, a minute and a half at a frame a second."""
    for name, fps, film in (("street", 10, images[:3]), ("long", 1, (images * 16)[:92])):
        with VideoWriter(folder / f"{name}.mp4", fps) as video:
            for image in film:
                video.write(np.ascontiguousarray(image))
    (folder / "frames").mkdir()
    for number, image in enumerate(images[:3]):
        cv2.imwrite(str(folder / "frames" / f"street_{number}.jpg"), image[..., ::-1])


def make_own_data(folder: Path) -> None:
    """What `dvps import-data` takes: a cat (7) that walks over a lawn (1), in every form."""
    lawn, cat = 1, 2
    categories = [
        {"id": lawn, "name": "lawn", "isthing": 0},
        {"id": cat, "name": "cat", "isthing": 1},
    ]
    (folder / "categories.json").write_text(json.dumps(categories))
    (folder / "objects.json").write_text(json.dumps({"1": lawn, "7": cat}))
    coco = {"categories": categories, "images": [], "annotations": []}
    (folder / "images").mkdir()
    with VideoWriter(folder / "garden.mp4", 10) as video:
        for number in range(3):
            ids = np.ones((64, 128), np.uint8)
            ids[20:40, 30 + 10 * number : 60 + 10 * number] = 7
            image = np.stack([30 * ids] * 3, axis=-1)
            video.write(image)
            write_png(folder / f"garden_masks/{number:03}.png", ids)
            for name in ("a", "b"):
                write_png(folder / f"frames/{name}/{number:03}.png", image)
                write_png(folder / f"instances/{name}/{number:03}.png", ids * (ids == 7))
                classes = np.where(ids == 7, cat, lawn).astype(np.uint8)
                write_png(folder / f"classes/{name}/{number:03}.png", classes)
            # COCO's form, twice: of images/, and of the pictures of the street in frames/.
            cv2.imwrite(str(folder / f"images/street_{number}.jpg"), image)
            for masks in ("panoptic_train", "masks"):
                write_png(folder / masks / f"street_{number}.png", id_to_rgb(ids))
            size = {"height": 64, "width": 128}
            coco["images"].append({"id": number, "file_name": f"street_{number}.jpg", **size})
            segments = [
                {"id": i, "category_id": c, "iscrowd": 0, "area": int((ids == i).sum())}
                for i, c in ((1, lawn), (7, cat))
            ]
            entry = {"file_name": f"street_{number}.png", "segments_info": segments}
            coco["annotations"].append({"image_id": number, **entry})
    for name in ("panoptic_train", "ann"):
        (folder / f"{name}.json").write_text(json.dumps(coco))


def is_run(command: Command) -> bool:
    return not command.needs and command.words[0] not in NOT_RUN


@pytest.mark.parametrize("command", list(filter(is_run, COMMANDS)), ids=str)
def test_command(command, workshop):
    for start, package in EXTRAS.items():
        if command.text.startswith(start):
            pytest.importorskip(package)
    outcome = workshop.run(command)
    told = f"{command}\nrun as: {' '.join(outcome.words)}\n{outcome.told[-3000:]}"
    assert outcome.code is not None, f"it runs for more than {TIMEOUT} s: {told}"
    # What the doctor finds on a machine is no matter of the page.
    expected = (0, 1) if command.text.startswith("dvps doctor") else (0,)
    assert outcome.code in expected, f"exit code {outcome.code}: {told}"
    if command.words[0] in ("dvps", "python"):
        for path in workshop.results(outcome.words):
            assert path.exists(), f"{path.relative_to(workshop.folder)} is not there: {told}"


@pytest.mark.parametrize("text", [c.text for c in COMMANDS if c.text.endswith(" --predict")])
def test_a_report_agrees_with_the_evaluation_of_its_run(text, workshop):
    command = next(command for command in COMMANDS if command.text == text)
    assert "but the run's evaluation wrote" not in workshop.run(command).told


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.needs], ids=str)
def test_a_mark_names_what_a_test_machine_lacks(command):
    assert set(re.split(", | and ", command.needs)) <= NEEDS


def test_most_commands_run_and_all_of_dvps_are_among_them():
    run = [command for command in COMMANDS if is_run(command)]
    assert len(run) > 90
    assert {command.words[1] for command in run if command.words[0] == "dvps"} >= {
        *("analyze", "check", "convert-weights", "demo", "doctor", "import-data", "make-street"),
        *("predict", "quickstart", "report", "score", "view-data"),
    }
