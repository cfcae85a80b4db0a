"""The ``dvps`` command: ``dvps <command> ...``, or ``python -m dvps_d2.cli``.

A command is a module with ``add_arguments(parser)`` and ``run(args) -> int``; it is imported only
when it is asked for, so that scoring a folder never loads torch.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

STOPPED = 130  # exit code after Ctrl-C, as shells have it

# command -> (module, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "convert-weights": (
        "dvps_d2.cli.convert_weights",
        "turn a published checkpoint into a safetensors file",
    ),
    "analyze": ("dvps_d2.cli.analyze", "parameters, FLOPs, memory and seconds of a model"),
    "check": ("dvps_d2.cli.check", "look a dataset over before training on it"),
    "import-data": (
        "dvps_d2.cli.import_data",
        "turn COCO panoptic files or videos with masks into own data",
    ),
    "demo": ("dvps_d2.cli.demo", "film what a model says about any video, camera or stream"),
    "doctor": ("dvps_d2.cli.doctor", "look the installation over and say what to do"),
    "make-street": ("dvps_d2.cli.make_street", "render a street data set in a real one's files"),
    "predict": ("dvps_d2.cli.predict", "predict a dataset and write its submission"),
    "quickstart": ("dvps_d2.cli.quickstart", "compare a street run with a baseline and draw it"),
    "view-data": ("dvps_d2.cli.view_data", "draw what training is fed, after augmentation"),
    "report": ("dvps_d2.cli.report", "one HTML page: scores, a player with errors, tracks"),
    "score": ("dvps_d2.cli.score", "score folders of predictions against ground truth"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program name; None = those of the process.

    Returns:
        Exit code: 0 when all went well, 1 for bad input, 2 for bad arguments, 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0 if argv else 2
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        sys.stderr.write(f"dvps: unknown command {name!r}\n{_usage()}")
        return 2
    # fvcore, which Detectron2 imports, still uses torch.jit.script; users cannot change that.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
    try:
        module, parser = load_command(name)
        try:
            args = parser.parse_args(rest)
        except SystemExit as exit_:  # argparse has printed what it has to say
            return int(exit_.code or 0)
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
        return module.run(args)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"dvps {name}: {_one_message(error)}\n")
        return 1
    except KeyboardInterrupt:  # of a command that has nothing to complete
        sys.stderr.write(f"\ndvps {name}: stopped\n")
        return STOPPED


def load_command(name: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """The module of a command, imported only now, and its argument parser.

    Raises:
        KeyError: no command has this name.
    """
    module_name, summary = COMMANDS[name]
    module = import_module(module_name)
    parser = argparse.ArgumentParser(
        prog=f"dvps {name}",
        description=module.__doc__ or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return module, parser


def _one_message(error: ValueError | OSError) -> str:
    """The file first, and no number of the system's."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in sorted(COMMANDS.items())]
    return "usage: dvps <command> ...\n\n" + "\n".join(lines) + "\n"
