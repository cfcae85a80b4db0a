"""Score folders of predictions, from any project, against ground truth.

  cityscapes_vps, viper, vipseg                  --truth DIR --truth-json F --pred DIR --pred-json F
  cityscapes_dvps, semkitti_dvps, semkitti_dstq  --truth DIR --pred DIR --depth-pred DIR
  kitti_step                                     --truth DIR --pred DIR [--depth-pred DIR]

Folders and JSON files are those that the published evaluation scripts take. A PNG of predictions
holds, in R, G and B:
  cityscapes_vps, viper, vipseg   an id = R + 256 G + 65536 B, whose class is in the JSON
  cityscapes_dvps                 R = class (19 = void), G = instance (0 for stuff); 8 bit
  semkitti_dvps, semkitti_dstq    *_cat.png = class, *_ins.png = instance
  kitti_step                      R = class, instance = 256 G + B
A depth PNG is 16 bit, metres x 256, 0 = none. `dvps predict` writes all of them.

examples:
  dvps score cityscapes_dvps --truth datasets/street/video_sequence/val \\
      --pred predictions/panoptic --depth-pred predictions/depth --classes street
  dvps score vipseg --truth VIPSeg_720P/panomasksRGB \\
      --truth-json VIPSeg_720P/panoptic_gt_VIPSeg_val.json --pred vipseg/pan_pred   # needs VIPSeg
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from dvps_d2.cli.scoring.coded import CODED_LAYOUTS
from dvps_d2.cli.scoring.files import Dataset, Problems, ScriptStopsError
from dvps_d2.cli.scoring.listed import LISTED_LAYOUTS
from dvps_d2.cli.scoring.output import build_output, write_output
from dvps_d2.cli.scoring.runner import VideoScore, count_dataset
from dvps_d2.formats import STREET_CLASSES
from dvps_d2.metrics import ClassSet, Protocol, format_result, get_protocol

logger = logging.getLogger(__name__)

METRICS = ("vpq", "dvpq", "stq", "dstq", "depth")
DEPTH_METRICS = ("dvpq", "dstq", "depth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps score``."""
    protocols = parser.add_subparsers(dest="protocol", required=True, metavar="PROTOCOL")
    for name in (*LISTED_LAYOUTS, *CODED_LAYOUTS):
        sub = protocols.add_parser(name, help=get_protocol(name).title)
        sub.add_argument("--truth", required=True, metavar="DIR", help="folder of truth PNGs")
        sub.add_argument("--pred", required=True, metavar="DIR", help="folder of predictions")
        if name in LISTED_LAYOUTS:
            sub.add_argument("--truth-json", required=True, metavar="F", help="truth JSON")
            sub.add_argument("--pred-json", metavar="F", help="default: pred.json beside them")
        else:
            sub.add_argument("--depth-pred", metavar="DIR", help="folder of depth PNGs")
            sub.add_argument("--depth-truth", metavar="DIR", help="default: that of --truth")
        _add_common(sub)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics", metavar="A,B", help=f"some of {','.join(METRICS)}")
    parser.add_argument("--windows", metavar="1,2", help="window lengths in labelled frames")
    parser.add_argument(
        "--classes",
        metavar="A,B",
        help="class names that the averages are over; 'street' = those that SynthStreet shows",
    )
    parser.add_argument("--lambdas", metavar="0,0.1", help="relative depth errors; 0 = depth off")
    parser.add_argument(
        "--max-depth", type=float, metavar="M", help="clamp true depth to this many metres"
    )
    parser.add_argument(
        "--as-published", action="store_true", help="the published script's result, quirks included"
    )
    parser.add_argument(
        "--uint16-depth",
        action="store_true",
        help="with --as-published: depth differences wrap around, as with Pillow >= 10.3",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--output", metavar="FILE.json", help="write the result as JSON")
    parser.add_argument("--per-video", action="store_true", help="also the result of every video")
    parser.add_argument(
        "--ci", action="store_true", help="95 %% intervals by bootstrap over videos"
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="leave bad frames out, list them, score the rest"
    )


def run(args: argparse.Namespace) -> int:
    """Score; returns 0, or 1 when something had to be left out."""
    problems = Problems(keep_going=args.keep_going)
    refused = None
    try:
        dataset, protocol, scores = count(args, problems, script=args.as_published)
    except ScriptStopsError as stop:
        logger.warning("not scored as published, because the script stops: %s", stop)
        refused, problems = str(stop), Problems(keep_going=args.keep_going)
        dataset, protocol, scores = count(args, problems, script=False)
    if not scores:
        raise ValueError("nothing could be scored:\n" + "\n".join(problems.lines))
    result = build_output(scores, protocol, dataset.classes, ci=args.ci, per_video=args.per_video)
    if refused:
        result["as_published_refused"] = refused
    if problems.lines:
        result["left_out"] = problems.lines
    sys.stdout.write(format_result(result, protocol.decimals) + "\n")
    if args.output:
        write_output(Path(args.output), result)
    for line in problems.lines:
        logger.error("left out: %s", line)
    return 1 if problems.lines else 0


def count(
    args: argparse.Namespace, problems: Problems, *, script: bool
) -> tuple[Dataset, Protocol, list[VideoScore]]:
    """Find the files and count them, as documented or as the published script does.

    Raises:
        ScriptStopsError: the published script would stop on this input.
        ValueError: the arguments or the input are bad.
    """
    protocol = choose_protocol(args, as_published=script)
    dataset = load_dataset(args, problems, script=script)
    if args.classes:
        protocol = replace(protocol, eval_classes=choose_classes(args.classes, dataset.classes))
    unnamed = tuple(i for i, name in enumerate(dataset.classes.names) if not name)
    protocol = replace(protocol, left_out=(*protocol.left_out, *unnamed))
    return dataset, protocol, count_dataset(dataset, protocol, problems, workers=args.workers)


def choose_protocol(args: argparse.Namespace, *, as_published: bool) -> Protocol:
    """The protocol with the arguments applied.

    Raises:
        ValueError: an argument makes no sense.
    """
    protocol = get_protocol(args.protocol, as_published=as_published)
    depth = getattr(args, "depth_pred", None)
    metrics = _metrics(args, protocol, depth)
    changes: dict = {"metrics": metrics}
    if args.windows:
        changes["windows"] = _numbers(args.windows, "--windows", int)
    if args.lambdas:
        changes["lambdas"] = _numbers(args.lambdas, "--lambdas", float)
    if args.max_depth is not None:
        changes["max_depth"] = args.max_depth
    if args.uint16_depth and not args.as_published:
        raise ValueError("--uint16-depth is a quirk of the published script: add --as-published")
    return replace(protocol, **changes, wrap_depth=as_published and args.uint16_depth)


def choose_classes(text: str, classes: ClassSet) -> tuple[int, ...]:
    """Class ids of the names given with ``--classes``.

    Raises:
        ValueError: a name that the dataset does not have.
    """
    wanted = STREET_CLASSES if text == "street" else tuple(text.split(","))
    unknown = [name for name in wanted if name not in classes.names]
    if unknown:
        raise ValueError(
            f"--classes: {unknown[0]!r} is none of {', '.join(filter(None, classes.names))}"
        )
    return tuple(classes.names.index(name) for name in wanted)


def _metrics(args: argparse.Namespace, protocol: Protocol, depth: str | None) -> tuple[str, ...]:
    chosen = args.metrics.split(",") if args.metrics else None
    if chosen is None:
        available = protocol.metrics
        if depth is not None and args.protocol == "kitti_step":
            available = (*available, "dstq")
        chosen = [name for name in available if depth is not None or name not in DEPTH_METRICS]
        if depth is not None and not any(name in DEPTH_METRICS for name in chosen):
            chosen.append("depth")
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise ValueError(f"--metrics: {unknown[0]!r} is none of {', '.join(METRICS)}")
    needing = [name for name in chosen if name in DEPTH_METRICS]
    if needing and depth is None:
        raise ValueError(f"--metrics {needing[0]} needs --depth-pred")
    if "dvpq" in chosen and not (protocol.lambdas or args.lambdas):
        raise ValueError(f"--metrics dvpq: protocol {protocol.name} has no lambdas; add --lambdas")
    if "dstq" in chosen and not protocol.inlier_ratios:
        raise ValueError(f"--metrics dstq: protocol {protocol.name} has no depth thresholds")
    return tuple(dict.fromkeys(chosen))


def _numbers(text: str, name: str, kind: type) -> tuple:
    try:
        return tuple(dict.fromkeys(kind(part) for part in text.split(",")))
    except ValueError:
        raise ValueError(f"{name} must be numbers with commas between, got {text!r}") from None


def load_dataset(args: argparse.Namespace, problems: Problems, *, script: bool) -> Dataset:
    """Find the files of a dataset; see the layouts."""
    if args.protocol in LISTED_LAYOUTS:
        return LISTED_LAYOUTS[args.protocol].load(
            args.truth, args.truth_json, args.pred, args.pred_json, problems, script=script
        )
    return CODED_LAYOUTS[args.protocol].load(
        args.truth,
        args.pred,
        args.depth_pred,
        problems,
        script=script,
        depth_truth=args.depth_truth,
    )
