"""Python and the packages: what is installed, and whether the parts fit together."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvps_d2.cli.diagnosis.finding import NOTE, OK, PROBLEM, Finding

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)  # what pyproject.toml promises and tests run on
OLDEST_TORCH = (2, 11)  # the compiled op is built for its stable ABI
# torch 2.N and torchvision 0.(N + 15) are released together.
RELEASED_TOGETHER = 15
SETUP = "make setup"
INSTALL_DETECTRON2 = (
    "`make setup` (embedded) or `make setup DETECTRON2=official`; elsewhere see embedded/README.md"
)


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution; None where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def import_failure(module: str, use: Callable[[Any], object] | None = None) -> str | None:
    """Import a module and use it; the first line of what went wrong, or None.

    Binaries of two packages that do not fit fail in many ways: a symbol, an operator or an
    attribute is missing, or a library does not load.
    """
    try:
        loaded = importlib.import_module(module)
        if use is not None:
            use(loaded)
    except Exception as error:  # any failure of a foreign package is a finding
        first = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"
    return None


def release(version: str) -> tuple[int, int]:
    """(major, minor) of a version such as "2.15.0+cu132"."""
    numbers = re.findall(r"\d+", version.split("+")[0])
    return int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0


def check_python() -> list[Finding]:
    """The interpreter."""
    version = tuple(sys.version_info[:2])
    text = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    wanted = "{}.{} to {}.{}".format(*OLDEST_PYTHON, *NEWEST_PYTHON)
    remedy = f"Python {wanted}: `make setup PYTHON=python{NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]}`"
    if version < OLDEST_PYTHON:
        return [Finding("Python", PROBLEM, f"{text} is too old", remedy)]
    if version > NEWEST_PYTHON:
        return [Finding("Python", NOTE, f"{text} has not been tried", remedy)]
    return [Finding("Python", OK, text)]


def check_torch() -> list[Finding]:
    """torch, and torchvision beside it."""
    version = installed_version("torch")
    if version is None:
        return [Finding("torch", PROBLEM, "not installed", SETUP)]
    failure = import_failure("torch", lambda torch: torch.zeros(2).sum())
    if failure:
        return [Finding("torch", PROBLEM, f"{version} does not work: {failure}", _reinstall())]
    if release(version) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        remedy = f'`pip install "torch>={oldest}" torchvision`'
        return [Finding("torch", PROBLEM, f"{version} is too old", remedy), *check_pair()]
    return [Finding("torch", OK, version), *check_pair()]


def check_pair() -> list[Finding]:
    """Whether torchvision belongs to this torch, by its own word and by running an operator."""
    torch, torchvision = installed_version("torch"), installed_version("torchvision")
    if torchvision is None:
        return [Finding("torchvision", PROBLEM, "not installed", _reinstall())]
    failure = import_failure("torchvision.ops", _run_an_operator)
    if failure:
        text = f"{torchvision} does not work with torch {torch}: {failure}"
        return [Finding("torchvision", PROBLEM, text, _reinstall())]
    state, text = judge_pair(torch, torchvision, declared_torch())
    return [Finding("torchvision", state, text, "" if state == OK else _reinstall())]


def judge_pair(torch: str, torchvision: str, declared: str | None) -> tuple[str, str]:
    """Whether two versions belong together.

    What the torchvision package declares decides. Up to 0.28 each torchvision wants exactly the
    torch of its release; 0.29 takes any torch from 2.14 on. A torchvision that declares nothing, as
    some builds do, is held to the numbers of releases.

    Args:
        torch: version of torch.
        torchvision: version of torchvision.
        declared: the versions of torch that it asks for, e.g. "==2.13.0"; None if it does not say.

    Returns:
        State and text of a finding.
    """
    text = f"{torchvision} for torch {torch}"
    builds = [version.partition("+")[2] for version in (torch, torchvision)]
    if declared is not None:
        from packaging.specifiers import SpecifierSet

        if not SpecifierSet(declared).contains(torch, prereleases=True):
            return PROBLEM, f"{torchvision} asks for torch {declared}, installed is {torch}"
    else:
        partner = f"0.{release(torch)[1] + RELEASED_TOGETHER}"
        if release(torchvision) != release(partner):
            return NOTE, f"{text}: that torch was released with torchvision {partner}"
    if all(builds) and builds[0] != builds[1]:
        return NOTE, f"{text}: one is built for {builds[0]}, the other for {builds[1]}"
    return OK, text


def declared_torch() -> str | None:
    """The versions of torch that the installed torchvision asks for."""
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires("torchvision") or ():
        requirement = Requirement(line)
        if requirement.name == "torch":
            return str(requirement.specifier) or None
    return None


def _run_an_operator(ops: Any) -> None:
    import torch

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    kept = ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
    if kept.tolist() != [0]:
        raise RuntimeError(f"non-maximum suppression of two equal boxes kept {kept.tolist()}")


def _reinstall() -> str:
    return "`pip install --upgrade torch torchvision`, both from the same index"


def check_detectron2() -> list[Finding]:
    """Which Detectron2 there is, the official or the embedded one, and whether it loads."""
    name = "Detectron2"
    spec = importlib.util.find_spec("detectron2")
    if spec is None:
        return [Finding(name, PROBLEM, "not installed", INSTALL_DETECTRON2)]
    if spec.origin is None:
        where = ", ".join(spec.submodule_search_locations or ())
        text = f"{where} is a folder without a package that hides Detectron2"
        return [Finding(name, PROBLEM, text, "run from another folder, or rename it")]
    version = installed_version("detectron2")
    folder = Path(spec.origin).parent
    if version is None:
        text = f"found at {folder} but not installed"
        return [Finding(name, PROBLEM, text, INSTALL_DETECTRON2)]
    kind = "embedded" if version.endswith("+embedded") else "official"
    if (folder / "_subset.py").exists() != (kind == "embedded"):  # a file of the embedded one only
        text = f"{version}, {kind}, is installed, but {folder} hides it"
        return [Finding(name, PROBLEM, text, "run from another folder, or clear PYTHONPATH")]
    failure = import_failure("detectron2.layers")
    if failure:
        text = f"{version}, {kind}, does not load: {failure}"
        return [Finding(name, PROBLEM, text, _rebuild(kind))]
    text = f"{version}, {kind}, at {folder}"
    if kind == "official" and not any(folder.glob("_C.*")):
        return [Finding(name, NOTE, f"{text}, without its compiled operators", _rebuild(kind))]
    return [Finding(name, OK, text)]


def _rebuild(kind: str) -> str:
    choice = " DETECTRON2=official" if kind == "official" else ""
    return f"build it again for this torch: `make clean && make setup{choice}`"


def check_requirements() -> list[Finding]:
    """The other packages that dvps_d2 asks for."""
    name = "requirements"
    try:
        lines = importlib.metadata.requires("dvps_d2") or []
    except importlib.metadata.PackageNotFoundError:
        text = "dvps_d2 runs from its folder without being installed"
        return [Finding(name, NOTE, text, "`make setup`, or `pip install -e .` in the clone")]
    names = [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    # Every distribution of OpenCV is fine; it has a check of its own.
    names = [each for each in names if not each.startswith("opencv")]
    missing = [each for each in names if installed_version(each) is None]
    if missing:
        remedy = f"`pip install {' '.join(missing)}`"
        return [Finding(name, PROBLEM, f"missing: {', '.join(missing)}", remedy)]
    return [Finding(name, OK, f"all {len(names)} are there")]


def check_opencv() -> list[Finding]:
    """OpenCV, whichever distribution it comes from."""
    failure = import_failure("cv2", lambda cv2: cv2.__version__)
    if failure:
        remedy = "`pip install opencv-python-headless` (it needs no libGL)"
        return [Finding("OpenCV", PROBLEM, f"does not load: {failure}", remedy)]
    suffixes = ("", "-headless")
    names = [f"opencv{contrib}-python{end}" for contrib in ("", "-contrib") for end in suffixes]
    found = [f"{each} {installed_version(each)}" for each in names if installed_version(each)]
    if len(found) > 1:
        text = f"{' and '.join(found)} overwrite each other's files"
        return [Finding("OpenCV", NOTE, text, "uninstall all of them, then install one")]
    return [Finding("OpenCV", OK, found[0] if found else "there, from no distribution on PyPI")]


def check_pyav() -> list[Finding]:
    """PyAV, for films in H.264; optional, because OpenCV reads videos and writes MPEG-4."""
    version = installed_version("av")
    failure = import_failure("av") if version else "not installed"
    if failure:
        text = f"films are MPEG-4 by OpenCV, which few browsers play: {failure}"
        return [Finding("PyAV", NOTE, text, "`pip install av` for films in H.264")]
    return [Finding("PyAV", OK, version)]
