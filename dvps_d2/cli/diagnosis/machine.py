"""The machine: compiler, GPU, CUDA toolkit, the compiled op, datasets, disk."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from dvps_d2.cli.diagnosis.finding import NOTE, OK, PROBLEM, Finding
from dvps_d2.cli.diagnosis.packages import import_failure, installed_version

GIB = 2**30
# A demo takes 1 GiB, an environment with CUDA 6 GiB, a prepared dataset 20 GiB and more.
LITTLE_DISK, TOO_LITTLE_DISK = 20 * GIB, 2 * GIB
BUILD = "`DVPS_BUILD_OPS=1 pip install --no-build-isolation -e .` in the clone"


def check_compiler() -> list[Finding]:
    """A C++ compiler, which the compiled op and the official Detectron2 are built with."""
    asked = os.environ.get("CXX", "").split()
    names = asked[:1] or ["c++", "g++"]
    path = next(filter(None, map(shutil.which, names)), None)
    if path is not None:
        return [Finding("C++ compiler", OK, first_line([path, "--version"]) or path)]
    if asked:
        text = f"CXX={asked[0]} is not there"
        return [Finding("C++ compiler", PROBLEM, text, "point CXX at a compiler, or unset it")]
    text = "none: plain PyTorch in place of the compiled op, and no official Detectron2"
    return [Finding("C++ compiler", NOTE, text, "`apt install g++`, then `make setup` again")]


def first_line(command: list[str]) -> str:
    """First line that a program prints; empty when it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.splitlines() or [""])[0] if done.returncode == 0 else ""


def check_gpu() -> list[Finding]:
    """The GPUs that torch can use."""
    if import_failure("torch"):
        return []
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
        return [Finding("GPU", OK, f"{names} (torch for CUDA {torch.version.cuda})")]
    driver = first_line(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if not driver:
        text = "none: everything runs on the CPU"
        return [Finding("GPU", NOTE, text, "full-size models want one; the street needs none")]
    if torch.version.cuda is None:
        text = f"{driver} is there, but this torch is built without CUDA"
        return [Finding("GPU", PROBLEM, text, "install torch and torchvision built for CUDA")]
    text = f"{driver} is there, but torch for CUDA {torch.version.cuda} cannot use it"
    remedy = "a newer driver, or torch and torchvision built for an older CUDA (pytorch.org)"
    return [Finding("GPU", PROBLEM, text, remedy)]


def check_cuda_toolkit() -> list[Finding]:
    """The CUDA compiler, which only building kernels for a GPU needs."""
    nvcc = find_nvcc()
    built_for = None
    if not import_failure("torch"):
        import torch

        built_for = torch.version.cuda
    if nvcc is None:
        text = "no nvcc: no kernels for GPUs can be built"
        remedy = "to build them, install the toolkit of torch's CUDA version and set CUDA_HOME"
        return [Finding("CUDA toolkit", NOTE, text, remedy)]
    version = toolkit_version(nvcc)
    text = f"{version or 'unknown version'} at {nvcc}"
    if built_for and version and version.split(".")[0] != built_for.split(".")[0]:
        text += f", but torch is built for CUDA {built_for}"
        remedy = f"to build kernels, point CUDA_HOME at a toolkit {built_for.split('.')[0]}.x"
        return [Finding("CUDA toolkit", NOTE, text, remedy)]
    return [Finding("CUDA toolkit", OK, text)]


def find_nvcc() -> str | None:
    """Path of nvcc: below ``CUDA_HOME`` if that is set, on the PATH, or where it is by default."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        return shutil.which("nvcc", path=str(Path(home) / "bin"))
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def toolkit_version(nvcc: str) -> str | None:
    """Version of a CUDA toolkit, "13.0"."""
    try:
        done = subprocess.run(
            [nvcc, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"release (\d+\.\d+)", done.stdout)
    return found.group(1) if found else None


def check_op() -> list[Finding]:
    """Whether deformable attention runs compiled or in plain PyTorch, per kind of device."""
    if import_failure("torch"):
        return []
    import torch

    from dvps_d2.ops import active_path

    logging.getLogger("dvps_d2.ops.path").setLevel(logging.WARNING)  # said here, in our words
    findings = []
    for device in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        try:
            path = active_path(device)
        except RuntimeError as error:
            findings.append(Finding("compiled op", PROBLEM, f"{device}: {error}", BUILD))
            continue
        if path == "compiled":
            findings.append(Finding("compiled op", OK, f"{device}: compiled"))
        else:
            remedy = BUILD + ("; FORCE_CUDA=1 beside it" if device == "cuda" else "")
            text = f"{device}: plain PyTorch, which is slower"
            findings.append(Finding("compiled op", NOTE, text, remedy))
    return findings


def check_datasets(root: Path | None = None) -> list[Finding]:
    """The datasets below ``$DETECTRON2_DATASETS``, one finding each.

    Args:
        root: another folder to look in.
    """
    asked = os.environ.get("DETECTRON2_DATASETS")
    root = root or Path(asked or "datasets").expanduser()
    make = f"`python datasets/make_street.py --layout cityscapes_dvps --root {root / 'street'}`"
    if not root.is_dir():
        if asked:
            text = f"DETECTRON2_DATASETS={asked} is no folder"
            return [Finding("datasets", PROBLEM, text, "point it at the folder of your datasets")]
        text = f"no folder {root} here"
        remedy = f"{make}, or export DETECTRON2_DATASETS=<folder>"
        return [Finding("datasets", NOTE, text, remedy)]
    if any(installed_version(name) is None for name in ("numpy", "Pillow")):
        return []  # told as missing requirements
    from dvps_d2.formats import READERS

    findings = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        names = [name for name, reader in READERS.items() if reader.recognises(folder)]
        if names:
            findings.append(Finding("dataset", OK, f"{folder}: {' or '.join(names)}"))
    if not findings:
        text = f"none below {root}"
        return [Finding("datasets", NOTE, text, f"datasets/README.md; to make one: {make}")]
    return findings


def check_disk(folder: Path | None = None) -> list[Finding]:
    """Free space where output goes.

    Args:
        folder: another folder than the current one.
    """
    folder = (folder or Path()).resolve()
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free at {folder}"
    if free < TOO_LITTLE_DISK:
        return [Finding("disk", PROBLEM, text, "make room, or choose OUTPUT_DIR elsewhere")]
    if free < LITTLE_DISK:
        return [Finding("disk", NOTE, text, "enough for the street, little for a dataset")]
    return [Finding("disk", OK, text)]
