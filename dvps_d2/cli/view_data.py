"""Draw what training is fed: clips after augmentation with segments, track ids and depth.

examples:
  dvps view-data --config-file configs/experiments/street/mindvps_compact.yaml --out clips.png
  dvps view-data --config-file configs/experiments/street/mindvps_compact.yaml --out clips.png \\
      --clips 2 INPUT.SAMPLING_FRAME_NUM 3 SEED 7

The clips are those that a run of this config begins with (--first N: clip number N on). A colour
is a track; the same colour in the next row of a clip is the same object. KEY VALUE pairs at the
end override the config. Datasets are looked for below $DETECTRON2_DATASETS (default: datasets).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvps_d2.formats.png import write_png


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps view-data``."""
    parser.add_argument(
        "--config-file", type=Path, required=True, metavar="FILE", help="of training"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where to")
    parser.add_argument("--clips", type=int, default=4, help="how many (4)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="first clip (0)")
    parser.add_argument("--cell-width", type=int, default=384, help="pixels of a picture (384)")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="config overrides")


def run(args: argparse.Namespace) -> int:
    """Draw; returns the exit code.

    Raises:
        ValueError: the output is no .png, or the config does not fit its data.
    """
    if args.out.suffix.lower() != ".png":
        raise ValueError(f"--out must end in .png, got {args.out}")
    from dvps_d2.d2 import load_config
    from dvps_d2.d2.viewing import training_sheet

    cfg = load_config(args.config_file, args.options)
    sheet = training_sheet(cfg, args.clips, first=args.first, cell_width=args.cell_width)
    write_png(args.out, sheet)
    sys.stdout.write(f"written: {args.out} ({sheet.shape[1]} x {sheet.shape[0]})\n")
    return 0
