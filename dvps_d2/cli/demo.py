"""Look at what a model says about any video: a film of overlays and depth, PNGs, a live window.

examples:
  dvps demo street.mp4 --run output/demo
  dvps demo frames/ --run output/demo --fps 17 --output film --save overlay ids depth
  dvps demo 'datasets/street/video_sequence/val/000000_*_leftImg8bit.png' --run output/demo \\
      --compare datasets/street
  dvps demo street.mp4 --run output/demo --compare output/other_run --output side_by_side
  dvps demo 0 --config-file configs/experiments/vipseg/minvis_R50.yaml --weights minvis.pth \\
      --show   # needs published weights, a camera and a screen
  dvps demo rtsp://host/stream --run output/demo \\
      --show --save none --every 2   # needs a stream and a screen
  dvps demo long.mp4 --run output/demo --start 1:30 --max-frames 200 --resize 720 \\
      --opts INPUT.MIN_SIZE_TEST 480

INPUT is a video file, a folder or a quoted pattern of images, the number of a camera, or the
address of a stream. Frames whose shorter side is above 1080 pixels are shrunk to that (--resize
none keeps them). The model resizes for itself by its config (INPUT.MIN_SIZE_TEST); what is written
has the size of the frames.

--output gets overlay.mp4; with --save ids, predictions/ with PNGs and JSON in the layout of a
dataset (--layout) and frames.csv with the time of every frame; with --save depth, 16-bit depth
PNGs (metres x 256).

Ctrl-C ends in order: everything written so far is complete. Exit code 0: all frames; 1: bad input,
or it ended early (what was written is complete); 2: bad arguments; 130: stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvps_d2.formats.submission import WRITERS
from dvps_d2.visualize.panels import ARRANGEMENTS

SAVES = ("overlay", "ids", "depth", "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps demo``."""
    parser.add_argument("input", metavar="INPUT", help="video, folder, pattern, camera or stream")
    model = parser.add_argument_group("model")
    which = model.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=Path, metavar="RUN", help="OUTPUT_DIR of a training run")
    which.add_argument("--config-file", type=Path, metavar="FILE", help="config of the model")
    model.add_argument("--weights", metavar="FILE", help="checkpoint (default: the run's)")
    model.add_argument(
        "--own-data",
        type=Path,
        metavar="JSON",
        help="the classes of a model that was trained on own data",
    )
    model.add_argument(
        "--opts", nargs="+", default=[], metavar="KEY VALUE", help="config overrides"
    )
    frames = parser.add_argument_group("frames")
    frames.add_argument("--start", default="0", metavar="N|12.5s|1:30", help="where to begin")
    frames.add_argument("--every", type=int, default=1, metavar="N", help="take each N-th frame")
    frames.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    frames.add_argument(
        "--resize", default="auto", metavar="SIDE|WxH", help="auto (default), none, 720, 1280x720"
    )
    frames.add_argument("--fps", type=float, help="of the input (default: its own; images: 10)")
    frames.add_argument(
        "--keep-going", action="store_true", help="leave frames out that cannot be read"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", type=Path, metavar="DIR", help="where to (default: demo/<name of the input>)"
    )
    output.add_argument(
        "--save", nargs="+", choices=SAVES, default=["overlay"], help="default: overlay"
    )
    output.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    output.add_argument("--show", action="store_true", help="show live; q or Escape ends")
    output.add_argument(
        "--compare", type=Path, metavar="TRUTH|RUN", help="beside it: ground truth, or another run"
    )
    output.add_argument("--layout", choices=sorted(WRITERS), default="vipseg", help="of the ids")
    output.add_argument(
        "--codec", default="auto", help="auto (H.264 with PyAV, else mp4v), mp4v, vp09, h264, ..."
    )
    output.add_argument(
        "--depth-panel", choices=ARRANGEMENTS, default="auto", help="where depth is drawn"
    )
    output.add_argument(
        "--depth-range",
        nargs=2,
        type=float,
        metavar=("NEAR", "FAR"),
        help="metres of the brightest and the darkest colour (default: 3, and the model's maximum)",
    )
    output.add_argument("--opacity", type=float, default=0.6, help="of the segments, 0 to 1")


def run(args: argparse.Namespace) -> int:
    """Make the film; returns the exit code.

    Raises:
        ValueError: what is asked for does not fit together, or a frame cannot be read.
        OSError: something cannot be written.
    """
    from dvps_d2.cli.filming.session import Session  # not for `dvps --help`

    if len(args.opts) % 2:
        raise ValueError(f"config overrides come in pairs of KEY and VALUE, got {args.opts}")
    if "none" in args.save and len(args.save) > 1:
        raise ValueError(f"--save none does not go with others, got {' '.join(args.save)}")
    if args.save == ["none"] and not args.show:
        raise ValueError("nothing to do: with --save none, --show is needed")
    if not 0 <= args.opacity <= 1:
        raise ValueError(f"--opacity must be in 0..1, got {args.opacity}")
    session = Session(args)
    try:
        return session.run()
    finally:
        sys.stdout.write(session.summary())
