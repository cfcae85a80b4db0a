"""Predict a dataset and write its submission: PNGs, JSON, and a zip if asked for.

examples:
  dvps predict --run output/demo --dataset street_val --out predictions
  dvps predict --config-file configs/experiments/vipseg/minvis_R50.yaml --weights minvis.pth \\
      --dataset vipseg_val --out vipseg --archive vipseg.zip   # needs VIPSeg, published weights
  dvps score cityscapes_dvps --truth datasets/street/video_sequence/val \\
      --pred predictions/panoptic --depth-pred predictions/depth --classes street

Datasets are looked for below $DETECTRON2_DATASETS (default: datasets). The same command goes on
after an interruption. KEY VALUE pairs at the end override the config.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps predict``."""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="OUTPUT_DIR of a training run")
    model.add_argument("--config-file", type=Path, metavar="FILE", help="config of the model")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint (default: the run's)")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="registered dataset")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where to")
    parser.add_argument("--layout", metavar="NAME", help="of another dataset (default: its own)")
    parser.add_argument("--subset", type=int, metavar="N", help="only the first N videos")
    parser.add_argument("--archive", type=Path, metavar="FILE.zip", help="also pack it")
    parser.add_argument(
        "--own-data",
        nargs=2,
        metavar=("JSON", "ROOT"),
        help="register own data under the name of --dataset",
    )
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="config overrides")


def run(args: argparse.Namespace) -> int:
    """Predict; returns the exit code.

    Raises:
        ValueError: what is asked for does not fit together.
    """
    if len(args.options) % 2:
        raise ValueError(f"config overrides come in pairs of KEY and VALUE, got {args.options}")
    if args.subset is not None and args.subset < 1:
        raise ValueError(f"--subset must be at least 1, got {args.subset}")
    # Only here, so that `dvps --help` needs neither torch nor Detectron2.
    from dvps_d2.d2 import register_video_panoptic
    from dvps_d2.d2.predict import load_model, load_run
    from dvps_d2.d2.submission import write_predictions

    if args.own_data:
        json_file, root = args.own_data
        register_video_panoptic(args.dataset, root, json_file)
    if args.run is not None:
        cfg, model = load_run(args.run, args.weights, args.options)
    else:
        cfg, model = load_model(args.config_file, args.weights or "", args.options)
    try:
        writer = write_predictions(
            cfg, model, args.dataset, args.out, layout=args.layout, subset=args.subset
        )
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to go on\n")
        return 130
    if args.archive is not None:
        writer.archive(args.archive)
    sys.stdout.write(f"written: {args.archive or args.out}\n")
    return 0
