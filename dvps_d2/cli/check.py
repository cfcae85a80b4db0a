"""Look a dataset over: tree, counts, every image, label and depth map.

examples:
  dvps check datasets/cityscapes-dvps   # needs Cityscapes-DVPS
  dvps check datasets/VIPSeg --dataset vipseg --split val --every 5 --workers 4   # needs VIPSeg
  dvps check datasets/street --split val --json findings.json --pictures findings
  dvps check my_data/train.json

Exit code 0: nothing must be repaired; 1: there are errors (with --strict: or warnings); 2: this is
no dataset that is known, or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvps_d2.formats import READERS, DatasetReader, VideoPanopticReader
from dvps_d2.formats.check import Report, check_dataset, check_json
from dvps_d2.formats.errors import TreeError, describe_folder
from dvps_d2.formats.files import write_json

NOT_CHECKED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("root", type=Path, help="a dataset's folder, or the JSON of own data")
    parser.add_argument(
        "--dataset", choices=sorted(READERS), help="which dataset it is (found out if left out)"
    )
    parser.add_argument("--split", action="append", help="only this split; may be repeated")
    parser.add_argument("--every", type=int, default=1, help="open every n-th frame only")
    parser.add_argument("--subset", type=int, help="only the first N videos of each split")
    parser.add_argument("--workers", type=int, default=0, help="processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="draw the first finding of every kind there"
    )
    parser.add_argument("--strict", action="store_true", help="warnings are errors")


def run(args: argparse.Namespace) -> int:
    """Check and tell; returns the exit code."""
    if args.every < 1:
        raise ValueError(f"--every must be at least 1, got {args.every}")
    try:
        reader, report = check(args)
    except TreeError as error:
        sys.stderr.write(f"dvps check: {error}\n")
        return NOT_CHECKED
    if args.json is not None:
        write_json(args.json, report.as_json())
    sys.stdout.write("\n".join(report.lines()) + "\n")
    if args.pictures is not None and reader is not None:
        from dvps_d2.cli.check_pictures import draw_findings

        drawn = draw_findings(report.findings, reader, args.pictures)
        sys.stdout.write("".join(f"drawn: {path}\n" for path in drawn))
    return int(report.has_errors or (args.strict and report.number("warning") > 0))


def check(args: argparse.Namespace) -> tuple[DatasetReader | None, Report]:
    """The report, and the reader of what was checked; none for own data that is not sound.

    Raises:
        TreeError: no reader takes the folder for its dataset.
    """
    if args.root.suffix == ".json":
        report = check_json(args.root, workers=args.workers, every=args.every)
        readable = any(report.counts)
        return VideoPanopticReader("own data", args.root) if readable else None, report
    name = args.dataset or recognise(args.root)
    sys.stdout.write(f"{args.root} is {name}\n")
    report = check_dataset(
        READERS[name],
        args.root,
        splits=args.split,
        every=args.every,
        subset=args.subset,
        workers=args.workers,
    )
    return READERS[name], report


def recognise(root: Path) -> str:
    """Name of the one reader that takes a folder for its dataset.

    Raises:
        TreeError: none does, or several do.
    """
    found = [name for name, reader in READERS.items() if reader.recognises(root)]
    if len(found) == 1:
        return found[0]
    if found:
        raise TreeError(f"{root} could be {' or '.join(found)}; say which with --dataset")
    raise TreeError(
        f"{root} is none of {', '.join(sorted(READERS))}; --dataset NAME tells what that one "
        f"expects, datasets/README.md shows all trees.\n  found: {describe_folder(root)}"
    )
