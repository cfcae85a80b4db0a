"""What ``datasets/prepare_*.py`` have in common: arguments, messages, ``--check``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvps_d2.formats import READERS
from dvps_d2.formats.check import check_dataset
from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.prepare import cityscapes_dvps, cityscapes_vps, semkitti_dvps, viper, vipseg


@dataclass(frozen=True)
class Option:
    """One command-line option, handed to the preparation under its name."""

    flag: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Keyword of the preparation function."""
        return self.settings.get("dest", self.flag.lstrip("-").replace("-", "_"))


@dataclass(frozen=True)
class Preparation:
    """How one dataset is prepared.

    Attributes:
        prepare: called with the root and the options.
        splits: splits it can prepare.
        options: what it takes beside ``splits``, ``workers`` and ``subset``.
    """

    prepare: Callable[..., None]
    splits: tuple[str, ...]
    options: tuple[Option, ...]


def _path(flag: str, told: str, *, required: bool = False) -> Option:
    return Option(flag, {"type": Path, "help": told, "required": required})


def _how(default: str) -> Option:
    choices = ["copy", "hardlink", "symlink"]
    told = f"how images get to their place ({default})"
    return Option("--how", {"choices": choices, "default": default, "help": told})


PREPARATIONS = {
    "cityscapes_vps": Preparation(
        cityscapes_vps.prepare,
        cityscapes_vps.SPLITS,
        (
            _path("--images", "Cityscapes' leftImg8bit_sequence/val"),
            _path("--gtfine", "Cityscapes' gtFine/val"),
            _how("copy"),
        ),
    ),
    "cityscapes_dvps": Preparation(
        cityscapes_dvps.prepare,
        cityscapes_dvps.SPLITS,
        (_path("--vps", "prepared Cityscapes-VPS", required=True), _how("copy")),
    ),
    "viper": Preparation(
        viper.prepare,
        viper.SPLITS,
        (
            _path("--out", "where to (the root itself)"),
            Option("--sequences", {"nargs": "+", "help": "sequence ids such as 001 (all)"}),
            Option(
                "--frames",
                {
                    "type": int,
                    "dest": "frame_limit",
                    "metavar": "N",
                    "help": "first frames of a sequence (all)",
                },
            ),
            Option("--step", {"type": int, "default": 1, "help": "take every n-th of them (1)"}),
            _how("hardlink"),
        ),
    ),
    "vipseg": Preparation(
        vipseg.prepare,
        vipseg.SPLITS,
        (
            _path("--out", "where to (VIPSeg_720P below the root)"),
            Option(
                "--rows", {"type": int, "default": vipseg.ROWS, "help": "height in pixels (720)"}
            ),
        ),
    ),
    "semkitti_dvps": Preparation(
        semkitti_dvps.prepare,
        semkitti_dvps.SPLITS,
        (_path("--kitti", "KITTI odometry's sequences folder", required=True), _how("copy")),
    ),
}


def main(name: str, description: str, argv: Sequence[str] | None = None) -> int:
    """Run the preparation or the check of one dataset.

    Args:
        name: key of ``PREPARATIONS`` and of ``READERS``.
        description: text of ``--help``.
        argv: arguments; None = those of the process.

    Returns:
        Exit code: 0 when all went well, 1 when something is missing or wrong.
    """
    preparation = PREPARATIONS[name]
    args = _parser(preparation, description).parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    try:
        if args.check:
            return _check(name, args)
        options = {option.name: getattr(args, option.name) for option in preparation.options}
        missing = [o.flag for o in preparation.options if _is_missing(o, options)]
        if missing:
            raise ValueError(f"{' and '.join(missing)} must be given (see --help)")
        common = {"splits": args.splits, "workers": args.workers, "subset": args.subset}
        preparation.prepare(args.root, **options, **common)
    except (FormatError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to go on\n")
        return 130
    sys.stdout.write(f"done; look it over with --root {args.root} --check\n")
    return 0


def _is_missing(option: Option, options: dict[str, Any]) -> bool:
    return bool(option.settings.get("required")) and options[option.name] is None


def _check(name: str, args: argparse.Namespace) -> int:
    root = getattr(args, "out", None) or args.root
    splits = args.splits if args.splits_given else None
    report = check_dataset(
        READERS[name], root, splits=splits, subset=args.subset, workers=args.workers
    )
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 1 if report.has_errors else 0


class _Splits(argparse.Action):
    """Stores the splits and that they were named."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        namespace.splits = values
        namespace.splits_given = True


def _parser(preparation: Preparation, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    splits = list(preparation.splits)
    parser.add_argument("--root", type=Path, required=True, help="the dataset's folder")
    parser.add_argument(
        "--splits", nargs="+", choices=splits, default=splits, action=_Splits, help="(all)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--subset", type=int, help="only the first N videos of each split")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; open and check every file"
    )
    for option in preparation.options:
        # Not needed for --check, so `main` looks whether required ones are there.
        parser.add_argument(
            option.flag, **{k: v for k, v in option.settings.items() if k != "required"}
        )
    parser.set_defaults(splits_given=False)
    return parser
