"""Write one HTML page about predictions: scores, a player with error layers, tracks, curves.

The page is a single file that opens without a server and loads nothing from the network.

examples:
  dvps report output/demo --predict
      a training run: predicts its test set where that has not been done yet
  dvps report output/demo --videos 8 --output worst_eight.html
  dvps report output/demo --video 000000 --video 000001
  dvps report predictions --dataset street_val
      a folder that `dvps predict` wrote, and the registered dataset it belongs to
  dvps report predictions --protocol cityscapes_dvps --truth datasets/street/video_sequence/val \\
      --classes street
      the same by folders, as `dvps score` takes them; needs neither torch nor Detectron2

Evaluation keeps scores and no predicted maps: without --predict a run needs predictions in
RUN/inference/DATASET/predictions, where --predict puts them. Datasets are looked for below
$DETECTRON2_DATASETS (default: datasets). All videos are scored; the worst ones are embedded.
Exit code 0: written; 1: something is wrong with the input; 2: with the arguments; 130: stopped.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from dvps_d2.cli.reporting.subject import Subject
from dvps_d2.cli.scoring.coded import CODED_LAYOUTS
from dvps_d2.cli.scoring.listed import LISTED_LAYOUTS
from dvps_d2.metrics import get_protocol
from dvps_d2.report import Limits, ReportSettings, read_curves, write_report
from dvps_d2.report.scores import ORDER, main_score

logger = logging.getLogger(__name__)

# A difference of scores, 0..1, that rounding in files explains.
ROUNDING = 0.0005


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps report``."""
    parser.add_argument("folder", type=Path, help="OUTPUT_DIR of a run, or a folder of predictions")
    parser.add_argument("--output", type=Path, metavar="FILE.html", help="default: in the run")
    parser.add_argument("--title", help="heading (default: the folder's name)")
    parser.add_argument("--dataset", metavar="NAME", help="registered dataset")
    parser.add_argument(
        "--own-data",
        nargs=2,
        metavar=("JSON", "ROOT"),
        help="register own data under the name of --dataset",
    )
    run = parser.add_argument_group("a training run")
    run.add_argument("--predict", action="store_true", help="predict what is not predicted yet")
    run.add_argument(
        "--scores-only", action="store_true", help="scores and curves of the run, no videos"
    )
    folders = parser.add_argument_group("predictions by folders, as in dvps score")
    folders.add_argument(
        "--protocol",
        choices=[*LISTED_LAYOUTS, *CODED_LAYOUTS],
        metavar="NAME",
        help="see dvps score",
    )
    folders.add_argument("--truth", metavar="DIR", help="folder of truth PNGs")
    folders.add_argument("--truth-json", metavar="F", help="truth JSON")
    folders.add_argument("--pred-json", metavar="F", help="default: pred.json in the folder")
    folders.add_argument("--depth-pred", metavar="DIR", help="default: depth in the folder")
    folders.add_argument("--classes", metavar="A,B", help="classes of the averages, or 'street'")
    folders.add_argument("--images", metavar="DIR", help="pictures (default: found beside truth)")
    shown = parser.add_argument_group("what is embedded")
    shown.add_argument("--videos", default="4", metavar="N", help="the N worst, or all (4)")
    shown.add_argument(
        "--video", action="append", default=[], metavar="ID", help="this one; repeat"
    )
    shown.add_argument("--max-side", type=int, default=960, metavar="PX", help="longer side (960)")
    shown.add_argument("--max-mb", type=float, default=60, metavar="MB", help="of videos (60)")


def run(args: argparse.Namespace) -> int:
    """Write the report; returns the exit code.

    Raises:
        ValueError: what is asked for does not fit together.
        OSError: files are missing.
    """
    settings = _settings(args)
    if args.own_data:
        _register_own_data(args)
    try:
        written = _of_run(args, settings) if _is_run(args) else _of_folder(args, settings)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 130
    path, summary = written
    if summary["result"]:
        name, value = main_score(summary["result"])
        shown = "undefined" if value is None else f"{100 * value:.1f}"
        sys.stdout.write(f"{name} {shown} over {summary['result']['videos']} videos\n")
    embedded = f"{len(summary['embedded'])} of {len(summary['videos'])} videos embedded"
    shown = embedded if summary["videos"] else "scores only"
    sys.stdout.write(f"written: {path} ({summary['bytes'] / 1e6:.1f} MB, {shown})\n")
    return 0


