"""`dvps doctor` under faked conditions: what it finds, what it advises, its exit code."""

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from types import ModuleType, SimpleNamespace

import pytest

from dvps_d2.cli import doctor, main
from dvps_d2.cli.diagnosis import machine, packages
from dvps_d2.cli.diagnosis.finding import Finding

GIB = 2**30


@pytest.fixture
def versions(monkeypatch):
    """Fake the versions of installed distributions; None = not installed."""

    def fake(**table):
        real = packages.installed_version
        look_up = lambda name: table.get(name, real(name))  # noqa: E731
        monkeypatch.setattr(packages, "installed_version", look_up)

    return fake


@pytest.fixture
def fails(monkeypatch):
    """Fake modules that fail when imported."""

    def fake(**table):
        real = packages.import_failure
        look_up = lambda name, use=None: table.get(name) or real(name, use)  # noqa: E731
        monkeypatch.setattr(packages, "import_failure", look_up)

    return fake


def only(findings):
    """The one finding of a check."""
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10, 9), "problem"), ((3, 11, 0), "ok"), ((3, 13, 2), "ok"), ((3, 14, 0), "note")],
)
def test_python(monkeypatch, version, state):
    monkeypatch.setattr(sys, "version_info", version)
    found = only(packages.check_python())
    assert found.state == state
    assert ".".join(map(str, version)) in found.text
    assert ("PYTHON=python3.13" in found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("torch", "torchvision", "declared", "state"),
    [
        pytest.param("2.13.0", "0.28.0", "==2.13.0", "ok", id="released together"),
        pytest.param("2.13.0+cpu", "0.28.0+cpu", "==2.13.0", "ok", id="builds of one kind"),
        pytest.param("2.15.0", "0.29.2", ">=2.14.0", "ok", id="stable ABI takes later torch"),
        pytest.param("2.15.0", "0.28.0", "==2.13.0", "problem", id="torch moved on alone"),
        pytest.param("2.13.0", "0.29.0", ">=2.14.0", "problem", id="torchvision moved on alone"),
        pytest.param("2.12.1", "0.27.0", None, "ok", id="declares nothing, numbers fit"),
        pytest.param("2.12.1", "0.26.0", None, "note", id="declares nothing, numbers do not fit"),
        pytest.param("2.13.0+cu130", "0.28.0+cpu", "==2.13.0", "note", id="two builds"),
    ],
)
def test_which_torchvision_belongs_to_a_torch(torch, torchvision, declared, state):
    found, text = packages.judge_pair(torch, torchvision, declared)
    assert found == state
    assert torch in text
    assert torchvision in text


def test_missing_torch(versions):
    versions(torch=None)
    found = only(packages.check_torch())
    assert (found.state, found.remedy) == ("problem", "make setup")


def test_old_torch(versions, fails):
    versions(torch="2.9.1", torchvision="0.24.1")
    found = packages.check_torch()[0]
    assert found.state == "problem"
    assert "torch>=2.11" in found.remedy


def test_torchvision_whose_operators_do_not_register(fails):
    error = "RuntimeError: operator torchvision::nms does not exist"
    fails(**{"torchvision.ops": error})
    found = only(packages.check_pair())
    assert found.state == "problem"
    assert error in found.text
    assert "from the same index" in found.remedy


def test_torchvision_that_computes_nonsense(monkeypatch):
    import torchvision.ops

    monkeypatch.setattr(torchvision.ops, "nms", lambda boxes, *_: boxes[:, 0].long())
    assert "kept [0, 0]" in only(packages.check_pair()).text


def test_torch_and_torchvision_of_this_environment_work():
    assert [found.state for found in packages.check_torch()] == ["ok", "ok"]


@pytest.fixture
def detectron2(tmp_path, monkeypatch, versions):
    """Fake an installed Detectron2 of some version and files."""

    def fake(version, *files):
        folder = tmp_path / "detectron2"
        folder.mkdir()
        for name in ("__init__.py", *files):
            (folder / name).touch()
        origin = str(folder / "__init__.py")
        spec = SimpleNamespace(origin=origin, submodule_search_locations=[str(folder)])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
        versions(detectron2=version)

    return fake


