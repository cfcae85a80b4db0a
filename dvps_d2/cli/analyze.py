"""Parameters, operations, seconds and memory of a model, part by part, on random frames.

examples:
  dvps analyze --config-file configs/experiments/street/mindvps_compact.yaml --size 96 192
  dvps analyze --config-file configs/experiments/vipseg/minvis_R50.yaml --json cost.json
  dvps analyze --config-file output/demo/config.yaml --weights output/demo/model_average.pth \\
      MODEL.DEVICE cpu

Inference on one window that is a whole video. A product and a sum are two operations; those of
element-wise operators, RoI pooling and NMS are not counted. Random frames and weights give few
segments, so fusion takes longer on real videos. KEY VALUE pairs at the end override the config.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dvps_d2.formats.files import write_json

if TYPE_CHECKING:
    from dvps_d2.d2.analysis import Cost, PartCost

SIDE = 32  # sizes that are made up here are multiples of it
DEFAULT_SHORT_SIDE = 480


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps analyze``."""
    parser.add_argument(
        "--config-file", type=Path, required=True, metavar="FILE", help="of the model"
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="pixels of a frame (INPUT.MIN_SIZE_TEST or 480 rows, 16:9)",
    )
    parser.add_argument("--frames", type=int, default=1, help="frames of the window (1)")
    parser.add_argument("--repeat", type=int, default=3, help="timed runs; the median counts (3)")
    parser.add_argument("--weights", metavar="FILE", help="checkpoint (random weights)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="config overrides")


def run(args: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    import dvps_d2.d2  # noqa: F401  (registers models)
    from dvps_d2.d2.analysis import analyze, build_for_analysis

    cfg, model = build_for_analysis(args.config_file, args.options, args.weights)
    rows = cfg.INPUT.MIN_SIZE_TEST or DEFAULT_SHORT_SIDE
    size = tuple(args.size) if args.size else (rows, round(rows * 16 / 9 / SIDE) * SIDE)
    cost = analyze(model, size, frames=args.frames, repeat=args.repeat)
    cost.setting["config"] = str(args.config_file)
    if args.json is not None:
        write_json(args.json, cost.as_json())
    sys.stdout.write(table(cost))
    return 0


def table(cost: Cost) -> str:
    """The costs as text."""
    rows = [(name, part) for name, part in cost.parts.items() if _counts(part)]
    rows.append(("all", cost.total))
    width = max(len(name) for name, _ in rows)
    setting = cost.setting
    lines = [
        f"{setting['config']}: {setting['frames']} x {setting['height']} x {setting['width']} on "
        f"{setting['device']}, {setting['threads']} threads",
        "",
        f"{'':<{width}}  {'parameters':>12}  {'trained':>12}  {'GFLOPs':>9}  {'seconds':>9}",
    ]
    for name, part in rows:
        lines.append(
            f"{name:<{width}}  {part.parameters:>12,}  {part.trained:>12,}  "
            f"{part.flops / 1e9:>9.2f}  {part.seconds:>9.3f}"
        )
    memory = f"weights {cost.weights_mb:.1f} MiB"
    if cost.peak_mb is not None:
        memory += f", at most {cost.peak_mb:.0f} MiB more while it runs"
    per_second = setting["frames"] / cost.total.seconds
    return "\n".join([*lines, "", f"{memory}; {per_second:.2f} frames a second"]) + "\n"


def _counts(part: PartCost) -> bool:
    return bool(part.parameters or part.flops or part.seconds)