def _register_own_data(args: argparse.Namespace) -> None:
    if args.dataset is None:
        raise ValueError("--own-data needs --dataset, the name to register it under")
    from dvps_d2.d2 import register_video_panoptic

    json_file, root = args.own_data
    register_video_panoptic(args.dataset, root, json_file)


def _settings(args: argparse.Namespace) -> ReportSettings:
    if args.videos != "all" and not args.videos.isdigit():
        raise ValueError(
            f"--videos must be a number or 'all', got {args.videos!r}; a video by its id: --video"
        )
    return ReportSettings(
        title=args.title or args.folder.resolve().name,
        dataset="",
        videos=None if args.videos == "all" else int(args.videos),
        chosen=tuple(dict.fromkeys(args.video)),
        limits=Limits(args.max_side, round(args.max_mb * 1e6)),
    )


def _is_run(args: argparse.Namespace) -> bool:
    """Whether the folder is a run; refuses arguments that do not fit.

    Raises:
        ValueError: the folder is neither, or both ways of naming the truth are used.
    """
    if not args.folder.is_dir():
        raise ValueError(f"{args.folder} is not a folder")
    if args.protocol or args.truth:
        if args.dataset or args.predict or args.scores_only:
            raise ValueError(
                "--protocol and --truth name folders; leave out --dataset, --predict and "
                "--scores-only"
            )
        if not (args.protocol and args.truth):
            raise ValueError("--protocol and --truth go together")
        return False
    if (args.folder / "config.yaml").is_file():
        return True
    if args.predict or args.scores_only:
        raise ValueError(
            f"{args.folder} has no config.yaml: it is not a training run, which --predict and "
            "--scores-only are for"
        )
    if args.dataset is None:
        raise ValueError(
            f"{args.folder} has no config.yaml, so it is taken as predictions: say what they "
            "belong to, with --dataset NAME or with --protocol NAME --truth DIR"
        )
    return False


def _of_run(args: argparse.Namespace, settings: ReportSettings) -> tuple[Path, dict]:
    # Only here, so that folders are reported on without torch and Detectron2.
    from dvps_d2.cli.reporting import runs

    dataset = runs.dataset_of_run(args.folder, args.dataset)
    scores = runs.scores_of_run(args.folder, dataset)
    settings = replace(
        settings,
        dataset=dataset,
        curves=read_curves(args.folder / "metrics.json"),
    )
    path = args.output or args.folder / "report.html"
    if args.scores_only:
        if scores is None:
            raise FileNotFoundError(
                f"{runs.scores_path(args.folder, dataset)} is missing: evaluate the run first, "
                f"with python train_net.py --eval-only --config-file {args.folder}/config.yaml"
            )
        classes, colors = runs.classes_of(dataset)
        note = "Only scores: the report was asked for without videos."
        settings = replace(settings, notes=(note,))
        return path, write_report(
            path, [], get_protocol(scores["protocol"]), classes, colors, settings, result=scores
        )
    if args.predict:
        folder = runs.predict_run(args.folder, dataset)
    else:
        folder = runs.require_predictions(args.folder, dataset)
    subject = runs.subject_of_dataset(folder, dataset)
    return path, _write(path, subject, settings, scores)


def _of_folder(args: argparse.Namespace, settings: ReportSettings) -> tuple[Path, dict]:
    if args.protocol:
        from dvps_d2.cli.reporting.layouts import subject_of_folders

        subject = subject_of_folders(args.folder, args)
    else:
        from dvps_d2.cli.reporting.runs import subject_of_dataset

        subject = subject_of_dataset(args.folder, args.dataset)
    # Beside the folder: what is in it may be packed and submitted.
    path = args.output or args.folder.resolve().with_name(f"{args.folder.resolve().name}.html")
    return path, _write(path, subject, settings, None)


def _write(path: Path, subject: Subject, settings: ReportSettings, scores: dict | None) -> dict:
    settings = replace(settings, dataset=settings.dataset or subject.dataset)
    summary = write_report(
        path, subject.videos, subject.protocol, subject.classes, subject.colors, settings
    )
    if scores and summary["result"]:
        name, here = main_score(summary["result"])
        # The same measure: predictions may lack the depth that the run was scored with.
        there = dict(ORDER)[name](scores) if name.lower() in scores else None
        if here is not None and there is not None and abs(here - there) > ROUNDING:
            logger.warning(
                "%s of these predictions is %.2f, but the run's evaluation wrote %.2f: other "
                "weights, or other settings?",
                name,
                100 * here,
                100 * there,
            )
    return summary