@pytest.mark.parametrize(
    ("version", "files", "state", "telling"),
    [
        ("0.6+embedded", ["_subset.py"], "ok", "0.6+embedded, embedded, at "),
        ("0.6", ["_C.abi3.so"], "ok", "0.6, official, at "),
        ("0.6", [], "note", "without its compiled operators"),
        ("0.6+embedded", [], "problem", "hides it"),
        (None, [], "problem", "but not installed"),
    ],
)
def test_which_detectron2(detectron2, version, files, state, telling):
    detectron2(version, *files)
    found = only(packages.check_detectron2())
    assert found.state == state
    assert telling in found.text


def test_detectron2_built_for_another_torch(detectron2, fails):
    detectron2("0.6", "_C.abi3.so")
    fails(**{"detectron2.layers": "ImportError: undefined symbol: _ZN2at4_ops5zeros"})
    found = only(packages.check_detectron2())
    assert "undefined symbol" in found.text
    assert "make clean && make setup DETECTRON2=official" in found.remedy


def test_no_detectron2(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = only(packages.check_detectron2())
    assert found.state == "problem"
    assert "make setup DETECTRON2=official" in found.remedy


def test_a_folder_that_hides_detectron2(monkeypatch):
    spec = SimpleNamespace(origin=None, submodule_search_locations=["/some/detectron2"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert "/some/detectron2 is a folder without" in only(packages.check_detectron2()).text


def test_requirements_name_what_is_missing(monkeypatch, versions):
    lines = ["scipy", "yacs>=0.1.8", "opencv-python-headless", 'av; extra == "video"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    versions(scipy="1.0", yacs=None)
    found = only(packages.check_requirements())
    assert (found.state, found.text) == ("problem", "missing: yacs")
    versions(yacs="0.1.8")
    assert only(packages.check_requirements()).text == "all 2 are there"


def test_requirements_of_a_clone_that_is_not_installed(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert only(packages.check_requirements()).state == "note"


def test_opencv(versions, fails):
    versions(**{"opencv-python": "5.0", "opencv-python-headless": "5.0"})
    assert "overwrite each other" in only(packages.check_opencv()).text
    fails(cv2="ImportError: libGL.so.1: cannot open shared object file")
    found = only(packages.check_opencv())
    assert found.state == "problem"
    assert "opencv-python-headless" in found.remedy


def test_pyav_is_optional(versions):
    versions(av=None)
    found = only(packages.check_pyav())
    assert found.state == "note"
    assert "MPEG-4 by OpenCV" in found.text


def test_compiler(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(machine.check_compiler()).state == "note"
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'g++ 12.2.0'\necho copyright\n")
    compiler.chmod(0o755)
    assert only(machine.check_compiler()) == Finding("C++ compiler", "ok", "g++ 12.2.0")
    monkeypatch.setenv("CXX", "clang++-99 -stdlib=libc++")
    found = only(machine.check_compiler())
    assert (found.state, found.text) == ("problem", "CXX=clang++-99 is not there")


@pytest.mark.parametrize(
    ("driver", "built_for", "state", "telling"),
    [
        ("", "13.2", "note", "on the CPU"),
        ("NVIDIA H200, 550.54", "13.2", "problem", "torch for CUDA 13.2 cannot use it"),
        ("NVIDIA H200, 550.54", None, "problem", "built without CUDA"),
    ],
)
def test_gpu_that_torch_does_not_use(monkeypatch, driver, built_for, state, telling):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(machine, "first_line", lambda command: driver)
    found = only(machine.check_gpu())
    assert found.state == state
    assert telling in found.text


@pytest.mark.parametrize(
    ("toolkit", "built_for", "state"),
    [
        (None, "13.2", "note"),
        ("13.0", "13.2", "ok"),
        ("12.4", "13.2", "note"),
        ("12.4", None, "ok"),
    ],
)
def test_cuda_toolkit(monkeypatch, tmp_path, toolkit, built_for, state):
    import torch

    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(torch.version, "cuda", built_for)
    if toolkit:
        nvcc = tmp_path / "bin" / "nvcc"
        nvcc.parent.mkdir()
        nvcc.write_text(f"#!/bin/sh\necho 'Cuda tools, release {toolkit}, V{toolkit}.88'\n")
        nvcc.chmod(0o755)
    found = only(machine.check_cuda_toolkit())
    assert found.state == state
    assert found.text.startswith(f"{toolkit} at " if toolkit else "no nvcc")


def test_a_program_that_does_not_answer(monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    assert machine.first_line(["nvidia-smi"]) == ""


def failing(device):
    raise RuntimeError("_C.so does not load: undefined symbol")


@pytest.mark.parametrize(
    ("active_path", "state", "telling"),
    [
        (lambda device: "compiled", "ok", "cpu: compiled"),
        (lambda device: "reference", "note", "cpu: plain PyTorch"),
        (failing, "problem", "undefined symbol"),
    ],
)
def test_compiled_op(monkeypatch, active_path, state, telling):
    import torch

    import dvps_d2.ops

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(dvps_d2.ops, "active_path", active_path)
    found = only(machine.check_op())
    assert found.state == state
    assert telling in found.text
    assert ("DVPS_BUILD_OPS=1" in found.remedy) == (state != "ok")


def test_datasets_that_are_there(street_root, monkeypatch, tmp_path):
    (tmp_path / "street").symlink_to(street_root)
    (tmp_path / "something_else").mkdir()
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    found = only(machine.check_datasets())
    assert (found.state, found.text) == ("ok", f"{tmp_path / 'street'}: cityscapes_dvps")


def test_datasets_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    found = only(machine.check_datasets())
    assert found.state == "note"
    assert "make_street.py" in found.remedy
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "mistyped"))
    assert only(machine.check_datasets()).state == "problem"
    monkeypatch.delenv("DETECTRON2_DATASETS")
    monkeypatch.chdir(tmp_path)
    assert only(machine.check_datasets()).state == "note"


@pytest.mark.parametrize(("free", "state"), [(1, "problem"), (10, "note"), (100, "ok")])
def test_disk(monkeypatch, free, state):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(200 * GIB, 0, free * GIB))
    found = only(machine.check_disk())
    assert found.state == state
    assert found.text.startswith(f"{free}.0 GiB free")


def test_a_finding_has_a_remedy_exactly_when_it_needs_one():
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("disk", "problem", "full")
    with pytest.raises(ValueError, match="needs a remedy"):
        Finding("disk", "ok", "empty", "do nothing")
    with pytest.raises(ValueError, match="state must be one of"):
        Finding("disk", "bad", "full", "make room")


@pytest.mark.parametrize(
    ("state", "remedy", "code"), [("ok", "", 0), ("note", "do this", 0), ("problem", "do this", 1)]
)
def test_report_json_and_exit_code(monkeypatch, capsys, tmp_path, state, remedy, code):
    finding = Finding("thing", state, "what is there", remedy)
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [finding], list))
    assert main(["doctor", "--json", str(tmp_path / "out.json")]) == code
    written = json.loads((tmp_path / "out.json").read_text())
    assert written == [{"name": "thing", "state": state, "text": "what is there", "remedy": remedy}]
    shown = capsys.readouterr().out
    assert f"{state:<8}thing         what is there" in shown
    assert (f"-> {remedy}" in shown) == bool(remedy)
    assert f"1 {state}" in shown.splitlines()[-1]


def test_the_whole_command_tells_of_everything(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code = main(["doctor"])
    shown = capsys.readouterr().out
    for name in ("Python", "torchvision", "Detectron2", "OpenCV", "compiler", "GPU", "op", "disk"):
        assert name in shown
    assert code == (0 if "0 problem" in shown else 1)


def test_a_module_that_fails_in_any_way_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "broken", ModuleType("broken"))
    assert packages.import_failure("broken") is None
    told = packages.import_failure("broken", lambda module: module.absent)
    assert told == "AttributeError: module 'broken' has no attribute 'absent'"
    assert packages.import_failure("not_there_at_all").startswith("ModuleNotFoundError")
