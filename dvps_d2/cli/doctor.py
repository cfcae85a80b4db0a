"""Look the installation over and say what to do about what is wrong.

  dvps doctor
  dvps doctor --json findings.json

Looked at: Python, torch and torchvision and whether they fit, which Detectron2 this is, the other
packages, C++ compiler, GPU, CUDA toolkit, the compiled op, the datasets below $DETECTRON2_DATASETS
(default: datasets), free disk. A note is something that works without or slowly; a problem is
something that will fail. Exit code 0: no problem; 1: there are problems.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from dvps_d2.cli.diagnosis import machine, packages
from dvps_d2.cli.diagnosis.finding import PROBLEM, STATES, Finding

CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    packages.check_python,
    packages.check_torch,
    packages.check_detectron2,
    packages.check_requirements,
    packages.check_opencv,
    packages.check_pyav,
    machine.check_compiler,
    machine.check_gpu,
    machine.check_cuda_toolkit,
    machine.check_op,
    machine.check_datasets,
    machine.check_disk,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")


def run(args: argparse.Namespace) -> int:
    """Diagnose and tell; returns the exit code."""
    findings = [finding for check in CHECKS for finding in check()]
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    sys.stdout.write(report(findings))
    return 1 if any(finding.state == PROBLEM for finding in findings) else 0


def report(findings: Sequence[Finding]) -> str:
    """All findings as text, and how many of each state at the end."""
    lines = [line for finding in findings for line in finding.lines()]
    count = Counter(finding.state for finding in findings)
    totals = ", ".join(f"{count[state]} {state}" for state in STATES)
    return "\n".join([*lines, "", totals]) + "\n"
