r"""Bring own data into the JSON and PNGs that training takes.

examples:
  dvps import-data coco-panoptic panoptic_train.json --images images --masks panoptic_train \
      --out my_images --name train
  dvps import-data coco-panoptic ann.json --images frames --masks masks --out my_videos \
      --name train --group "(?P<video>\w+)_(?P<frame>\d+)" --ids tracks
  dvps import-data video-masks garden.mp4 --masks garden_masks --objects objects.json \
      --categories categories.json --out my_data --name train
  dvps import-data video-masks frames/a frames/b --masks instances --classes classes \
      --categories categories.json --out my_data --name val

Writes OUT/NAME.json and OUT/NAME/. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvps_d2.formats.files import read_json
from dvps_d2.formats.importers import (
    Grouping,
    MaskCoding,
    import_coco_panoptic,
    import_video_masks,
    read_categories,
)
from dvps_d2.formats.importers.video_masks import read_objects
from dvps_d2.visualize import read_video


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two forms and their arguments."""
    forms = parser.add_subparsers(dest="form", required=True, metavar="FORM")
    coco = forms.add_parser("coco-panoptic", help="images, panoptic PNGs and COCO's JSON")
    coco.add_argument("json", type=Path, help="images, annotations, categories")
    coco.add_argument("--images", type=Path, required=True, metavar="DIR")
    coco.add_argument("--masks", type=Path, required=True, metavar="DIR", help="panoptic PNGs")
    coco.add_argument(
        "--group",
        default="none",
        metavar="RULE",
        help="none: every image is a video of one frame; folder: every folder is a video; or a "
        "regular expression with the groups (?P<video>...) and (?P<frame>...) for the path of an "
        "image below --images without its ending (none)",
    )
    coco.add_argument(
        "--ids",
        choices=("tracks", "frames"),
        help="grouped images: an id means the same object in all frames, or only in its own",
    )
    coco.add_argument("--subset", type=int, metavar="N", help="only the first N videos")
    film = forms.add_parser("video-masks", help="videos or folders of frames, and PNGs")
    film.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="file or folder")
    film.add_argument(
        "--masks",
        type=Path,
        required=True,
        metavar="DIR",
        help="PNGs of each video in DIR/<its name>, of a single one also in DIR",
    )
    film.add_argument("--categories", type=Path, required=True, metavar="JSON")
    coding = film.add_mutually_exclusive_group(required=True)
    coding.add_argument(
        "--objects", type=Path, metavar="JSON", help='masks hold objects: {"7": category id, ...}'
    )
    coding.add_argument(
        "--divisor", type=int, metavar="N", help="masks hold category id x N + instance"
    )
    coding.add_argument(
        "--classes", type=Path, metavar="DIR", help="PNGs of category ids; masks hold instances"
    )
    film.add_argument(
        "--void", type=int, nargs="+", help="numbers without meaning (0; with --classes 255)"
    )
    film.add_argument(
        "--first", type=int, default=0, help="number of a film's first frame in mask names (0)"
    )
    film.add_argument("--only-labelled", action="store_true", help="drop frames without mask")
    film.add_argument("--lossless", action="store_true", help="frames of films as PNG, not JPEG")
    for form in (coco, film):
        form.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
        form.add_argument("--name", default="train", help="of the set: OUT/NAME.json (train)")
        form.add_argument("--depth", type=Path, metavar="DIR", help="depth PNGs")
        form.add_argument(
            "--depth-scale", type=float, default=256.0, help="units per metre in them (256)"
        )
        form.add_argument(
            "--how", choices=("copy", "hardlink", "symlink"), default="copy", help="for images"
        )
        form.add_argument("--workers", type=int, default=0, help="processes (0: this one)")


def run(args: argparse.Namespace) -> int:
    """Import and tell what to write into a config; returns the exit code."""
    try:
        path = _coco_panoptic(args) if args.form == "coco-panoptic" else _video_masks(args)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to go on\n")
        return 130
    sys.stdout.write(summary(path, args.name))
    return 0


def _coco_panoptic(args: argparse.Namespace) -> Path:
    return import_coco_panoptic(
        args.json,
        args.images,
        args.masks,
        args.out,
        name=args.name,
        grouping=Grouping(args.group),
        ids=args.ids,
        depth=args.depth,
        depth_scale=args.depth_scale,
        how=args.how,
        workers=args.workers,
        subset=args.subset,
    )


def _video_masks(args: argparse.Namespace) -> Path:
    coding = MaskCoding(
        objects=None if args.objects is None else read_objects(args.objects),
        divisor=args.divisor,
        classes=None if args.classes is None else str(args.classes),
        void=tuple(args.void or ((0,) if args.classes is None else (255,))),
    )
    return import_video_masks(
        args.videos,
        args.masks,
        args.out,
        categories=read_categories(args.categories),
        coding=coding,
        read_video=read_video,
        name=args.name,
        first=args.first,
        depth=args.depth,
        depth_scale=args.depth_scale,
        only_labelled=args.only_labelled,
        lossless=args.lossless,
        how=args.how,
        workers=args.workers,
    )


def summary(path: Path, name: str) -> str:
    """What was imported, and the lines of a config that use it."""
    content = read_json(path)
    frames = sum(len(video["images"]) for video in content["videos"])
    labelled = sum(len(video["annotations"]) for video in content["annotations"])
    key = "TEST" if name in ("val", "test") else "TRAIN"
    return (
        f"{path}: {len(content['videos'])} videos, {frames} frames, {labelled} of them labelled, "
        f"{len(content['categories'])} classes\n"
        f"look it over:  dvps check {path}\n"
        f"in a config:\n"
        f"  MODEL: {{SEM_SEG_HEAD: {{NUM_CLASSES: {len(content['categories'])}}}}}\n"
        f"  DATASETS: {{OWN: [[my_{name}, {path}]], {key}: [my_{name}]}}\n"
    )
